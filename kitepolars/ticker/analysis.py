"""The façade's answers about ticks: the market now, candles, books, chains. Calling thread.

Each is a pure function of `kitepolars.analytics` or `kitepolars.options` on a
snapshot of the ticks; candles are kept, and only brought up to date.
"""

from __future__ import annotations

import datetime as dt
import threading
from functools import cached_property

import polars as pl

from kitepolars.analytics import CandleBuilder, Clock
from kitepolars.analytics import depth as depth_of
from kitepolars.analytics import movers as movers_of
from kitepolars.analytics.market import with_market
from kitepolars.errors import UnknownInstrument
from kitepolars.instruments import Instrument, SomeInstruments
from kitepolars.ticker.core import TickerCore


class _Bars:
    """Candles of one interval, and how far they have read. Any thread, one at a time."""

    def __init__(self, every: str | dt.timedelta, on: Clock) -> None:
        self._builder = CandleBuilder(every, on=on)
        self._next = 0
        self._lock = threading.Lock()

    def read(self, ticker: TickerCore, *, include_partial: bool, fill: bool) -> pl.DataFrame:
        """Take in the ticks that are new, and return the bars of all."""
        with self._lock:
            held = ticker.held()
            self._builder.update(held.since(self._next))
            self._next = held.total
            return self._builder.frame(include_partial=include_partial, fill=fill)


class _Candles:
    """The candles that have been asked for, by interval and clock. Any thread."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str | dt.timedelta, Clock], _Bars] = {}
        self._lock = threading.Lock()

    def bars(self, every: str | dt.timedelta, on: Clock) -> _Bars:
        """Return the bars of an interval, begun now or before."""
        with self._lock:
            if (every, on) not in self._bars:
                self._bars[every, on] = _Bars(every, on)
            return self._bars[every, on]


class Analysis(TickerCore):
    """What a `Ticker` answers about its ticks."""

    @cached_property
    def _candles(self) -> _Candles:
        return _Candles()

    def latest(self) -> pl.DataFrame:
        """Return the last tick of each instrument. It costs the same whatever the history.

        Returns
        -------
        polars.DataFrame
            The columns of `frame`, then ``change`` (percent to the previous close),
            ``range_position`` (0 at the day's low, 1 at its high) and ``staleness`` (the time
            since the tick arrived); in the order in which instruments were first subscribed.
        """
        return with_market(self.held().latest(), now=dt.datetime.now(dt.UTC))

    def movers(self, n: int = 10) -> pl.DataFrame:
        """Return the instruments that rose most and those that fell most since the last close.

        Parameters
        ----------
        n
            How many of each, at most.

        Raises
        ------
        ConfigError
            If `n` is not a positive whole number.
        """
        return movers_of(self.latest(), n)

    def depth(self, instrument: Instrument) -> pl.DataFrame:
        """Return the order book of an instrument's last tick: five bids, five asks, best first.

        Parameters
        ----------
        instrument
            A name such as ``"NSE:INFY"`` or a token.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.DEPTH`; prices in rupees.

        Raises
        ------
        UnknownInstrument
            When there is no such instrument, or no tick of it yet.
        ConfigError
            When it has no book: an index, or not in full mode.
        """
        token = self.instruments.resolve(instrument)
        ticks = self.held().latest()
        if token not in ticks["instrument_token"]:
            hint = "There is no tick of it yet: subscribe it in full mode, or wait for the first."
            raise UnknownInstrument(str(instrument), hint=hint)
        return depth_of(ticks, token)

    def candles(
        self,
        every: str | dt.timedelta = "1m",
        instruments: SomeInstruments | None = None,
        *,
        on: Clock = "exchange_timestamp",
        include_partial: bool = True,
        fill: bool = False,
    ) -> pl.DataFrame:
        """Return open, high, low, close and volume of intervals, aligned to the session.

        Asking again costs the ticks that came since, not the day.

        Parameters
        ----------
        every
            ``"1s"`` to ``"1d"``, or a `datetime.timedelta`.
        instruments
            Only these; all by default.
        on
            The clock that cuts the bars: ``"exchange_timestamp"`` or ``"received_at"``.
        include_partial
            Whether to include bars that are not over yet.
        fill
            Whether to put flat bars where nothing traded.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.CANDLES`; prices in rupees, ``start`` in
            Asia/Kolkata.

        Raises
        ------
        ConfigError
            When the interval or the clock is impossible.
        """
        tokens = None if instruments is None else self.instruments.tokens(instruments)
        bars = self._candles.bars(every, on)
        frame = bars.read(self, include_partial=include_partial, fill=fill)
        return frame if tokens is None else frame.filter(pl.col("instrument_token").is_in(tokens))

    def option_chain(
        self,
        underlying: str,
        expiry: dt.date | str | None = None,
        *,
        strikes: int | None = 10,
        exchange: str | None = None,
        rate: float = 0.0,
    ) -> pl.DataFrame:
        """Return calls and puts side by side around the money, with live quotes and greeks.

        Subscribe the chain first: ``ticker.subscribe(ticker.instruments.option_chain("NIFTY"))``.
        Contracts without a tick have nulls.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, ``"CRUDEOIL"``, …
        expiry
            A date or YYYY-MM-DD; the nearest by default.
        strikes
            How many strikes on each side of the forward; None for all.
        exchange
            Where, if the options are listed on several.
        rate
            The continuously compounded interest rate of a year, as a fraction.

        Returns
        -------
        polars.DataFrame
            As `kitepolars.options.join_chain`.

        Raises
        ------
        UnknownInstrument
            When there are no options on it.
        ConfigError
            When none expires on that day.
        """
        from kitepolars.options import join_chain  # noqa: PLC0415 - loaded on use

        chain = self.instruments.option_chain(underlying, expiry, exchange=exchange)
        return join_chain(chain, self.latest(), rate=rate, strikes=strikes)
