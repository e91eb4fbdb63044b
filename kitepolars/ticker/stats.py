"""A ticker's counters of one moment: immutable, readable on any thread."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from kitepolars.ticker.summary import stats_html


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
        return stats_html(asdict(self).items())
