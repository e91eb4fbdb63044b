"""The connections: their states, what came over each, and what is subscribed. Loop thread only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kitepolars.listeners import Listeners
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Heartbeats,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
from kitepolars.wire.stream import RawMessages


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection as it stands at a moment.

    Parameters
    ----------
    index
        ``account index * limits.connections + place``; the ``connection`` column of a frame.
    account
        Name of the account.
    state
        Its state.
    url
        The server's address, without credentials.
    instruments
        How many instruments are assigned to it.
    messages
        Binary messages received that are longer than a heartbeat.
    bytes
        Bytes of those messages.
    last_message_at
        When anything, heartbeats included, came last: microseconds since the Unix epoch, UTC.
    reconnects
        How many times it was opened again after a loss.
    since
        When the state began: microseconds since the Unix epoch, UTC.
    """

    index: int
    account: str
    state: ConnectionState
    url: str
    instruments: int
    messages: int
    bytes: int
    last_message_at: int | None
    reconnects: int
    since: int


@dataclass(slots=True)
class Counters:
    """What came over a connection."""

    messages: int = 0
    bytes: int = 0
    heartbeats: int = 0
    texts: int = 0
    last_message_at: int | None = None


class Connections:
    """The states and counters of all connections, and the desired subscriptions."""

    def __init__(self) -> None:
        self.modes: dict[int, Mode] = {}
        """Instrument token → the mode wanted."""
        self._places: dict[int, int] = {}
        self._subscriptions: Mapping[int, tuple[Mode, int | None]] | None = None
        self._states: dict[int, ConnectionChanged] = {}
        self._since: dict[int, int] = {}
        self._counters: dict[int, Counters] = {}
        self._listeners = Listeners[ConnectionStatus]()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return sum(one.state is ConnectionState.OPEN for one in self._states.values())

    @property
    def reconnects(self) -> int:
        """How many times a connection was opened again after a loss."""
        return sum(one.reconnects for one in self._states.values())

    def take(self, record: Record) -> None:
        """Take a record; those that say nothing about connections are ignored."""
        if isinstance(record, Messages):
            self.count(record)
        elif isinstance(record, MessageBlock):
            self._count_block(record)
        elif isinstance(record, Heartbeats):
            counters = self._of(record.connection, record.received_at)
            counters.heartbeats += record.heartbeats
        elif isinstance(record, Text):
            self._of(record.connection, record.received_at).texts += 1
        elif isinstance(record, ConnectionChanged):
            self._change(record)
        elif isinstance(record, Subscribed):
            self.modes.update(dict.fromkeys(record.instrument_tokens, record.mode))
            self._subscriptions = None
        elif isinstance(record, SnapshotsExpected):
            self._places.update(dict.fromkeys(record.instrument_tokens, record.connection))
            self._subscriptions = None
        elif isinstance(record, Unsubscribed):
            for token in record.instrument_tokens:
                self.modes.pop(token, None)
                self._places.pop(token, None)
            self._subscriptions = None

    def count(self, record: Messages) -> None:
        """Count the messages of a read."""
        counters, messages = self._of(record.connection, record.received_at), record.messages
        counters.messages += len(messages)
        if isinstance(messages, RawMessages):
            counters.bytes += messages.size
        else:
            counters.bytes += sum(map(len, messages))

    def clear(self) -> None:
        """Reset everything but the listeners."""
        self._subscriptions = None
        for fold in (self.modes, self._places, self._states, self._since, self._counters):
            fold.clear()

    def records(self, at: int) -> list[Record]:
        """Return the states and the subscriptions of this moment as records of a time."""
        modes = list(dict.fromkeys(self.modes.values()))
        subscribed = [Subscribed(at, mode, self._tokens(mode)) for mode in modes]
        return [*(state._replace(at=at) for state in self._states.values()), *subscribed]

    def place(self, token: int) -> int:
        """Return the connection that an instrument was subscribed on last; 0 if none."""
        return self._places.get(token, 0)

    def _tokens(self, mode: Mode) -> tuple[int, ...]:
        return tuple(token for token, wanted in self.modes.items() if wanted is mode)

    def subscriptions(self) -> Mapping[int, tuple[Mode, int | None]]:
        """Return what is wanted: instrument token → mode, and connection or None.

        As long as that does not change, the same object is returned. It is never modified.
        """
        if self._subscriptions is None:
            self._subscriptions = {
                token: (mode, self._places.get(token)) for token, mode in self.modes.items()
            }
        return self._subscriptions

    def snapshot(self) -> tuple[ConnectionStatus, ...]:
        """Return every connection as it stands, by index."""
        return tuple(self.status(index) for index in sorted(self._states))

    def status(self, index: int) -> ConnectionStatus:
        """Return one connection as it stands."""
        state, counters = self._states[index], self._counters.get(index, Counters())
        return ConnectionStatus(
            index=index,
            account=state.account,
            state=state.state,
            url=state.url,
            instruments=state.instruments,
            messages=counters.messages,
            bytes=counters.bytes,
            last_message_at=counters.last_message_at,
            reconnects=state.reconnects,
            since=self._since[index],
        )

    def totals(self) -> Counters:
        """Return what came over all connections together."""
        all_counters = tuple(self._counters.values())
        return Counters(
            messages=sum(one.messages for one in all_counters),
            bytes=sum(one.bytes for one in all_counters),
            heartbeats=sum(one.heartbeats for one in all_counters),
            texts=sum(one.texts for one in all_counters),
        )

    def listen(self, listener: Callable[[ConnectionStatus], object]) -> Callable[[], None]:
        """Call `listener` when a connection changes its state; return a function that ends this."""
        return self._listeners.add(listener)

    def _of(self, connection: int, at: int) -> Counters:
        counters = self._counters.get(connection)
        if counters is None:
            counters = self._counters[connection] = Counters()
        counters.last_message_at = at
        return counters

    def _count_block(self, block: MessageBlock) -> None:
        for connection, reads in block.by_connection():
            counters = self._of(connection, int(reads[-1, 0]))
            messages, size = reads[:, 4:].sum(axis=0).tolist()
            counters.messages += messages
            counters.bytes += size

    def _change(self, record: ConnectionChanged) -> None:
        before = self._states.get(record.connection)
        self._states[record.connection] = record
        if before is None or before.state is not record.state:
            self._since[record.connection] = record.at
        if record.state is not (ConnectionState.IDLE if before is None else before.state):
            self._listeners.tell(self.status(record.connection))
