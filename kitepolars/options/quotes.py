"""Prices of a chain's contracts from their quotes and trades, and the forward. Pure; any thread.

Everything is a NumPy array of float64 with one element per contract, NaN where unknown.
Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.calendar import EARLIEST_TIME, SECOND
from kitepolars.options.black76 import Array

_QUOTE_FIELDS: Final = {
    name: (column, expression.cast(pl.Float64).alias(name))
    for name, column, expression in (
        ("last_price", "last_price", pl.col("last_price")),
        ("bid", "bid_price", pl.col("bid_price").arr.first()),
        ("ask", "ask_price", pl.col("ask_price").arr.first()),
        ("volume", "volume_traded", pl.col("volume_traded")),
        ("oi", "oi", pl.col("oi")),
        *(
            (time, time, pl.col(time).dt.epoch("us"))
            for time in ("exchange_timestamp", "last_trade_time", "received_at")
        ),
    )
}
"""Field → the column of a tick, and the expression that reads it."""

_CLOCK_SKEW: Final = 60 * SECOND  # by which an exchange's clock may be ahead of ours
_LONGEST_LEAD: Final = 12 * 3_600 * SECOND  # of one contract's clock over the median of its chain

_WIDEST_SPREAD: Final = 0.5  # of the middle of bid and ask
_NARROW_SPREAD: Final = 1e-4  # of the strike: a few tick sizes are a large share of a cheap option
_WIDEST_PAIR: Final = 0.01  # of the strike: the half-spreads of call and put together
_NEAREST_PAIRS: Final = 7  # at the money; their median is the forward
_ENOUGH_PAIRS: Final = 3  # pairs: one wrong pair is outvoted
_FIT_ROUNDS: Final = 8


@dataclass(frozen=True)
class Prices:
    """Prices of contracts, in rupees.

    Parameters
    ----------
    value
        The price; NaN if unknown.
    spread
        Ask minus bid where the price is their midpoint; NaN where it comes from a trade.
    """

    value: Array
    spread: Array

    def at(self, strikes: slice) -> Prices:
        """Return the prices at some strikes, which are the last axis."""
        return Prices(self.value[..., strikes], self.spread[..., strikes])


class LastTicks:
    """The last tick of each instrument, as one array of numbers.

    Parameters
    ----------
    latest
        Ticks, in arrival order; columns that a mode does not fill may be null or absent.
    """

    def __init__(self, latest: pl.DataFrame) -> None:
        there = set(latest.columns)
        numbers = latest.select_seq(
            expression if column in there else pl.lit(None, pl.Float64).alias(name)
            for name, (column, expression) in _QUOTE_FIELDS.items()
        )
        self._numbers = numbers.to_numpy()
        self._tokens = latest["instrument_token"].to_numpy()
        self._order = np.argsort(self._tokens, kind="stable")

    def fields(self, tokens: npt.NDArray[np.uint32]) -> dict[str, Array]:
        """Return the fields of some instruments, each in an array of the shape of `tokens`."""
        found = np.full((len(_QUOTE_FIELDS), *tokens.shape), np.nan)
        if len(self._tokens):
            places = np.searchsorted(self._tokens, tokens, side="right", sorter=self._order)
            rows = self._order[places - 1]
            known = self._tokens[rows] == tokens
            found[:, known] = self._numbers[rows[known]].T
        return dict(zip(_QUOTE_FIELDS, found, strict=True))


class Quotes:
    """The quotes and trades of contracts, from their last ticks.

    Parameters
    ----------
    ticks
        The last ticks.
    tokens
        Tokens of the contracts, in an array of any shape; 0 where there is no contract.
    strikes
        Their strikes in rupees, in a shape that broadcasts; NaN for futures and indices.
    """

    def __init__(self, ticks: LastTicks, tokens: npt.NDArray[np.uint32], strikes: Array) -> None:
        fields = ticks.fields(tokens)
        self.strikes = strikes
        self.last_price, self.bid, self.ask = (
            np.where(fields[name] > 0, fields[name], np.nan)  # Kite sends 0 for "none"
            for name in ("last_price", "bid", "ask")
        )
        self.volume, self.oi = fields["volume"], fields["oi"]
        self.last_trade_time = fields["last_trade_time"]
        self.time = _time(fields["exchange_timestamp"], fields["received_at"])
        """When each tick happened."""

    def newest(self) -> float:
        """Return the time of the newest tick; NaN if none has a time.

        A time more than 12 hours ahead of the median is ignored.
        """
        known = self.time[np.isfinite(self.time)]
        if not len(known):
            return float("nan")
        return float(known[known <= np.median(known) + _LONGEST_LEAD].max())

    def prices(self, at: float, max_age: float) -> Prices:
        """Return the prices of the contracts at a time.

        The midpoint of bid and ask if both exist and the book is neither crossed, absurdly wide
        nor stale. Otherwise the last trade, if it is fresh, clipped to bid and ask: a contract
        is worth at least its bid and at most its ask.

        Parameters
        ----------
        at
            The time; if it is NaN, nothing is stale.
        max_age
            The age in microseconds above which a quote or a trade is stale.
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
            # A stale trade is ignored, unless a live bid is above it or a live ask below it.
            is_bound = (bounded != self.last_price) & ~np.isfinite(spread)
            traded = np.isfinite(self.last_price) & (self.volume != 0) & (fresh | is_bound)
        value = np.where(quoted, middle, np.where(traded & live & ~crossed, bounded, np.nan))
        return Prices(value, np.where(quoted, spread, np.nan))

    def first_live(self, max_age: float) -> float:
        """Return the last price of the first instrument that is not stale; NaN without any.

        Parameters
        ----------
        max_age
            As for `prices`; ages are relative to the newest of these ticks.
        """
        with np.errstate(invalid="ignore"):
            live = np.isfinite(self.last_price) & ~(self.newest() - self.time > max_age)
        prices = self.last_price[live]
        return float(prices[0]) if len(prices) else float("nan")


