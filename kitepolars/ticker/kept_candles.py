"""The candles that a ticker has been asked for, kept up to date. Any thread."""

from __future__ import annotations

import datetime as dt
import threading

import polars as pl

from kitepolars.analytics import CandleBuilder, Clock
from kitepolars.ticker.runtime import Runtime


class _Bars:
    """Candles of one interval, and how far they have read. Any thread, one at a time."""

    def __init__(self, every: str | dt.timedelta, on: Clock) -> None:
        self._builder = CandleBuilder(every, on=on)
        self._next = 0
        self._lock = threading.Lock()

    def read(self, runtime: Runtime, *, include_partial: bool, fill: bool) -> pl.DataFrame:
        """Take in the ticks that are new, and return all bars."""
        with self._lock:
            held = runtime.held()
            self._builder.update(held.since(self._next))
            self._next = held.total
            return self._builder.frame(include_partial=include_partial, fill=fill)


class KeptCandles:
    """The candles that have been asked for, by interval and clock.

    Parameters
    ----------
    runtime
        The ticker's parts.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._bars: dict[tuple[str | dt.timedelta, Clock], _Bars] = {}
        self._lock = threading.Lock()

    def frame(
        self, every: str | dt.timedelta, on: Clock, *, include_partial: bool, fill: bool
    ) -> pl.DataFrame:
        """Return the bars of an interval; asking again costs the ticks that came since."""
        with self._lock:
            if (every, on) not in self._bars:
                self._bars[every, on] = _Bars(every, on)
            bars = self._bars[every, on]
        return bars.read(self._runtime, include_partial=include_partial, fill=fill)
