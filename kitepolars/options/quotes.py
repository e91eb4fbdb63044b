"""What the contracts of a chain are worth now: their prices, and the forward. Pure; any thread.

Everything is a NumPy array of float64 with one element a contract, NaN where nothing is known.
Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.options.black76 import Array

SECOND: Final = 1_000_000
"""Microseconds of a second."""

_FIELDS: Final = {
    "last_price": ("last_price", pl.col("last_price")),
    "bid": ("bid_price", pl.col("bid_price").arr.first()),
    "ask": ("ask_price", pl.col("ask_price").arr.first()),
    "volume": ("volume_traded", pl.col("volume_traded")),
    "oi": ("oi", pl.col("oi")),
    "exchange_timestamp": ("exchange_timestamp", pl.col("exchange_timestamp").dt.epoch("us")),
    "last_trade_time": ("last_trade_time", pl.col("last_trade_time").dt.epoch("us")),
    "received_at": ("received_at", pl.col("received_at").dt.epoch("us")),
}
"""Field → the column of a tick that it comes from, and how."""

_CLOCK_SKEW: Final = 60 * SECOND  # of an exchange's clock ahead of ours
_EARLIEST: Final = 946_684_800 * SECOND  # 2000-01-01: what lies before it was never a time
_LONGEST_LEAD: Final = 12 * 3_600 * SECOND  # of one contract's clock over those of its chain

_WIDEST_SPREAD: Final = 0.5  # of the middle of bid and ask
_NARROW_SPREAD: Final = 1e-4  # of the strike; a few tick sizes, which are much of a cheap option
_WIDEST_PAIR: Final = 0.01  # of the strike: how far the spreads leave a forward undecided
_PAIRS: Final = 7  # strikes at the money whose median is the forward
_SEVERAL: Final = 3  # pairs, of which one that is wrong is outvoted
_ROUNDS: Final = 8


@dataclass(frozen=True)
class Prices:
    """What contracts are worth, in rupees.

    Parameters
    ----------
    value
        The price; NaN where nobody says it.
    spread
        Ask less bid where the price is their middle; NaN where it is that of a trade.
    """

    value: Array
    spread: Array

    def at(self, strikes: slice) -> Prices:
        """Return the prices at some of the strikes, the last axis."""
        return Prices(self.value[..., strikes], self.spread[..., strikes])


class LastTicks:
    """The last tick of each instrument, as numbers.

    Parameters
    ----------
    latest
        Ticks, in arrival order; columns that a mode does not fill may be null or absent.
    """

    def __init__(self, latest: pl.DataFrame) -> None:
        numbers = latest.select(
            expression.cast(pl.Float64).alias(name)
            if column in latest.columns
            else pl.lit(None, pl.Float64).alias(name)
            for name, (column, expression) in _FIELDS.items()
        )
        self._numbers = numbers.to_numpy()
        self._tokens = latest["instrument_token"].to_numpy()
        self._order = np.argsort(self._tokens, kind="stable")

    def fields(self, tokens: npt.NDArray[np.uint32]) -> dict[str, Array]:
        """Return the fields of some instruments, each in an array of the shape of `tokens`."""
        found = np.full((len(_FIELDS), *tokens.shape), np.nan)
        if len(self._tokens):
            places = np.searchsorted(self._tokens, tokens, side="right", sorter=self._order)
            rows = self._order[places - 1]
            known = self._tokens[rows] == tokens
            found[:, known] = self._numbers[rows[known]].T
        return dict(zip(_FIELDS, found, strict=True))


class Quotes:
    """What the last ticks of some contracts say.

    Parameters
    ----------
    ticks
        The last ticks.
    tokens
        The contracts, in an array of any shape; 0 for none.
    strikes
        Their strikes in rupees, of a shape that broadcasts; NaN for what is no option.
    """

    def __init__(self, ticks: LastTicks, tokens: npt.NDArray[np.uint32], strikes: Array) -> None:
        fields = ticks.fields(tokens)
        self.strikes = strikes
        self.last_price, self.bid, self.ask = (
            np.where(fields[name] > 0, fields[name], np.nan)  # 0 is how Kite sends "none"
            for name in ("last_price", "bid", "ask")
        )
        self.volume, self.oi = fields["volume"], fields["oi"]
        self.last_trade_time = fields["last_trade_time"]
        self.time = _time(fields["exchange_timestamp"], fields["received_at"])
        """When each tick happened."""

    def newest(self) -> float:
        """Return the time of the newest tick; NaN if none has a time.

        A single time far ahead of the others is not believed.
        """
        known = self.time[np.isfinite(self.time)]
        if not len(known):
            return float("nan")
        return float(known[known <= np.median(known) + _LONGEST_LEAD].max())

    def prices(self, at: float, max_age: float) -> Prices:
        """Return what the contracts are worth at a time.

        The middle of bid and ask, where both are there, the book is not crossed, not absurdly
        wide and not stale. Otherwise the last trade, if it is fresh, within bid and ask: the
        contract is worth at least its bid and at most its ask.

        Parameters
        ----------
        at
            The time. NaN if unknown: then nothing is stale.
        max_age
            The age in microseconds from which a quote or a trade is stale.
        """
        bid, ask = self.bid, self.ask
        with np.errstate(invalid="ignore"):
            live = ~(at - self.time > max_age)
            crossed = bid > ask
            middle, spread = (bid + ask) / 2, ask - bid
            widest = np.fmax(_WIDEST_SPREAD * middle, _NARROW_SPREAD * self.strikes)
            quoted = live & (spread >= 0) & (spread <= widest)
            bounded = np.fmin(np.fmax(self.last_price, bid), ask)
            fresh = ~(at - self.last_trade_time > max_age)
            # A trade that is stale says nothing, but a bid above it does.
            is_bound = (bounded != self.last_price) & ~np.isfinite(spread)
            traded = np.isfinite(self.last_price) & (self.volume != 0) & (fresh | is_bound)
        value = np.where(quoted, middle, np.where(traded & live & ~crossed, bounded, np.nan))
        return Prices(value, np.where(quoted, spread, np.nan))

    def first_live(self, max_age: float) -> float:
        """Return the last price of the first instrument that is not stale; NaN without any.

        Parameters
        ----------
        max_age
            As for `prices`; the newest of these ticks has an age of 0.
        """
        with np.errstate(invalid="ignore"):
            live = np.isfinite(self.last_price) & ~(self.newest() - self.time > max_age)
        prices = self.last_price[live]
        return float(prices[0]) if len(prices) else float("nan")


def forward_of(strikes: Array, prices: Prices, *, growth: float, future: float) -> float:
    """Return the forward of an expiry in rupees; NaN where nothing says it.

    Put-call parity makes a forward of each strike at which both sides have a price:
    ``strike + growth * (call - put)``. It is the median over the strikes nearest to the money,
    so that one bad strike does not move it. Where fewer than three are quoted, it is the price
    of the future.

    Parameters
    ----------
    strikes
        In rupees.
    prices
        Of the calls and of the puts; shape ``(2, strikes)``.
    growth
        What a rupee of today is on the day of expiry.
    future
        The price of a future that is this forward; NaN without one.

    Examples
    --------
    >>> middles = np.array([[14.0, 7.0, 3.0], [2.0, 5.0, 11.0]])
    >>> prices = Prices(value=middles, spread=np.full((2, 3), 0.5))
    >>> forward_of(np.array([90.0, 100.0, 110.0]), prices, growth=1.0, future=np.nan)
    102.0
    """
    call, put = prices.value
    implied = strikes + growth * (call - put)
    with np.errstate(invalid="ignore"):
        quoted = growth * prices.spread.mean(axis=0) <= _WIDEST_PAIR * strikes
    if np.count_nonzero(quoted) < _SEVERAL and np.isfinite(future):
        return future
    usable = quoted if quoted.any() else np.isfinite(implied)
    return _at_the_money(strikes[usable], implied[usable])


def _at_the_money(strikes: Array, implied: Array) -> float:
    """Return the median forward of the strikes nearest to it."""
    if not len(implied):
        return float("nan")
    forward = float(np.median(implied))
    for _ in range(_ROUNDS):
        nearest = np.argsort(np.abs(strikes - forward), kind="stable")[:_PAIRS]
        before, forward = forward, float(np.median(implied[nearest]))
        if forward == before:
            break
    return forward


def _time(exchange: Array, received: Array) -> Array:
    """Return the exchange's time, or that of arrival where the former is missing or impossible."""
    with np.errstate(invalid="ignore"):
        possible = (exchange >= _EARLIEST) & ~(exchange > received + _CLOCK_SKEW)
    return np.where(possible, exchange, received)