def forward_of(strikes: Array, prices: Prices, *, growth: float, future: float) -> float:
    """Return the forward of an expiry in rupees; NaN if unknown.

    By put-call parity, each strike at which call and put have a price implies a forward:
    ``strike + growth * (call - put)``. The result is the median over the strikes nearest to
    the money, so one bad strike does not move it. If fewer than three strikes are quoted on
    both sides, it is the price of the future; without one, the median of what there is.

    Parameters
    ----------
    strikes
        In rupees.
    prices
        Of the calls and of the puts; shape ``(2, strikes)``.
    growth
        The value at expiry of a rupee today: ``exp(rate * years)``.
    future
        The price of a future that settles at this forward; NaN if there is none.

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
    if np.count_nonzero(quoted) < _ENOUGH_PAIRS and np.isfinite(future):
        return future
    usable = quoted if quoted.any() else np.isfinite(implied)
    return _at_the_money(strikes[usable], implied[usable])


def _at_the_money(strikes: Array, implied: Array) -> float:
    """Return the median forward of the strikes nearest to it."""
    if not len(implied):
        return float("nan")
    forward = float(np.median(implied))
    for _ in range(_FIT_ROUNDS):
        nearest = np.argsort(np.abs(strikes - forward), kind="stable")[:_NEAREST_PAIRS]
        before, forward = forward, float(np.median(implied[nearest]))
        if forward == before:
            break
    return forward


def _time(exchange: Array, received: Array) -> Array:
    """Return the exchange's time, or the time of arrival if the former is missing or impossible."""
    with np.errstate(invalid="ignore"):
        possible = (exchange >= EARLIEST_TIME) & ~(exchange > received + _CLOCK_SKEW)
    return np.where(possible, exchange, received)
