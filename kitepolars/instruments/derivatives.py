"""Owns what is derived from an underlying: expiries, futures, option chains; pure, any thread."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import numpy as np
import polars as pl

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments.search import EXCHANGES, OPTION_TYPES
from kitepolars.instruments.spelling import SpellingIndex

INDEX_UNDERLYINGS: Final = {
    "NIFTY 50": "NIFTY",
    "NIFTY BANK": "BANKNIFTY",
    "NIFTY FIN SERVICE": "FINNIFTY",
    "NIFTY MID SELECT": "MIDCPNIFTY",
    "NIFTY NEXT 50": "NIFTYNXT50",
}
"""The indices whose contracts go by another name. SENSEX and BANKEX keep theirs."""

_SPOTS: Final = {contract: index for index, contract in INDEX_UNDERLYINGS.items()}

EQUITY_EXCHANGES: Final = frozenset({"NSE", "BSE", "NFO", "BFO"})
"""Where contracts are on shares and indices."""

FUTURE: Final = "FUT"
"""The dump's ``instrument_type`` of a future."""

SHARE_DERIVATIVES: Final = frozenset({"NFO", "BFO"})
"""The exchanges whose contracts are on shares and on indices of shares."""

DEFAULT_STRIKES: Final = 10
"""Strikes on each side of the money, where a price is given and no number."""

_DATE: Final = r"\d{2}(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[1-9OND]\d{2})"
"""How a symbol writes an expiry: year and month, or year, month's sign and day. Five characters."""

_CONTRACT: Final = rf"^(.+?){_DATE}"

_YEAR_SHOWN_AFTER: Final = 300
"""Days from the nearest expiry on, from which a label names the year of an expiry."""

_OPTION_SIDES: Final = dict(zip(OPTION_TYPES, ("call", "put"), strict=True))


def contracts(
    frame: pl.DataFrame, underlying: str, types: tuple[str, ...], exchange: str | None
) -> pl.DataFrame:
    """Return the contracts on an underlying, by expiry and strike.

    Parameters
    ----------
    frame
        The dump's columns and ``symbol``.
    underlying
        ``"NIFTY"``, or the name of what it is on: ``"NSE:NIFTY 50"``.
    types
        Values of ``instrument_type``.
    exchange
        Where; None for the first of NFO, BFO, MCX, … that has any.

    Raises
    ------
    UnknownInstrument
        If there is none; with the underlyings that are spelt alike.
    """
    named = _named(frame, types)
    wanted = underlying_name(underlying)
    found = named.filter(pl.col("underlying").str.to_uppercase() == wanted)
    if exchange is not None:
        found = found.filter(pl.col("exchange").cast(pl.String) == exchange.upper())
    if found.is_empty():
        raise _no_contracts(underlying, wanted, named["underlying"], types)
    first = min(found["exchange"].unique().to_list(), key=_preference)
    return found.filter(pl.col("exchange").cast(pl.String) == first).sort(
        "expiry", "strike", "tradingsymbol"
    )


def trades_on(frame: pl.DataFrame, underlying: str) -> set[str]:
    """Return the exchanges that list contracts on an underlying.

    Parameters
    ----------
    frame, underlying
        As for `contracts`.
    """
    named = _named(frame, (FUTURE, *OPTION_TYPES))
    wanted = underlying_name(underlying)
    found = named.filter(pl.col("underlying").str.to_uppercase() == wanted)
    return set(found["exchange"].cast(pl.String))


def _named(frame: pl.DataFrame, types: tuple[str, ...]) -> pl.DataFrame:
    """Return the contracts of some types, with what they are on as ``underlying``."""
    return frame.filter(
        pl.col("expiry").is_not_null(), pl.col("instrument_type").cast(pl.String).is_in(types)
    ).with_columns(
        # Dumps of some years leave the name of contracts empty.
        pl.coalesce("name", underlying_of_symbol()).alias("underlying")
    )


