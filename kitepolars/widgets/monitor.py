"""The health panel, ``ticker.monitor()``: connections, losses, gaps, events. UI thread."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import Any, Final

from kitepolars.feed.records import ConnectionState
from kitepolars.widgets.publisher import Publisher, Reading
from kitepolars.widgets.surface import Feed
from kitepolars.widgets.verdict import TONE_OF_STATE, judge
from kitepolars.widgets.view import LiveWidget, Message, asset

SPAN: Final = 300
"""Seconds on the time line."""
EVENTS_SHOWN: Final = 50
"""Events listed, newest first."""
GAPS_SHOWN: Final = 100
"""Gaps on the time line at most."""


class Monitor(LiveWidget):
    """Whether all is well, in one word; then the numbers behind it.

    Parameters
    ----------
    ticker
        What is watched.
    publisher
        The UI thread; one of its own for tests.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Monitor
    >>> ticker = kp.demo()
    >>> monitor = Monitor(ticker)
    >>> ticker.stop()
    """

    _esm = asset("monitor.js")

    every = 1.0

    def __init__(self, ticker: Feed, *, publisher: Publisher | None = None) -> None:
        self._rates: deque[tuple[float, float]] = deque(maxlen=SPAN)
        self._before: _Counters | None = None
        super().__init__(ticker, publisher=publisher, traits={})

    def forgotten(self) -> None:
        """Drop what rates are computed from; the next ones begin anew."""
        self._before = None

    def snapshot(self, reading: Reading) -> Message:
        """Return everything: it is small."""
        now = _Counters(reading)
        before, self._before = self._before or now, now
        ticks = now.rate(before, now.ticks, before.ticks)
        if now is not before:
            self._rates.append((reading.clock, ticks))
        connections = [
            _connection(row, now, before) for row in reading.connections.iter_rows(named=True)
        ]
        silences = [
            each["silence"]
            for each in connections
            if each["state"] == ConnectionState.OPEN and each["silence"] is not None
        ]
        stats = reading.stats
        verdict = judge(
            reading.connections,
            reading.gaps,
            running=reading.feed.is_running,
            silence=max(silences, default=None),
            rejected=stats.rejected_packets + stats.rejected_messages,
            dropped=stats.dropped,
        )
        content = {
            "word": verdict.word,
            "tone": verdict.tone,
            "why": verdict.why,
            "tiles": _tiles(reading, ticks),
            "connections": connections,
            "span": SPAN,
            "rates": list(self._rates),
            "gaps": _gaps(reading),
            "events": _events(reading),
            "events_total": reading.events.height,
        }
        return Message(content, whole=True)

    def changes(self, reading: Reading) -> Message | None:
        """Return everything again."""
        return self.snapshot(reading)


class _Counters:
    """The counters at one moment, to make rates of two."""

    def __init__(self, reading: Reading) -> None:
        self.at = time.monotonic()
        self.ticks: int = reading.stats.ticks
        self.of = {
            place: (messages, size)
            for place, messages, size in reading.connections.select(
                "connection", "messages", "bytes"
            ).iter_rows()
        }

    def rate(self, before: _Counters, now: int, then: int) -> float:
        """Return a counter's growth per second."""
        seconds = self.at - before.at
        return max(0, now - then) / seconds if seconds > 0 else 0.0


def _connection(row: dict[str, Any], now: _Counters, before: _Counters) -> dict[str, Any]:
    place = row["connection"]
    messages, size = now.of[place]
    messages_then, size_then = before.of.get(place, (messages, size))
    last = row["last_message_at"]
    return {
        "index": place,
        "account": row["account"],
        "state": row["state"],
        "tone": TONE_OF_STATE[ConnectionState(row["state"])],
        "instruments": row["instruments"],
        "messages": now.rate(before, messages, messages_then),
        "kilobytes": now.rate(before, size, size_then) / 1000,
        "silence": None if last is None else max(0.0, time.time() - last.timestamp()),
        "reconnects": row["reconnects"],
    }


def _tiles(reading: Reading, ticks: float) -> list[tuple[str, str, str]]:
    stats = reading.stats
    frame = reading.feed.frame()
    lost = stats.dropped + stats.rejected_packets + stats.rejected_messages
    return [
        ("ticks/s", f"{ticks:,.0f}", ""),
        ("ticks", f"{stats.ticks:,}", ""),
        ("instruments", f"{reading.subscriptions.height:,}", ""),
        ("dropped or rejected", f"{lost:,}", "bad" if lost else ""),
        ("gaps", f"{reading.gaps.height:,}", "warn" if reading.gaps.height else ""),
        ("rows held", f"{frame.height:,}", ""),
        ("memory of the rows", f"{frame.estimated_size('mb'):,.1f} MB", ""),
        ("order updates", f"{reading.feed.orders().height:,}", ""),
    ]


def _gaps(reading: Reading) -> list[tuple[float, float | None]]:
    start = reading.clock - SPAN * 1000
    spans = (
        (_milliseconds(began), None if ended is None else _milliseconds(ended))
        for began, ended in reading.gaps.tail(GAPS_SHOWN)
        .select("started_at", "ended_at")
        .iter_rows()
    )
    return [(began, ended) for began, ended in spans if ended is None or ended > start]


def _events(reading: Reading) -> list[tuple[float, int | None, str, str]]:
    rows = reading.events.tail(EVENTS_SHOWN).reverse()
    return [
        (_milliseconds(at), place, kind, detail)
        for at, place, kind, detail in rows.select("at", "connection", "kind", "detail").iter_rows()
    ]


def _milliseconds(moment: datetime) -> float:
    return moment.timestamp() * 1000
