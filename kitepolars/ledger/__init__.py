"""What happened besides ticks: orders, gaps, events, connections. Folds of a source's records.

Loop thread only. The same code serves a live feed, a followed journal and a replayed day: nothing
here knows which source delivers. What is handed out is immutable and may be read on any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kitepolars.ledger.connections import Connections
from kitepolars.ledger.events import Events
from kitepolars.ledger.gaps import Gaps
from kitepolars.ledger.orders import Orders
from kitepolars.source import Event, Messages, Record, Text, now_us
from kitepolars.wire.control import TextKind, TextMessage, parse, unreadable_times


@dataclass(frozen=True, slots=True)
class FeedStats:
    """The counters of a source.

    Parameters
    ----------
    messages
        Binary messages received that are longer than a heartbeat.
    bytes
        Bytes of those messages.
    heartbeats
        Binary messages that are heartbeats.
    texts
        Text messages received.
    reconnects
        How many times a connection was opened again after a loss.
    connected
        How many connections are open now.
    instruments
        How many instruments are subscribed.
    orders
        Distinct order updates.
    gaps
        Gaps in the data, open ones included.
    """

    messages: int
    bytes: int
    heartbeats: int
    texts: int
    reconnects: int
    connected: int
    instruments: int
    orders: int
    gaps: int


class Ledger:
    """The folds of a source's records; a `Sink`.

    Parameters
    ----------
    clock
        Gives the source's time in microseconds since the Unix epoch, UTC.
    """

    def __init__(self, clock: Callable[[], int] = now_us) -> None:
        self.orders = Orders()
        self.gaps = Gaps()
        self.events = Events(clock=clock)
        self.connections = Connections()

    def take(self, record: Record) -> None:
        """Take a record; see `Sink.take`."""
        if isinstance(record, Messages):  # nearly all are: only these two folds have a use for them
            self.connections.count(record)
            self.gaps.hear(record)
            return
        self.connections.take(record)
        self.gaps.take(record)
        self.events.take(record)
        if isinstance(record, Text):
            self._read(record)

    def clear(self) -> None:
        """Reset everything but the listeners, as if no record had been taken."""
        self.orders.clear()
        self.gaps.clear()
        self.events.clear()
        self.connections.clear()

    def records(self, at: int) -> list[Record]:
        """Return connections, subscriptions and open gaps of this moment as records of a time."""
        return [*self.connections.records(at), *self.gaps.records(at)]

    def stats(self) -> FeedStats:
        """Return the counters of this moment."""
        counted = self.connections.totals()
        return FeedStats(
            messages=counted.messages,
            bytes=counted.bytes,
            heartbeats=counted.heartbeats,
            texts=counted.texts,
            reconnects=self.connections.reconnects,
            connected=self.connections.open,
            instruments=len(self.connections.modes),
            orders=len(self.orders),
            gaps=len(self.gaps),
        )

    def _read(self, record: Text) -> None:
        """Keep an order update once, and any other text as an event."""
        message = parse(record.text)
        at, connection = record.received_at, record.connection
        if message.kind is TextKind.ORDER:
            if self.orders.add(at, connection, message):
                self._report_times(at, connection, message)
        elif message.kind is not TextKind.SNAPSHOTS:  # which says nothing to a user
            self.events.take(Event(at, connection, message.kind.value, message.detail))

    def _report_times(self, at: int, connection: int, message: TextMessage) -> None:
        """Say which times of an order could not be read; `orders()` keeps their text."""
        for name, text in unreadable_times(message.order or {}).items():
            detail = f"order {message.detail}: {name} {text!r} is no time; it is kept in other"
            self.events.take(Event(at, connection, "unreadable_time", detail))
