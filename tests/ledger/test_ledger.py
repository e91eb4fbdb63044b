"""The whole ledger: counters and connections are made of records alone."""

from __future__ import annotations

from kitepolars.ledger import Ledger
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Heartbeats,
    Messages,
    Text,
)
from kitepolars.wire.stream import RawMessages


def changed(at: int, state: ConnectionState, instruments: int = 0) -> ConnectionChanged:
    return ConnectionChanged(at, 0, "main", state, "ws://kite/", instruments, 0)


def test_messages_and_bytes_are_counted_behind_the_sink_for_any_source() -> None:
    ledger = Ledger()
    ledger.take(changed(1, ConnectionState.OPEN))
    ledger.take(Messages(2, 0, [b"four", b"sixsix"]))
    ledger.take(Messages(3, 0, RawMessages.of_message(b"ninenine!")))
    ledger.take(Heartbeats(4, 0, 2))
    ledger.take(Text(5, 0, '{"type": "message", "data": "hello"}'))
    stats = ledger.stats()
    assert (stats.messages, stats.bytes, stats.heartbeats, stats.texts) == (3, 19, 2, 1)
    (status,) = ledger.connections.snapshot()
    assert (status.messages, status.bytes, status.last_message_at) == (3, 19, 5)
    assert [(event.at, event.kind) for event in ledger.events.snapshot()] == [(5, "message")]
