"""Contracts by underlying: expiries, futures, option chains. Any thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import numpy as np
import polars as pl

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments.dump import EXCHANGES, OPTION_TYPES
from kitepolars.instruments.names import SpellingIndex

INDEX_UNDERLYINGS: Final = {
    "NIFTY 50": "NIFTY",
    "NIFTY BANK": "BANKNIFTY",
    "NIFTY FIN SERVICE": "FINNIFTY",
    "NIFTY MID SELECT": "MIDCPNIFTY",
    "NIFTY NEXT 50": "NIFTYNXT50",
}
"""Indices → what their contracts call them, where that differs (SENSEX and BANKEX do not)."""

_SPOTS: Final = {contract: index for index, contract in INDEX_UNDERLYINGS.items()}

FUTURE: Final = "FUT"
"""The ``instrument_type`` of futures."""

CONTRACT_TYPES: Final = (FUTURE, *OPTION_TYPES)
"""The values of ``instrument_type`` of futures and options."""

_PLURALS: Final = {(FUTURE,): "futures", OPTION_TYPES: "options"}

SHARE_DERIVATIVES: Final = frozenset({"NFO", "BFO"})
"""The exchanges whose contracts are on shares and on indices of shares."""

DEFAULT_STRIKES: Final = 10
"""Strikes on each side of the money, unless another number is given."""

_DATE: Final = r"\d{2}(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[1-9OND]\d{2})"
"""An expiry in a symbol, five characters: 26DEC, or 26D08 for a weekly one on 8 December."""

_YEAR_SHOWN_AFTER: Final = 300
"""Days after the nearest expiry from which a label contains the year of an expiry."""

_MONTH_SIGNS: Final = dict(enumerate("123456789OND", 1))
_OPTION_SIDES: Final = dict(zip(OPTION_TYPES, ("call", "put"), strict=True))


def _underlying_of_symbol() -> pl.Expr:
    """Return the underlying with which a contract's symbol begins.

    A symbol consists of the underlying, the expiry, and ``FUT`` or strike and option type. The
    underlying may begin and end with digits, so the row itself decides where it ends: at the five
    characters before its strike and type. Options of MCX expire in the month before the one in
    their symbol, so the row's expiry is only used where the symbol has another strike than the row.
    """
    symbol, strike, expiry = (pl.col(name) for name in ("tradingsymbol", "strike", "expiry"))
    kind = pl.col("instrument_type").cast(pl.String)
    tail = pl.when(kind == FUTURE).then(kind).otherwise(plain_number(strike) + kind)
    body = pl.when(symbol.str.ends_with(tail)).then(
        symbol.str.head(symbol.str.len_chars() - tail.str.len_chars())
    )
    year, sign = expiry.dt.strftime("%y"), expiry.dt.month().replace_strict(_MONTH_SIGNS)
    month = year + expiry.dt.strftime("%b").str.to_uppercase()
    week = year + sign + expiry.dt.strftime("%d")
    place = pl.coalesce(symbol.str.find(tag, literal=True) for tag in (month, week))
    return pl.coalesce(
        body.str.extract(rf"^(.+){_DATE}$"),
        pl.when(place > 0).then(symbol.str.head(place)),
        symbol.str.extract(rf"^(.+?){_DATE}"),
    )


def plain_number(column: pl.Expr) -> pl.Expr:
    """Return numbers as symbols contain them: ``26000``, ``84.5``."""
    return column.cast(pl.String).str.strip_suffix(".0")


UNDERLYING: Final = pl.coalesce("name", _underlying_of_symbol())
"""What a contract is on, from the columns of the dump, which may leave its ``name`` empty."""


class Contracts:
    """The futures and options of a dump, by underlying.

    Parameters
    ----------
    frame
        The dump's columns and ``symbol``.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        kind = pl.col("instrument_type").cast(pl.String)
        listed = frame.filter(pl.col("expiry").is_not_null(), kind.is_in(CONTRACT_TYPES))
        has_names = listed["name"].null_count() == 0
        underlying = pl.col("name") if has_names else UNDERLYING
        self._frame = listed.with_columns(underlying.alias("underlying"))
        self._keys = self._frame["underlying"].str.to_uppercase()

    def on(self, underlying: str, types: Sequence[str], exchange: str | None) -> pl.DataFrame:
        """Return the contracts on an underlying, by expiry and strike.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, or the name of the index or share: ``"NSE:NIFTY 50"``.
        types
            Values of ``instrument_type``.
        exchange
            The exchange; None for the first of NFO, BFO, MCX, … with such contracts.

        Raises
        ------
        UnknownInstrument
            If there are none; with the underlyings that are spelt alike.
        """
        found = self._all_on(underlying).filter(
            pl.col("instrument_type").cast(pl.String).is_in(types)
        )
        if exchange is not None:
            found = found.filter(pl.col("exchange").cast(pl.String) == exchange.upper())
        if found.is_empty():
            raise self._unknown(underlying, types)
        first = min(found["exchange"].unique().to_list(), key=_preference)
        return found.filter(pl.col("exchange").cast(pl.String) == first).sort(
            "expiry", "strike", "tradingsymbol"
        )

    def exchanges(self, underlying: str) -> set[str]:
        """Return the exchanges that list contracts on an underlying."""
        return set(self._all_on(underlying)["exchange"].cast(pl.String))

    def _all_on(self, underlying: str) -> pl.DataFrame:
        return self._frame.filter(self._keys == underlying_name(underlying))

    def _unknown(self, underlying: str, types: Sequence[str]) -> UnknownInstrument:
        is_listed = pl.col("instrument_type").cast(pl.String).is_in(types)
        names = self._frame.filter(is_listed)["underlying"].drop_nulls().unique().sort().to_list()
        close = SpellingIndex(names).close(underlying_name(underlying))
        kind = _PLURALS.get(tuple(types), "contracts")
        return UnknownInstrument(underlying, close, hint=f"There are no {kind} on it here.")


