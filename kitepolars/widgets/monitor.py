"""The health panel, ``ticker.monitor()``: connections, losses, gaps, events. UI thread."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import Any, Final

from kitepolars.health import TONE_OF_STATE, Rates, Sample, judge, silence
from kitepolars.source import ConnectionState
from kitepolars.widgets.channel import Update, milliseconds
from kitepolars.widgets.host import asset
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.threads import Publisher
from kitepolars.widgets.view import LiveWidget

SPAN: Final = 300
"""Length of the timeline in seconds."""
EVENTS_SHOWN: Final = 50
"""Most events listed, newest first."""
GAPS_SHOWN: Final = 100
"""Most gaps drawn on the timeline."""


class Monitor(LiveWidget):
    """The health of the feed: a one-word verdict, and the numbers behind it.

    Parameters
    ----------
    ticker
        The ticker.
    publisher
        The UI thread; tests pass another one.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Monitor
    >>> ticker = kp.demo()
    >>> monitor = Monitor(ticker)
    >>> ticker.stop()
    """

    _esm = asset("monitor.js")

    _refresh_every = 1.0

    def __init__(self, ticker: WatchedTicker, *, publisher: Publisher | None = None) -> None:
        self._rates: deque[tuple[float, float]] = deque(maxlen=SPAN)
        self._before: Sample | None = None
        super().__init__(ticker, publisher=publisher, traits={})

    def _release(self) -> None:
        """Drop the last counters: rates over a pause would mislead."""
        self._before = None

    def _snapshot(self, reading: Reading) -> Update:
        """Return everything; it is small."""
        stats = reading.stats
        now = Sample.read(time.monotonic(), stats.ticks, reading.connections)
        before, self._before = self._before or now, now
        rates = Rates.between(before, now)
        if now is not before:
            self._rates.append((reading.now * 1000, rates.ticks))
        health = judge(
            reading.connections,
            reading.gaps,
            running=reading.ticker.is_running,
            now=reading.now,
            rejected=stats.rejected_packets + stats.rejected_messages,
            dropped=stats.dropped,
            memory=stats.history.warning,
        )
        content = {
            "word": health.word,
            "tone": health.tone,
            "why": health.why,
            "tiles": _tiles(reading, None if now is before else rates.ticks),
            "connections": [
                _connection(row, rates, reading.now)
                for row in reading.connections.iter_rows(named=True)
            ],
            "span": SPAN,
            "rates": list(self._rates),
            "gaps": _gaps(reading),
            "events": _events(reading),
            "events_total": reading.events.height,
        }
        return Update(content, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return everything."""
        return self._snapshot(reading)


def _connection(row: dict[str, Any], rates: Rates, now: float) -> dict[str, Any]:
    index = row["connection"]
    return {
        "index": index,
        "account": row["account"],
        "state": row["state"],
        "tone": TONE_OF_STATE[ConnectionState(row["state"])],
        "instruments": row["instruments"],
        "messages": rates.messages[index],
        "kilobytes": rates.bytes[index] / 1000,
        "silence": silence(row["last_message_at"], now),
        "reconnects": row["reconnects"],
    }


def _tiles(reading: Reading, ticks: float | None) -> list[tuple[str, str, str]]:
    stats = reading.stats
    frame, history = reading.ticker.frame(), stats.history
    lost = stats.dropped + stats.rejected_packets + stats.rejected_messages
    return [
        ("ticks/s", "–" if ticks is None else f"{ticks:,.0f}", ""),
        ("ticks", f"{stats.ticks:,}", ""),
        ("instruments", f"{reading.subscriptions.height:,}", ""),
        ("dropped or rejected", f"{lost:,}", "bad" if lost else ""),
        ("gaps", f"{reading.gaps.height:,}", "warn" if reading.gaps.height else ""),
        ("rows held", f"{frame.height:,}", ""),
        ("held since", _clock(history.since), ""),
        ("memory of the rows", f"{frame.estimated_size('mb'):,.1f} MB", ""),
        (
            "memory free",
            "–" if history.free is None else f"{history.free / 2**30:,.1f} GiB",
            "warn" if history.warning else "",
        ),
        ("order updates", f"{reading.ticker.orders().height:,}", ""),
        *([("recorded in", history.journal.name, "")] if history.journal else []),
        *([("published until", _clock(history.published_until), "")] if history.table else []),
    ]


def _clock(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%H:%M:%S}"


def _gaps(reading: Reading) -> list[tuple[float, float | None]]:
    start = (reading.now - SPAN) * 1000
    spans = (
        (milliseconds(began), None if ended is None else milliseconds(ended))
        for began, ended in reading.gaps.tail(GAPS_SHOWN)
        .select("started_at", "ended_at")
        .iter_rows()
    )
    return [(began, ended) for began, ended in spans if ended is None or ended > start]


def _events(reading: Reading) -> list[tuple[float, int | None, str, str]]:
    rows = reading.events.tail(EVENTS_SHOWN).reverse()
    return [
        (milliseconds(at), place, kind, detail)
        for at, place, kind, detail in rows.select("at", "connection", "kind", "detail").iter_rows()
    ]
