"""Live candles, ``ticker.chart()``: the bars that changed are sent as binary rows. UI thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import traitlets

from kitepolars.analytics import CandleBuilder, Clock, Hours
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIMESTAMP
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import InstrumentView, is_subscribed, last_tick
from kitepolars.widgets.reading import (
    HeldTicks,
    Reading,
    WatchedTicker,
    labels_of,
    symbol_of,
    tokens_of,
)
from kitepolars.widgets.search import find
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.widgets.view import Update

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

Bars = npt.NDArray[np.float64]


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

    def read(self, held: HeldTicks) -> pl.DataFrame:
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


class Chart(InstrumentView):
    """Candles with volume of one instrument, with a live last bar.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token.
    every
        The interval: one of `CHART_INTERVALS`.
    history
        Older candles with the columns of ``candles()``, for example from ``kp.historical``.
        A live bar replaces an older one of the same time.
    height
        Height of the chart in pixels.
    publisher
        The UI thread; tests pass another one.

    Raises
    ------
    ConfigError
        If the interval is not one of `CHART_INTERVALS`, or the history lacks a column.
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Chart
    >>> ticker = kp.demo()
    >>> chart = Chart(ticker, "NSE:INFY", every="5s")
    >>> chart.interval = "1m"
    >>> ticker.stop()
    """

    _esm = asset("chart.js")

    refresh_every = TICK

    height = traitlets.Int(340).tag(sync=True)
    intervals = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int,
        *,
        every: str = "1m",
        history: pl.DataFrame | None = None,
        height: int = 340,
        publisher: Publisher | None = None,
    ) -> None:
        (token,) = tokens_of(ticker, instrument)
        self._every = _checked_interval(every)
        self._live = LiveBars(token, every, ticker.hours)
        self._history = None if history is None else _checked_history(history)
        self._hits: dict[str, Any] = {}
        self._tick: object = None
        self._clock = ""
        self._sent: Bars = _NO_BARS
        self._shown: LiveBars | None = None
        self._subscribed = True
        traits = {"height": height, "intervals": list(CHART_INTERVALS)}
        super().__init__(ticker, token, publisher=publisher, traits=traits)

    @property
    def interval(self) -> str:
        """The interval shown. Set another of `CHART_INTERVALS`."""
        return self._every

    @interval.setter
    def interval(self, every: str) -> None:
        self._every = _checked_interval(every)
        self._restart()

    @traitlets.observe("instrument_token")
    def _restart(self, _change: object = None) -> None:
        """Begin with new bars: the instrument or the interval is another."""
        self._live = LiveBars(self.instrument_token, self._every, self.ticker.hours)
        self._publisher.wake()

    def handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take an interval, an instrument, a search query or a wish to subscribe."""
        if kind == "every":
            self.interval = content["every"]
        elif kind == "instrument":
            self.instrument = int(content["token"])
        elif kind == "subscribe":
            self.subscribe()
        elif kind == "query":
            self._hits = {"hits": find(self.ticker, str(content["text"]))}

    def release(self) -> None:
        """Drop the bars; the next view makes new ones."""
        self._sent = _NO_BARS
        self._shown = self._tick = None

    def snapshot(self, reading: Reading) -> Update:
        """Return every bar."""
        live = self._live
        bars = self._bars(live, reading)
        self._sent, self._shown, self._clock = bars, live, live.on
        self._tick = last_tick(reading, live.instrument_token)
        self._subscribed = is_subscribed(reading, live.instrument_token)
        content = {
            "from": 0,
            "symbol": symbol_of(self.ticker, live.instrument_token),
            "label": labels_of(self.ticker, [live.instrument_token])[0],
            "offers": not self._subscribed,
            "every": live.every,
            "seconds": CHART_INTERVALS[live.every],
            "precision": _precision(bars),
            "empty": _WAITING if self._subscribed else "",
            "remark": "" if live.on == "exchange_timestamp" else _ON_ARRIVAL,
        }
        return Update({**content, **self._new_hits()}, [bars.tobytes()], whole=True)

    def changes(self, reading: Reading) -> Update | None:
        """Return the bars from the first changed one on."""
        live = self._live
        if self._shown is not live or self._subscribed != is_subscribed(
            reading, live.instrument_token
        ):
            return self.snapshot(reading)
        tick = last_tick(reading, live.instrument_token)
        if tick == self._tick:
            return Update(self._new_hits()) if self._hits else None
        self._tick = tick
        bars = self._bars(live, reading)
        start = _first_change(self._sent, bars)
        if start == 0 or not len(self._sent) or live.on != self._clock:
            return self.snapshot(reading)
        self._sent = bars
        return Update({"from": start, **self._new_hits()}, [bars[start:].tobytes()])

    def _new_hits(self) -> dict[str, Any]:
        self._hits, hits = {}, self._hits
        return hits

    def _bars(self, live: LiveBars, reading: Reading) -> Bars:
        bars = live.read(reading.held).select("start", *FIELDS)
        if self._history is not None:
            older = self._history.filter(pl.col("instrument_token") == live.instrument_token)
            bars = pl.concat([older.select("start", *FIELDS), bars])
        seconds = pl.col("start").dt.epoch("us") / 1e6
        return (
            bars.unique("start", keep="last")
            .sort("start")
            .tail(MAX_BARS)
            .select(seconds, pl.col(FIELDS).cast(pl.Float64).fill_null(float("nan")))
            .drop_nans(["open", "high", "low", "close"])
            .to_numpy(order="c")
        )


_HISTORY: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "start": TIMESTAMP,
        **dict.fromkeys(FIELDS[:-1], pl.Float64()),
        "volume": pl.UInt64(),
    }
)
_WAITING: Final = "Waiting for the first bar; the call auction (equity, 09:00 to 09:15) makes none"
_ON_ARRIVAL: Final = "cut on arrival time: this mode carries no exchange time"
_NO_BARS: Final[Bars] = np.empty((0, 1 + len(FIELDS)))


def _checked_interval(every: str) -> str:
    if every not in CHART_INTERVALS:
        raise ConfigError("every", every, f"one of {', '.join(CHART_INTERVALS)}")
    return every


def _checked_history(history: pl.DataFrame) -> pl.DataFrame:
    if missing := [name for name in _HISTORY if name not in history.columns]:
        lacking = f"history has no column {', '.join(missing)}"
        raise ConfigError("history", history.columns, message=lacking)
    return history.select(_HISTORY.names()).cast(_HISTORY)


def _first_change(old: Bars, new: Bars) -> int:
    """Return the index of the first bar that differs; the view keeps those before it."""
    both = min(len(old), len(new))
    same = (old[:both] == new[:both]) | (np.isnan(old[:both]) & np.isnan(new[:both]))
    different = np.flatnonzero(~same.all(axis=1))
    first = int(different[0]) if len(different) else both
    return 0 if len(new) < len(old) else first


def _precision(bars: Bars) -> int:
    """Return two decimals, or four where the prices have them (currency)."""
    prices = bars[:, 1:5] * 100
    return 2 if np.abs(prices - np.round(prices)).max(initial=0) < 1e-6 else 4  # noqa: PLR2004
