"""A ticker's counters of one moment: immutable, readable on any thread."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, fields
from pathlib import Path

from kitepolars.ticker.summary import stats_html


@dataclass(frozen=True, slots=True, kw_only=True)
class TickHistory:
    """What is held where: in memory, in a recording, in a table of days.

    Parameters
    ----------
    rows, bytes
        Ticks in memory, and about how much of it they take.
    since
        The arrival of the first of them, in India; None without one.
    free
        Bytes of memory that can still be allocated, by the machine and its control group; None
        where that is not known. Not compared: two tickers with the same ticks have equal counters.
    warning
        When the memory will be full at the present rate, and what to do; empty if that is not
        within the hour.
    journal
        The folder that is recorded into; None if none is.
    table
        The table of days that the recorder publishes to; None if it does not.
    published_until
        The arrival of the last tick in it, in India; None while there is none.

    Examples
    --------
    >>> import kitepolars as kp
    >>> with kp.sample(speed=None) as ticker:
    ...     _ = ticker.wait(rows=3_774, timeout=60)
    ...     history = ticker.stats().history
    >>> history.rows, f"{history.since:%d %b %Y}", history.journal, history.warning
    (3774, '20 Nov 2026', None, '')
    """

    rows: int = 0
    bytes: int = 0
    since: dt.datetime | None = None
    free: int | None = field(default=None, compare=False)
    warning: str = ""
    journal: Path | None = None
    table: str | None = None
    published_until: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a ticker has received so far. Counts begin when it is made.

    Parameters
    ----------
    messages
        Binary messages longer than a heartbeat.
    bytes
        Their bytes.
    packets
        Packets in them, rejected ones included.
    ticks
        Rows made of them.
    rejected_packets
        Packets of unknown length, skipped.
    rejected_messages
        Truncated messages and messages with excess bytes; their valid packets are rows.
    rejected_times
        Exchange and trade times that are invalid (before 2000, or well after their arrival) and
        therefore null.
    dropped
        Messages whose ticks were lost in this process. 0 unless `events()` says otherwise.
    rows
        Rows held now.
    reconnects
        Connections opened again after a loss.
    connected
        Connections open now.
    instruments
        Instruments subscribed now.
    orders, gaps
        Distinct order updates; gaps in the data.
    history
        What is held where: in memory, in a recording, in a table of days.
    """

    messages: int
    bytes: int
    packets: int
    ticks: int
    rejected_packets: int
    rejected_messages: int
    rejected_times: int
    dropped: int
    rows: int
    reconnects: int
    connected: int
    instruments: int
    orders: int
    gaps: int
    history: TickHistory = field(default_factory=TickHistory)

    @property
    def losses(self) -> dict[str, int]:
        """What did not become rows, by name; all 0 when all is well."""
        return {
            "gaps": self.gaps,
            "rejected packets": self.rejected_packets,
            "rejected messages": self.rejected_messages,
            "rejected times": self.rejected_times,
            "dropped messages": self.dropped,
        }

    def _repr_html_(self) -> str:
        counters = {one.name: getattr(self, one.name) for one in fields(self)}
        history = counters.pop("history")
        held = {one.name: getattr(history, one.name) for one in fields(history)[1:]}
        return stats_html([*counters.items(), *held.items()])
