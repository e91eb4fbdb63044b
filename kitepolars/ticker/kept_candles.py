"""The candles that a ticker has been asked for, kept up to date. Any thread."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from kitepolars.analytics import CandleBuilder, Clock, Hours
from kitepolars.analytics.technical import IncrementalIndicators, Indicator
from kitepolars.analytics.technical.growing import studies_of

if TYPE_CHECKING:
    from kitepolars.frames.held import Held
    from kitepolars.ticker.runtime import Runtime

_KEPT_SETS: Final = 16
"""Sets of indicators of an interval that are kept up; the one asked for least lately is dropped."""

_LOCAL: Final = "%H:%M:%S on %d %B %Y"


class _Bars:
    """Candles of one interval, and the number of the next tick to take in."""

    def __init__(self, builder: CandleBuilder, first: int) -> None:
        self._builder = builder
        self._next = first
        self._indicators: dict[object, IncrementalIndicators] = {}
        self._lock = threading.Lock()  # never held while waiting for the loop thread

    def take(self, held: Held) -> None:
        """Take in the ticks that are new."""
        with self._lock:
            self._take(held)

    def frame(
        self, held: Held, *, include_partial: bool, fill: bool, indicators: Sequence[Indicator]
    ) -> pl.DataFrame:
        """Take in the ticks that are new, and return the bars of all."""
        with self._lock:
            self._take(held)
            if not indicators:
                return self._builder.frame(include_partial=include_partial, fill=fill)
            bars = self._kept(indicators, fill=fill).add_to(self._builder.frame(fill=fill))
        return bars if include_partial else bars.filter(~pl.col("is_partial"))

    def _kept(self, indicators: Sequence[Indicator], *, fill: bool) -> IncrementalIndicators:
        """Return what remembers the bars that a set of indicators has seen."""
        key = fill, tuple(studies_of(indicators))
        kept = self._indicators.pop(key, None) or IncrementalIndicators(indicators)
        self._indicators[key] = kept  # the latest is last
        if len(self._indicators) > _KEPT_SETS:
            del self._indicators[next(iter(self._indicators))]
        return kept

    def _take(self, held: Held) -> None:
        if held.total > self._next:
            self._builder.update(held.rows_since(self._next))
            self._next = held.total


class KeptCandles:
    """The candles that have been asked for, by interval and clock.

    They do not depend on retention: ticks are taken in before they are dropped.

    Parameters
    ----------
    runtime
        The ticker's parts.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._bars: dict[tuple[str | dt.timedelta, Clock, Hours], _Bars] = {}
        self._lock = threading.Lock()
        runtime.store.before_drop = self._take_all

    def frame(
        self,
        every: str | dt.timedelta,
        on: Clock,
        hours: Hours,
        *,
        include_partial: bool,
        fill: bool,
        indicators: Sequence[Indicator] = (),
    ) -> pl.DataFrame:
        """Return the bars of an interval; asking again costs the ticks that came since."""
        if indicators:
            studies_of(indicators)
        bars = self._bars.get((every, on, hours))
        if bars is None:
            builder = CandleBuilder(every, on=on, hours=hours)
            bars = self._runtime.flushed(lambda: self._begin(builder))
        held = self._runtime.held()
        return bars.frame(held, include_partial=include_partial, fill=fill, indicators=indicators)

    def _begin(self, builder: CandleBuilder) -> _Bars:
        """Begin an interval, on the loop thread: nothing is dropped meanwhile."""
        with self._lock:
            key = builder.every, builder.on, builder.hours
            if key not in self._bars:
                held = self._runtime.store.held
                if held.first > self._runtime.store.begins:
                    self._tell(builder, held)
                self._bars[key] = _Bars(builder, held.first)
            return self._bars[key]

    def _tell(self, builder: CandleBuilder, held: Held) -> None:
        """Say from when bars are whole, where ticks were dropped before they were asked for."""
        begins = held.frame()["received_at"][0]
        builder.begin_at(begins)
        self._runtime.source.note(
            "candles",
            f"candles of {builder.every} are whole from {begins.strftime(_LOCAL)}: {held.first:,} "
            "ticks before that were dropped by the retention before these candles were first "
            "asked for; ask for them once at the start, and they are kept up",
        )

    def _take_all(self, held: Held) -> None:
        """Take in what is about to be dropped. Loop thread."""
        with self._lock:
            kept = tuple(self._bars.values())
        for bars in kept:
            bars.take(held)
