"""The live option chain: quotes, implied volatilities and greeks by strike. Pure; any thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.calendar import IST, SECOND, stops_trading
from kitepolars.errors import ConfigError
from kitepolars.options.black76 import DAYS_OF_YEAR, Array, greeks, implied_volatility
from kitepolars.options.quotes import LastTicks, Quotes, forward_of
from kitepolars.wire.layouts import SEGMENT_MASK, SEGMENTS

OPTION_TYPE_OF_SIDE: Final = {"call": "CE", "put": "PE"}
"""The two halves of a chain and their kind of option."""

QUOTE_COLUMNS: Final = {
    "last_price": pl.Float64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "volume": pl.UInt32(),
    "oi": pl.UInt32(),
}
"""What a chain shows of the last tick of each contract."""

MODEL_COLUMNS: Final = ("iv", "delta", "gamma", "theta", "vega")
"""What it shows of the model: `implied_volatility` and `greeks`."""

CHAIN_COLUMNS: Final = ("underlying", "expiry", "strike", "call_token", "put_token")
"""The columns that a chain must have; `Instruments.option_chain` returns them."""

MAX_AGE: Final = dt.timedelta(minutes=5)
"""The age above which a quote or a trade is stale."""

_OUTWARDS: Final = (*QUOTE_COLUMNS, *MODEL_COLUMNS, "symbol", "token")


def join_chain(
    chain: pl.DataFrame,
    latest: pl.DataFrame,
    *,
    forward: float | None = None,
    rate: float = 0.0,
    at: dt.datetime | None = None,
    strikes: int | None = None,
    max_age: dt.timedelta = MAX_AGE,
    future: int | None = None,
    references: Sequence[int] = (),
) -> pl.DataFrame:
    """Put the latest quotes, implied volatilities and greeks beside the strikes of a chain.

    A contract's price is the midpoint of its best bid and ask. If a side is empty or the spread
    is absurdly wide, it is the last trade, raised to a higher bid or lowered to a lower ask.
    There is no price, and the model's columns are null, if the book is crossed, if quotes and
    trades are older than `max_age`, and if there is no midpoint and the contract has not traded
    today. They are also null for a price outside the model's bounds, such as one below
    intrinsic value.

    Parameters
    ----------
    chain
        The result of `Instruments.option_chain`.
    latest
        The last tick of each instrument, as ``ticker.latest()`` returns it; columns that a mode
        does not fill may be null or absent. Only the rows of the chain's contracts, of `future`
        and of `references` are used.
    forward
        The forward price of the underlying for the day of expiry, in rupees. By default it is
        implied: the median of put-call parity over the seven strikes nearest to the money that
        are quoted on both sides; with fewer than three such strikes, the price of `future`.
    rate
        Annual interest rate, continuously compounded, as a fraction: 0.065 for 6.5 %.
    at
        The time of valuation; by default the time of the chain's newest tick. A time without a
        zone is Indian.
    strikes
        Strikes to keep on each side of the money, 0 and up; all by default. The money is the
        forward; if that is unknown, the last price of the first of `future` and `references`
        that is live; without any, the middle of the strikes that have ticked, or of the chain.
    max_age
        The age above which a quote or a trade is stale.
    future
        Token of a future whose price is the forward: one with the same expiry or, if the option
        is exercised into a future, that future.
    references
        Tokens of the index or share, or of other futures on it, in order of preference.

    Returns
    -------
    DataFrame
        ``underlying``, ``expiry``, the calls' columns from the symbol inwards to the last
        price, ``strike``, the puts' outwards, ``forward`` (rupees) and ``years`` until trading
        ends on the day of expiry. Of each side: ``token``, ``symbol``, ``last_price``, ``bid``,
        ``ask`` (rupees; null if there is none), ``volume``, ``oi`` (units), ``iv``
        (annualised, a fraction), ``delta``, ``gamma``, ``theta`` (rupees a day), ``vega``
        (rupees a percentage point).

    Raises
    ------
    ConfigError
        If a column is missing, `strikes` or `max_age` is negative, or the chain has prices but
        no time at which to value them.

    Examples
    --------
    >>> chain = pl.DataFrame(
    ...     {
    ...         "underlying": ["ABC"],
    ...         "expiry": [dt.date(2026, 11, 26)],
    ...         "strike": [100.0],
    ...         "call_token": [258],
    ...         "put_token": [514],
    ...     }
    ... )
    >>> latest = pl.DataFrame({"instrument_token": [258, 514], "last_price": [3.0, 2.0]})
    >>> live = join_chain(chain, latest, at=dt.datetime(2026, 11, 20, 10))
    >>> live.select("forward", pl.col("call_iv", "put_iv").round(3)).rows()
    [(101.0, 0.471, 0.471)]
    """
    priced = price_chain(
        chain,
        latest,
        forward=forward,
        rate=rate,
        at=at,
        strikes=strikes,
        max_age=max_age,
        future=future,
        references=references,
    )
    return priced.frame()


@dataclass(frozen=True, eq=False)
class PricedChain:
    """The strikes of a chain with quotes and the model's numbers, as arrays; NaN where unknown.

    Parameters
    ----------
    contracts
        The rows of the chain that were kept, by expiry and strike.
    sides
        Field of a contract → its values, a row for the calls and one for the puts: those of
        `QUOTE_COLUMNS` and `MODEL_COLUMNS`.
    forward, years
        By strike, as in `join_chain`.
    open_interest
        That of all contracts of the chain, kept or not.
    """

    contracts: pl.DataFrame
    sides: Mapping[str, Array]
    forward: Array
    years: Array
    open_interest: Array

    def frame(self) -> pl.DataFrame:
        """Return the columns of `join_chain`."""
        return _frame(self.contracts, self.sides, {"forward": self.forward, "years": self.years})


def price_chain(
    chain: pl.DataFrame,
    latest: pl.DataFrame,
    *,
    forward: float | None = None,
    rate: float = 0.0,
    at: dt.datetime | None = None,
    strikes: int | None = None,
    max_age: dt.timedelta = MAX_AGE,
    future: int | None = None,
    references: Sequence[int] = (),
) -> PricedChain:
    """Return what `join_chain` returns as arrays; for views, which need no frame."""
    _require(chain, CHAIN_COLUMNS, "chain")
    _require(latest, ("instrument_token", "last_price"), "latest")
    if strikes is not None and strikes < 0:
        raise ConfigError("strikes", strikes, "0 or more")
    if max_age < dt.timedelta(0):
        raise ConfigError("max_age", max_age, "0 or more")
    chain = _by_strike(chain)
    strike = chain["strike"].to_numpy()
    tokens = np.stack(
        [
            np.nan_to_num(chain[f"{side}_token"].to_numpy()).astype(np.uint32)  # null is NaN there
            for side in OPTION_TYPE_OF_SIDE
        ]
    )
    ticks = LastTicks(latest)
    contracts = Quotes(ticks, tokens, strike)
    underlying = Quotes(ticks, np.array([future or 0, *references], np.uint32), np.array(np.nan))
    now, age = _valued_at(at, contracts, underlying), max_age / dt.timedelta(microseconds=1)
    prices, futures = contracts.prices(now, age), underlying.prices(now, age).value
    ticked: npt.NDArray[np.bool_] = np.any(np.isfinite(contracts.last_price), axis=0)
    years, forwards = np.full((2, len(strike)), np.nan)
    kept = [np.empty(0, np.intp)]
    for expiry in _expiries(chain):
        years[expiry] = left = _years(chain.row(expiry.start, named=True), now)
        growth = float(np.exp(rate * np.nan_to_num(left)))
        implied = forward_of(strike[expiry], prices.at(expiry), growth=growth, future=futures[0])
        forwards[expiry] = found = implied if forward is None else forward
        money = found if np.isfinite(found) else underlying.first_live(age)
        kept.append(expiry.start + _near(money, strike[expiry], ticked[expiry], strikes))
    rows = np.concatenate(kept)
    terms = {"forward": forwards[rows], "strike": strike[rows], "years": years[rows], "rate": rate}
    sides = {name: getattr(contracts, name)[:, rows] for name in QUOTE_COLUMNS}
    return PricedChain(
        contracts=chain[rows],
        sides=sides | _model(prices.value[:, rows], terms),
        forward=forwards[rows],
        years=years[rows],
        open_interest=contracts.oi,
    )


def _require(frame: pl.DataFrame, names: tuple[str, ...], field: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        lacking = f"{field} has no columns {', '.join(missing)}"
        raise ConfigError(field, frame.columns, message=lacking)


def _valued_at(at: dt.datetime | None, contracts: Quotes, underlying: Quotes) -> float:
    """Return the time of valuation in microseconds since the epoch; NaN if nothing has ticked."""
    if at is not None:
        at = at.replace(tzinfo=IST) if at.tzinfo is None else at
        return at.timestamp() * SECOND
    newest = contracts.newest()
    if np.isnan(newest):
        newest = underlying.newest()
    if np.isnan(newest) and np.isfinite(contracts.last_price).any():
        unknown = "pass at: no tick of the chain has exchange_timestamp or received_at"
        raise ConfigError("at", at, message=unknown)
    return newest


def _by_strike(chain: pl.DataFrame) -> pl.DataFrame:
    """Return a chain by expiry, then by strike; most are, and sorting takes longer than to see."""
    day, strike = chain["expiry"].to_numpy(), chain["strike"].to_numpy()
    later, higher = day[1:] > day[:-1], (day[1:] == day[:-1]) & (strike[1:] >= strike[:-1])
    return chain if (later | higher).all() else chain.sort("expiry", "strike")


def _expiries(chain: pl.DataFrame) -> list[slice]:
    """Return the rows of each expiry of a sorted chain."""
    days = chain["expiry"].to_numpy()
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1)).tolist()
    return [slice(*pair) for pair in pairwise([*starts, len(days)])]


def _years(contract: Mapping[str, Any], now: float) -> float:
    """Return the time until a contract stops trading, 0 afterwards."""
    token = contract["call_token"] or contract["put_token"]
    segment = SEGMENTS.get(token & SEGMENT_MASK)
    end = stops_trading(
        segment.name if segment else "",
        contract["expiry"],
        underlying=contract["underlying"],
        expires=True,
    )
    return float(np.maximum(end.timestamp() - now / SECOND, 0.0)) / (DAYS_OF_YEAR * 86_400)


def _near(
    money: float, strike: Array, ticked: npt.NDArray[np.bool_], count: int | None
) -> npt.NDArray[np.intp]:
    """Return the rows near the money or, if that is unknown, near the strikes that have ticked."""
    rows = np.arange(len(strike))
    if count is None:
        return rows
    if np.isfinite(money):
        centre = int(np.abs(strike - money).argmin())
    else:
        likely = rows[ticked] if ticked.any() else rows
        centre = int(likely[len(likely) // 2])
    return rows[max(centre - count, 0) : centre + count + 1]


def _model(value: Array, terms: dict[str, Any]) -> dict[str, Array]:
    """Return volatilities and greeks of calls and puts; shape ``(2, strikes)``."""
    kinds = np.array([[kind] for kind in OPTION_TYPE_OF_SIDE.values()])
    iv = implied_volatility(kinds, value, **terms)
    moves = greeks(kinds, volatility=iv, **terms)
    return {"iv": iv} | {name: getattr(moves, name) for name in MODEL_COLUMNS[1:]}


def _frame(
    chain: pl.DataFrame, sides: Mapping[str, Array], both: Mapping[str, Array]
) -> pl.DataFrame:
    """Order the columns: calls from the symbol inwards, strike, puts outwards."""
    numbers = {
        f"{side}_{name}": column
        for name, columns in sides.items()
        for side, column in zip(OPTION_TYPE_OF_SIDE, columns, strict=True)
    }
    columns = {column.name: column for column in chain.get_columns()}
    for name, values in {**numbers, **both}.items():
        dtype = QUOTE_COLUMNS.get(name.partition("_")[2], pl.Float64())
        column = pl.Series(name, values, nan_to_null=True)
        columns[name] = column if dtype == pl.Float64() else column.cast(dtype)
    calls = [f"call_{name}" for name in reversed(_OUTWARDS)]
    puts = [f"put_{name}" for name in _OUTWARDS]
    order = ("underlying", "expiry", *calls, "strike", *puts, *both)
    return pl.DataFrame([columns[name] for name in order if name in columns])
