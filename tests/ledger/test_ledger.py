"""The whole ledger: counters and connections are made of records alone."""

from __future__ import annotations

from kitepolars.ledger import Ledger
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Heartbeats,
    Messages,
    SnapshotsExpected,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
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


def test_a_state_lasts_since_it_began() -> None:
    ledger = Ledger()
    ledger.take(changed(1, ConnectionState.OPEN))
    ledger.take(changed(7, ConnectionState.OPEN, instruments=3))
    (status,) = ledger.connections.snapshot()
    assert (status.since, status.instruments, ledger.stats().connected) == (1, 3, 1)


def test_subscriptions_have_a_connection_once_they_are_sent() -> None:
    ledger = Ledger()
    ledger.take(Subscribed(1, Mode.FULL, (1, 2)))
    before = ledger.connections.subscriptions()
    ledger.take(SnapshotsExpected(2, 1, (1,)))
    ledger.take(Subscribed(3, Mode.LTP, (1,)))
    assert before == {1: (Mode.FULL, None), 2: (Mode.FULL, None)}
    assert ledger.connections.subscriptions() == {1: (Mode.LTP, 1), 2: (Mode.FULL, None)}
    assert ledger.connections.subscriptions() is ledger.connections.subscriptions()
    ledger.take(Unsubscribed(4, (1, 9)))
    assert ledger.connections.subscriptions() == {2: (Mode.FULL, None)}
    assert ledger.stats().instruments == 1
