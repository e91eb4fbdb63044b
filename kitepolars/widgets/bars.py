"""The bars of a chart: live ones from new ticks, older ones, and the arrays that a view gets."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.analytics import CandleBuilder, Clock, Hours
from kitepolars.analytics.bars import parse_interval
from kitepolars.calendar import SECOND
from kitepolars.errors import ConfigError
from kitepolars.frames.held import Held
from kitepolars.frames.schema import TIMESTAMP

CHART_INTERVALS: Final = {
    "1s": 1,
    "5s": 5,
    "15s": 15,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "1d": 86_400,
}
"""Intervals of the chart, in seconds."""

FIELDS: Final = ("open", "high", "low", "close", "volume")
"""Columns of a bar after its time, in the order in which the view reads them."""

MAX_BARS: Final = 20_000
"""Most bars shown: the latest ones."""

HISTORY: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "start": TIMESTAMP,
        **dict.fromkeys(FIELDS[:-1], pl.Float64()),
        "volume": pl.UInt64(),
    }
)
"""The columns of older candles."""

Bars = npt.NDArray[np.float64]
"""A row for each bar: its time in seconds since the Unix epoch, then `FIELDS`."""

NO_BARS: Final[Bars] = np.empty((0, 1 + len(FIELDS)))


class LiveBars:
    """Candles of one instrument and interval, updated with the ticks that are new. UI thread.

    A chart keeps its own: it shows one instrument out of thousands.

    Parameters
    ----------
    instrument_token
        The instrument.
    every
        The interval, such as ``"1m"``.
    hours
        The hours that have bars.
    """

    def __init__(self, instrument_token: int, every: str, hours: Hours) -> None:
        self.instrument_token = instrument_token
        self.every = every
        self.hours = hours
        self.on: Clock = "exchange_timestamp"
        self._restart()

    def _restart(self) -> None:
        self._builder = CandleBuilder(self.every, on=self.on, hours=self.hours)
        self._next = 0

    def read(self, held: Held) -> pl.DataFrame:
        """Add the new ticks of those held, and return all bars with the columns of ``candles()``.

        Modes ltp and quote have no exchange time: with such a tick all bars are cut on arrival.
        """
        own = pl.col("instrument_token") == self.instrument_token
        ticks = held.since(self._next).filter(own)
        if self.on != "received_at" and ticks["exchange_timestamp"].null_count():
            self.on = "received_at"
            self._restart()
            ticks = held.since(0).filter(own)
        self._builder.update(ticks)
        self._next = held.total
        return self._builder.frame()


def joined(live: pl.DataFrame, older: pl.DataFrame | None) -> pl.DataFrame:
    """Return the latest bars, older ones first, those without a price left out."""
    bars = live.select(*HISTORY.names(), "is_partial")
    if older is not None:
        older = older.with_columns(is_partial=pl.lit(value=False))
        bars = pl.concat([older, bars]).unique("start", keep="last").sort("start")
    priced = pl.all_horizontal(pl.col(FIELDS[:-1]).is_finite())
    return bars.tail(MAX_BARS).filter(priced)


def numbers_of(bars: pl.DataFrame) -> Bars:
    """Return time in seconds and `FIELDS` of each bar."""
    seconds = pl.col("start").dt.epoch("us") / 1e6
    fields = pl.col(FIELDS).cast(pl.Float64).fill_null(float("nan"))
    return bars.select(seconds, fields).to_numpy(order="c")


def checked_interval(every: str) -> str:
    """Return the name of an interval that a chart has; raise `ConfigError` for another."""
    seconds = parse_interval(every) / SECOND
    for name, length in CHART_INTERVALS.items():
        if length == seconds:
            return name
    raise ConfigError("every", every, f"one of {', '.join(CHART_INTERVALS)}")


def checked_history(history: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of older candles; raise `ConfigError` where one is missing."""
    if missing := [name for name in HISTORY if name not in history.columns]:
        lacking = f"history has no column {', '.join(missing)}"
        raise ConfigError("history", history.columns, message=lacking)
    return history.select(HISTORY.names()).cast(HISTORY)


def first_change(old: Bars, new: Bars) -> int:
    """Return the index of the first bar that differs; the view keeps those before it."""
    both = min(len(old), len(new))
    same = (old[:both] == new[:both]) | (np.isnan(old[:both]) & np.isnan(new[:both]))
    different = np.flatnonzero(~same.all(axis=1))
    first = int(different[0]) if len(different) else both
    return 0 if len(new) < len(old) else first


def precision_of(bars: Bars) -> int:
    """Return two decimals, or four where the prices have them (currency)."""
    prices = bars[:, 1:5] * 100
    return 2 if np.abs(prices - np.round(prices)).max(initial=0) < 1e-6 else 4  # noqa: PLR2004
