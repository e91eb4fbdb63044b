"""What the feed hands out: the sink's protocol and the immutable records. Loop thread.

The records themselves never change and may be read on any thread. Times are
microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from kitepolars.feed.listeners import Listeners
from kitepolars.wire.control import printable

EVENTS_KEPT: Final = 10_000
"""Events that an `EventLog` holds before it forgets the oldest."""


def now_us() -> int:
    """Return the wall clock in microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000


class Message(NamedTuple):
    """One binary WebSocket message as it came.

    Parameters
    ----------
    received_at
        Microseconds since the Unix epoch, UTC.
    connection
        The index of the connection.
    data
        Its bytes; `kitepolars.packets` finds the packets in them.
    """

    received_at: int
    connection: int
    data: bytes


class Sink(Protocol):
    """Where a source delivers what it receives. Every call is on the loop thread."""

    def messages(self, received_at: int, connection: int, messages: Sequence[bytes]) -> None:
        """Take the binary messages of one read of a socket. An append, nothing else.

        Parameters
        ----------
        received_at
            When they were read, in microseconds since the Unix epoch, UTC.
        connection
            The index of the connection.
        messages
            One at least, in the order in which they came, each longer than a heartbeat.
        """
        ...

    def expect_snapshots(self, instrument_tokens: Collection[int]) -> None:
        """Take note that the next packet of each of these is the server's cached value."""
        ...

    def forget(self, instrument_tokens: Collection[int]) -> None:
        """Take note that these have been unsubscribed."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth knowing that is not a tick.

    Parameters
    ----------
    at
        When, in microseconds since the Unix epoch, UTC.
    connection
        Index of the connection, or None when it concerns no single one.
    kind
        A word to filter by.
    detail
        What happened, printable and bounded.
    """

    at: int
    connection: int | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in the data: what was lost when, and for how many instruments.

    Parameters
    ----------
    connection
        Index of the connection that was lost.
    account
        Name of its account.
    started_at
        The last message before the loss, in microseconds since the Unix epoch, UTC.
    ended_at
        The first data after resubscribing, likewise; None while the hole is open.
    reason
        Why the connection was lost.
    instruments
        How many instruments the hole concerns.
    """

    connection: int
    account: str
    started_at: int
    ended_at: int | None
    reason: str
    instruments: int


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One distinct order update, however many connections delivered it.

    Parameters
    ----------
    received_at
        When it first arrived, in microseconds since the Unix epoch, UTC.
    connection
        Index of the connection that delivered it first.
    data
        The order's fields as sent. Times in it are IST without an offset.
    """

    received_at: int
    connection: int
    data: Mapping[str, Any]


class ConnectionState(StrEnum):
    """Where a connection stands."""

    IDLE = "idle"
    """Not needed so far, or not started."""
    CONNECTING = "connecting"
    """A handshake is under way."""
    OPEN = "open"
    """Subscribed and receiving."""
    WAITING = "waiting"
    """Lost or refused; the next attempt comes after a delay."""
    EXPIRED = "expired"
    """The account's credentials were refused; `set_access_token` revives it."""
    FAILED = "failed"
    """Given up: the attempts that the policy allows are exhausted."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection as it stands at a moment.

    Parameters
    ----------
    index
        ``account index * limits.connections + slot``; the ``connection`` column of a frame.
    account
        Name of the account.
    state
        Where it stands.
    url
        The server's address, without credentials.
    instruments
        How many instruments are placed on it.
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


@dataclass(frozen=True, slots=True)
class FeedStats:
    """The feed's counters over all connections, since the manager was made.

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
        Holes in the data, open ones included.
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


class EventLog:
    """The latest events, bounded, with a count of those forgotten. Loop thread only.

    Parameters
    ----------
    capacity
        How many events are held.
    clock
        Gives the time in microseconds since the Unix epoch, UTC.

    Examples
    --------
    >>> log = EventLog(capacity=2)
    >>> for n in range(3):
    ...     _ = log.add("alert", f"number {n}")
    >>> [event.detail for event in log.snapshot()], log.dropped
    (['number 1', 'number 2'], 1)
    """

    def __init__(self, capacity: int = EVENTS_KEPT, *, clock: Callable[[], int] = now_us) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._clock = clock
        self._total = 0
        self._listeners = Listeners[Event]()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def total(self) -> int:
        """How many events there were in all."""
        return self._total

    @property
    def dropped(self) -> int:
        """How many events were forgotten for newer ones."""
        return self._total - len(self._events)

    def add(self, kind: str, detail: str, connection: int | None = None) -> Event:
        """Note an event now. The detail is made printable and cut to a bounded length."""
        event = Event(self._clock(), connection, kind, printable(detail))
        self._events.append(event)
        self._total += 1
        self._listeners.tell(event)
        return event

    def snapshot(self) -> tuple[Event, ...]:
        """Return the events held, oldest first."""
        return tuple(self._events)

    def listen(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener` with every event from now on; what is returned ends that."""
        return self._listeners.add(listener)