def label(nearest: date | None) -> pl.Expr:
    """Return how a trader reads an instrument: ``"NIFTY 1 Dec 26000 CE"``, ``"INFY"``.

    Parameters
    ----------
    nearest
        The first expiry of the dump: expiries long after it have their year, too.

    Returns
    -------
    polars.Expr
        A text, from the dump's columns.

    Examples
    --------
    >>> row = {"tradingsymbol": "NIFTY26D0126000CE", "name": "NIFTY", "strike": 26000.0,
    ...        "expiry": date(2026, 12, 1), "instrument_type": "CE"}
    >>> pl.DataFrame([row]).select(label(date(2026, 12, 1))).item()
    'NIFTY 1 Dec 26000 CE'
    """
    expiry = pl.col("expiry")
    far = expiry > pl.lit(nearest, pl.Date) + pl.duration(days=_YEAR_SHOWN_AFTER)
    day = pl.when(far).then(expiry.dt.strftime("%-d %b %Y")).otherwise(expiry.dt.strftime("%-d %b"))
    kind = pl.col("instrument_type").cast(pl.String)
    strike = pl.col("strike").cast(pl.String).str.strip_suffix(".0")
    underlying = pl.coalesce("name", underlying_of_symbol())
    option = pl.concat_str(underlying, day, strike, kind, separator=" ")
    future = pl.concat_str(underlying, day, kind, separator=" ")
    return (
        pl.when(kind.is_in(OPTION_TYPES))
        .then(option)
        .when(kind == FUTURE)
        .then(future)
        .fill_null(pl.col("tradingsymbol"))
        .alias("label")
    )


def underlying_of_symbol() -> pl.Expr:
    """Return the underlying that a contract's symbol begins with.

    A symbol is the underlying, the expiry in five characters, and ``FUT`` or strike and type. The
    row's own strike and type say where it ends, so underlyings may begin and end with digits.

    Examples
    --------
    >>> contract = {"tradingsymbol": ["NIFTYNXT502690865000PE"], "strike": [65000.0]}
    >>> frame = pl.DataFrame(contract).with_columns(instrument_type=pl.lit("PE"))
    >>> frame.select(underlying_of_symbol()).item()
    'NIFTYNXT50'
    """
    symbol, kind, strike = pl.col("tradingsymbol"), pl.col("instrument_type"), pl.col("strike")
    kind = kind.cast(pl.String)
    whole = strike.cast(pl.Int64).cast(pl.String)
    amount = pl.when(strike == strike.floor()).then(whole).otherwise(strike.cast(pl.String))
    tail = pl.when(kind == FUTURE).then(kind).otherwise(amount + kind)
    body = pl.when(symbol.str.ends_with(tail)).then(
        symbol.str.head(symbol.str.len_chars() - tail.str.len_chars())
    )
    return pl.coalesce(body.str.extract(rf"^(.+){_DATE}$"), symbol.str.extract(_CONTRACT))


def underlying_name(name: str) -> str:
    """Return what contracts call an underlying.

    Examples
    --------
    >>> underlying_name("NSE:NIFTY 50"), underlying_name("crudeoil")
    ('NIFTY', 'CRUDEOIL')
    """
    symbol = " ".join(name.rpartition(":")[2].split()).upper()
    return INDEX_UNDERLYINGS.get(symbol, symbol)


def spot_name(underlying: str) -> str:
    """Return the symbol of what an underlying's contracts are on.

    Examples
    --------
    >>> spot_name("NIFTY"), spot_name("infy")
    ('NIFTY 50', 'INFY')
    """
    name = underlying_name(underlying)
    return _SPOTS.get(name, name)


def has_spot(frame: pl.DataFrame, underlying: str) -> bool:
    """Say whether contracts on an underlying are on a share or an index of the same exchanges.

    Those of MCX, CDS, BCD and NCO are on goods and currencies, which are traded elsewhere.
    """
    wanted = underlying_name(underlying)
    contracts = frame.filter(
        pl.col("expiry").is_not_null(),
        pl.coalesce("name", underlying_of_symbol()).str.to_uppercase() == wanted,
    )
    exchanges = set(contracts["exchange"].cast(pl.String).unique().to_list())
    return not exchanges or bool(exchanges & EQUITY_EXCHANGES)


