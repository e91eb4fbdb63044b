"""Connections and subscriptions, made of the records of any source."""

from __future__ import annotations

from kitepolars.ledger.connections import Connections, ConnectionStatus
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    SnapshotsExpected,
    Subscribed,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode


def changed(at: int, state: ConnectionState, instruments: int = 0) -> ConnectionChanged:
    return ConnectionChanged(at, 0, "main", state, "ws://kite/", instruments, 0)


def test_listeners_are_called_when_a_state_changes_and_not_otherwise() -> None:
    connections, heard = Connections(), list[ConnectionStatus]()
    unlisten = connections.listen(heard.append)
    connections.take(changed(1, ConnectionState.CONNECTING))
    connections.take(changed(2, ConnectionState.OPEN))
    connections.take(changed(3, ConnectionState.OPEN, instruments=3))
    unlisten()
    connections.take(changed(4, ConnectionState.WAITING))
    assert [(status.state, status.since) for status in heard] == [
        (ConnectionState.CONNECTING, 1),
        (ConnectionState.OPEN, 2),
    ]


def test_what_stands_can_be_taken_again() -> None:
    connections, again = Connections(), Connections()
    connections.take(changed(1, ConnectionState.OPEN, instruments=2))
    connections.take(Subscribed(2, Mode.FULL, (1, 2)))
    for record in connections.records(at=9):
        again.take(record)
    assert again.subscriptions() == connections.subscriptions()
    (status,) = again.snapshot()
    assert (status.state, status.instruments, status.since) == (ConnectionState.OPEN, 2, 9)


def test_a_cleared_fold_knows_nothing() -> None:
    connections = Connections()
    connections.take(changed(1, ConnectionState.OPEN))
    connections.take(Subscribed(2, Mode.FULL, (1,)))
    connections.clear()
    assert (connections.snapshot(), connections.subscriptions(), connections.open) == ((), {}, 0)


def test_a_state_lasts_since_it_began() -> None:
    connections = Connections()
    connections.take(changed(1, ConnectionState.OPEN))
    connections.take(changed(7, ConnectionState.OPEN, instruments=3))
    (status,) = connections.snapshot()
    assert (status.since, status.instruments, connections.open) == (1, 3, 1)


def test_subscriptions_have_a_connection_once_they_are_sent() -> None:
    connections = Connections()
    connections.take(Subscribed(1, Mode.FULL, (1, 2)))
    before = connections.subscriptions()
    connections.take(SnapshotsExpected(2, 1, (1,)))
    connections.take(Subscribed(3, Mode.LTP, (1,)))
    assert before == {1: (Mode.FULL, None), 2: (Mode.FULL, None)}
    assert connections.subscriptions() == {1: (Mode.LTP, 1), 2: (Mode.FULL, None)}
    assert connections.subscriptions() is connections.subscriptions()
    connections.take(Unsubscribed(4, (1, 9)))
    assert connections.subscriptions() == {2: (Mode.FULL, None)}
    assert len(connections.modes) == 1