def label(nearest: date | None) -> pl.Expr:
    """Return the name that traders use, ``"NIFTY 1 Dec 26000 CE"``, or ``"INFY"`` for a share.

    Parameters
    ----------
    nearest
        The first expiry of the dump; expiries long after it are written with their year.

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
    option = pl.concat_str(UNDERLYING, day, plain_number(pl.col("strike")), kind, separator=" ")
    future = pl.concat_str(UNDERLYING, day, kind, separator=" ")
    return (
        pl.when(kind.is_in(OPTION_TYPES))
        .then(option)
        .when(kind == FUTURE)
        .then(future)
        .fill_null(pl.col("tradingsymbol"))
        .alias("label")
    )


def underlying_name(name: str) -> str:
    """Return the name of an underlying in its contracts.

    Examples
    --------
    >>> underlying_name("NSE:NIFTY 50"), underlying_name("crudeoil")
    ('NIFTY', 'CRUDEOIL')
    """
    symbol = " ".join(name.rpartition(":")[2].split()).upper()
    return INDEX_UNDERLYINGS.get(symbol, symbol)


def spot_name(underlying: str) -> str:
    """Return the tradingsymbol of the index or share that contracts are on.

    Examples
    --------
    >>> spot_name("NIFTY"), spot_name("infy")
    ('NIFTY 50', 'INFY')
    """
    name = underlying_name(underlying)
    return _SPOTS.get(name, name)


def chosen_expiry(options: pl.DataFrame, expiry: date | str | None, today: date) -> date:
    """Return the requested expiry; by default the nearest that has not passed.

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
        If no contract expires on that day; with the days on which some do.
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
    """Put the calls and puts of one expiry side by side, one row per strike.

    Parameters
    ----------
    options
        The contracts of one expiry.
    around
        A price in rupees; only strikes near it are returned.
    strikes
        Strikes on each side of the one nearest to ``around``, 0 and up; 10 by default.

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
        needed = "strikes are counted from a price: pass around, too"
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
        A chain, sorted by ``strike``.
    around
        The price in rupees.
    strikes
        The number of strikes to keep on each side of the one nearest to it.
    """
    if chain.is_empty():
        return chain
    centre = int(np.abs(chain["strike"].to_numpy() - around).argmin())
    first = max(centre - strikes, 0)
    return chain.slice(first, centre + strikes + 1 - first)


def today_in_india() -> date:
    """Return the current date in India."""
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
