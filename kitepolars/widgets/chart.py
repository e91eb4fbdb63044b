"""Live candles, ``ticker.chart()``: the bars that changed are sent as binary rows. UI thread."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import traitlets

from kitepolars.alerting.conditions import crosses
from kitepolars.analytics.bars import OlderCandles
from kitepolars.frames.schema import TIMESTAMP
from kitepolars.widgets.bars import (
    CHART_INTERVALS,
    NO_BARS,
    Bars,
    LiveBars,
    checked_history,
    checked_interval,
    first_change,
    joined,
    numbers_of,
    precision_of,
)
from kitepolars.widgets.channel import Update
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import InstrumentView, is_subscribed, last_tick
from kitepolars.widgets.marks import (
    alert_levels,
    alerts_fired,
    fills_of,
    gaps_of,
    levels_of,
    working_orders,
)
from kitepolars.widgets.reading import (
    Reading,
    WatchedTicker,
    labels_of,
    symbol_of,
    tick_size_of,
    tokens_of,
)
from kitepolars.widgets.search import find
from kitepolars.widgets.studies import ChartStudy, studies_from, study_menu
from kitepolars.widgets.threads import TICK, Publisher

_WAITING: Final = "Waiting for the first bar; the call auction (equity, 09:00 to 09:15) makes none"
_ON_ARRIVAL: Final = "cut on arrival time: this mode carries no exchange time"
_CHART_ZONE: Final = ZoneInfo(TIMESTAMP.time_zone or "UTC")

MARKS_EVERY: Final = 1.0
"""Seconds between two readings of levels, orders and gaps."""


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
        Older candles of this interval with the columns of ``candles()``, for example from
        ``kp.historical``; a live bar replaces an older one of the same time. Or a function that
        returns them, given the token, the interval and the time before which they are wanted: it
        is called, on a thread of the widgets, when the chart is scrolled to its beginning. By
        default what the ticker has: the days that its recorder publishes, then Kite's history.
    studies
        Indicators, such as ``["ema(20)", "rsi"]``: names from
        `kitepolars.widgets.studies.STUDY_KINDS`. By default those last chosen in this browser.
    height
        Height of the chart in pixels.
    publisher
        The UI thread; tests pass another one.

    Attributes
    ----------
    intervals
        The intervals offered, as in `CHART_INTERVALS`.

    Raises
    ------
    ConfigError
        If the interval is not one of `CHART_INTERVALS`, the history lacks a column, or a study
        cannot be.
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Chart
    >>> ticker = kp.demo()
    >>> chart = Chart(ticker, "NSE:INFY", every="5s")
    >>> chart.interval = "1m"
    >>> chart.studies = ["ema(20)", "macd"]
    >>> chart.studies
    ['ema(20)', 'macd(12, 26, 9)']
    >>> ticker.stop()
    """

    _esm = asset("chart.js")

    _refresh_every = TICK

    height = traitlets.Int(340).tag(sync=True)
    intervals = traitlets.List(traitlets.Unicode()).tag(sync=True)
    studies = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int,
        *,
        every: str = "1m",
        history: pl.DataFrame | OlderCandles | None = None,
        studies: Sequence[str] = (),
        height: int = 340,
        publisher: Publisher | None = None,
    ) -> None:
        (token,) = tokens_of(ticker, instrument)
        self._every = checked_interval(every)
        self._live = LiveBars(token, every, ticker.hours)
        self._older: OlderCandles | None = None
        self._histories: dict[tuple[int, str], pl.DataFrame] = {}
        if isinstance(history, pl.DataFrame):
            own = checked_history(history).partition_by("instrument_token", as_dict=True)
            self._histories = {(key[0], every): frame for key, frame in own.items()}
        else:
            self._older = history or ticker._older_candles()  # noqa: SLF001 - as for `_now`
        self._asked: set[tuple[int, str]] = set()
        self._studies: tuple[ChartStudy, ...] = ()
        self._redraw = False
        self._marks: dict[str, Any] = {}
        self._marked_at = float("-inf")
        self._hits: dict[str, Any] = {}
        self._tick: object = None
        self._clock = ""
        self._sent: Bars = NO_BARS
        self._shown: LiveBars | None = None
        self._subscribed = True
        traits = {
            "height": height,
            "intervals": list(CHART_INTERVALS),
            "studies": [study.text for study in studies_from(studies)],
        }
        super().__init__(ticker, token, publisher=publisher, traits=traits)

    @property
    def interval(self) -> str:
        """The interval shown. Set another of `CHART_INTERVALS`."""
        return self._every

    @interval.setter
    def interval(self, every: str) -> None:
        self._every = checked_interval(every)
        self._restart()

    @traitlets.observe("instrument_token")
    def _restart(self, _change: object = None) -> None:
        """Begin with new bars: the instrument or the interval is another."""
        self._studies = studies_from(self.studies)
        self._live = LiveBars(self.instrument_token, self._every, self.ticker.hours)
        self._channel.refresh()

    @traitlets.validate("studies")
    def _check_studies(self, proposal: Any) -> list[str]:
        return [study.text for study in studies_from(proposal["value"])]

    @traitlets.observe("studies")
    def _choose_studies(self, change: Any) -> None:
        self._studies = studies_from(change["new"])
        self._redraw = True
        self._channel.refresh()

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take what was chosen in the view: what it shows, a subscription, history, an alert."""
        if kind == "every":
            self.interval = content["every"]
        elif kind == "instrument":
            self.instrument = int(content["token"])
        elif kind == "subscribe":
            self.subscribe()
        elif kind == "studies":
            self.studies = [str(text) for text in content["studies"]]
        elif kind == "older":
            self._ask_older()
        elif kind in {"alert", "move", "remove"}:
            self._channel.post(partial(self._change_alert, kind, content))
        elif kind == "query":
            self._hits = {"hits": find(self.ticker, str(content["text"]))}

    def _release(self) -> None:
        """Drop the bars; the next view makes new ones."""
        self._sent = NO_BARS
        self._shown = self._tick = None

    def _snapshot(self, reading: Reading) -> Update:
        """Return every bar."""
        live, self._redraw = self._live, False
        bars = self._bars(live, reading)
        numbers = numbers_of(bars)
        self._sent, self._shown, self._clock = numbers, live, live.on
        self._tick = last_tick(reading, live.instrument_token)
        self._subscribed = is_subscribed(reading, live.instrument_token)
        self._marks = self._read_marks(reading)
        content = {
            "from": 0,
            "symbol": symbol_of(self.ticker, live.instrument_token),
            "label": labels_of(self.ticker, [live.instrument_token])[0],
            "offers": not self._subscribed,
            "every": live.every,
            "seconds": CHART_INTERVALS[live.every],
            "precision": precision_of(numbers),
            "tick": tick_size_of(self.ticker, live.instrument_token),
            "empty": _WAITING if self._subscribed else "",
            "remark": "" if live.on == "exchange_timestamp" else _ON_ARRIVAL,
            "older": self._older is not None and self._key not in self._asked,
            "studies": [study.describe() for study in self._studies],
            "menu": study_menu(),
            "marks": self._marks,
        }
        values = [study.values(bars) for study in self._studies]
        buffers = [part.tobytes() for part in (numbers, *values)]
        return Update({**content, **self._new_hits()}, buffers, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the bars from the first changed one on."""
        live = self._live
        if (
            self._redraw
            or self._shown is not live
            or self._subscribed != is_subscribed(reading, live.instrument_token)
        ):
            return self._snapshot(reading)
        tick = last_tick(reading, live.instrument_token)
        if tick == self._tick:
            news = {**self._new_hits(), **self._new_marks(reading)}
            return Update(news) if news else None
        bars = self._bars(live, reading)
        numbers = numbers_of(bars)
        start = first_change(self._sent, numbers)
        if start == 0 or not len(self._sent) or live.on != self._clock:
            return self._snapshot(reading)
        self._tick, self._sent = tick, numbers
        values = [study.values(bars) for study in self._studies]
        buffers = [part[start:].tobytes() for part in (numbers, *values)]
        return Update({"from": start, **self._new_hits(), **self._new_marks(reading)}, buffers)

    def _new_hits(self) -> dict[str, Any]:
        self._hits, hits = {}, self._hits
        return hits

    # -- what is drawn besides bars ----------------------------------------------------------

    def _read_marks(self, reading: Reading) -> dict[str, Any]:
        self._marked_at = time.monotonic()
        token = self._live.instrument_token
        return {
            "levels": levels_of(last_tick(reading, token)),
            "fills": fills_of(reading.orders, token),
            "working": working_orders(reading.last_orders, token),
            "gaps": gaps_of(reading.gaps),
            "alerts": alert_levels(reading.active_alerts, token),
            "fired": alerts_fired(reading.fired, token),
            "number": reading.fired.number,
        }

    def _new_marks(self, reading: Reading) -> dict[str, Any]:
        if time.monotonic() - self._marked_at < MARKS_EVERY:
            return {}
        marks = self._read_marks(reading)
        if marks == self._marks:
            return {}
        self._marks = marks
        return {"marks": marks}

    def _change_alert(self, kind: str, content: Mapping[str, Any]) -> None:
        """Make an alert at a price, move one there, or remove it. Command thread."""
        if kind == "alert":
            price = crosses("last_price", float(content["price"]))
            self.ticker.alert(price, instruments=[self.instrument_token])
        else:
            alert = next(
                (one for one in self.ticker.active_alerts() if one.name == content["name"]), None
            )
            if alert is not None and kind == "move":
                alert.move(float(content["price"]))
            elif alert is not None:
                alert.remove()
        self._marked_at = float("-inf")
        self._channel.refresh()

    # -- bars --------------------------------------------------------------------------------

    @property
    def _key(self) -> tuple[int, str]:
        return self._live.instrument_token, self._live.every

    def _ask_older(self) -> None:
        """Fetch older candles on the command thread, each stretch once."""
        if self._older is None or self._key in self._asked:
            return
        self._asked.add(self._key)
        first = self._sent[0, 0] if len(self._sent) else self.ticker._now().timestamp()  # noqa: SLF001 - a ticker's own views are its friends
        before = dt.datetime.fromtimestamp(float(first), _CHART_ZONE)
        fetch = partial(self._fetch_older, self._older, self._key, before)
        self._channel.post(fetch)

    def _fetch_older(self, older: OlderCandles, key: tuple[int, str], before: dt.datetime) -> None:
        found = checked_history(older(*key, before)).filter(
            pl.col("instrument_token") == key[0], pl.col("start") < before
        )
        if found.is_empty():
            return  # there are no older ones: they are not asked for again
        known = self._histories.get(key)
        self._histories[key] = found if known is None else pl.concat([found, known])
        self._asked.discard(key)
        self._redraw = True
        self._channel.refresh()

    def _bars(self, live: LiveBars, reading: Reading) -> pl.DataFrame:
        """Return the latest bars, older ones first."""
        older = self._histories.get((live.instrument_token, live.every))
        return joined(live.read(reading.held), older)