def chosen_expiry(options: pl.DataFrame, expiry: date | str | None, today: date) -> date:
    """Return the expiry that is meant: the nearest from today on, if none is said.

    Parameters
    ----------
    options
        The contracts to choose from.
    expiry
        A date, a text YYYY-MM-DD, or None.
    today
        The day in India.

    Raises
    ------
    ConfigError
        If no contract expires then; with the days on which some do.
    """
    expiries: list[date] = options["expiry"].unique().sort().to_list()
    if expiry is None:
        return next((day for day in expiries if day >= today), expiries[-1])
    wanted = str(expiry.date() if isinstance(expiry, datetime) else expiry)
    for day in expiries:
        if day.isoformat() == wanted:
            return day
    days = ", ".join(map(str, expiries))
    raise ConfigError("expiry", wanted, f"one of {days}")


def option_chain(
    options: pl.DataFrame, *, around: float | None = None, strikes: int | None = None
) -> pl.DataFrame:
    """Put the calls and puts of one expiry side by side, a row a strike.

    Parameters
    ----------
    options
        The contracts of one expiry.
    around
        A price in rupees, to see only the strikes near it.
    strikes
        How many strikes on each side of the one nearest to ``around``; 10 by default.

    Returns
    -------
    DataFrame
        ``underlying``, ``expiry``, ``strike``, ``lot_size``, ``call_token``,
        ``call_symbol``, ``put_token``, ``put_symbol``; null where a side is not listed.

    Raises
    ------
    ConfigError
        If ``strikes`` is negative, or given without ``around``.
    """
    if strikes is not None and around is None:
        needed = "strikes are counted from a price: pass around as well"
        raise ConfigError("around", around, message=needed)
    if strikes is not None and strikes < 0:
        raise ConfigError("strikes", strikes, "0 or more")
    chain = options.group_by("strike").agg(
        pl.col("underlying", "expiry", "lot_size").first(),
        *(column for kind, name in _OPTION_SIDES.items() for column in _side(kind, name)),
    )
    chain = chain.sort("strike").select(
        "underlying",
        "expiry",
        "strike",
        "lot_size",
        *(f"{side}_{what}" for side in _OPTION_SIDES.values() for what in ("token", "symbol")),
    )
    if around is None:
        return chain
    return near_the_money(chain, around, DEFAULT_STRIKES if strikes is None else strikes)


def near_the_money(chain: pl.DataFrame, around: float, strikes: int) -> pl.DataFrame:
    """Keep the strikes near a price.

    Parameters
    ----------
    chain
        Rows in the order of their ``strike``.
    around
        The price in rupees.
    strikes
        How many to keep on each side of the one nearest to it.
    """
    if chain.is_empty():
        return chain
    centre = int(np.abs(chain["strike"].to_numpy() - around).argmin())
    first = max(centre - strikes, 0)
    return chain.slice(first, centre + strikes + 1 - first)


def today_in_india() -> date:
    """Return the day by which contracts are still alive."""
    return datetime.now(IST).date()


def _side(kind: str, name: str) -> list[pl.Expr]:
    here = pl.col("instrument_type").cast(pl.String) == kind
    return [
        pl.col("instrument_token").filter(here).first().alias(f"{name}_token"),
        pl.col("symbol").filter(here).first().alias(f"{name}_symbol"),
    ]


def _preference(exchange: str) -> tuple[int, str]:
    known = EXCHANGES.index(exchange) if exchange in EXCHANGES else len(EXCHANGES)
    return known, exchange


def _no_contracts(
    name: str, wanted: str, underlyings: pl.Series, types: tuple[str, ...]
) -> UnknownInstrument:
    close = SpellingIndex(underlyings.drop_nulls().unique().sort().to_list()).close(wanted)
    kind = "futures" if types == (FUTURE,) else "options" if FUTURE not in types else "contracts"
    return UnknownInstrument(name, close, hint=f"There are no {kind} on it here.")
