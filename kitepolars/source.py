"""What passes from a source of ticks to a sink: the records, and the two protocols.

A source delivers records; a sink takes them, on the loop thread, in the order in which they
happened. The live feed is a source, and so are a recorder's journal that is being followed and a
recorded day that is replayed. Whatever stands behind the sink (ticks, orders, gaps, events,
counters) is made of records alone, so it is the same for every source.

Times are microseconds since the Unix epoch, UTC. A record never changes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from kitepolars.secret import Secret
from kitepolars.wire.layouts import Mode
from kitepolars.wire.stream import RawMessages


class Messages(NamedTuple):
    """The binary messages that one read of a socket completed, heartbeats excluded.

    Parameters
    ----------
    received_at
        When they were read.
    connection
        Index of the connection.
    messages
        At least one, in the order in which they arrived.
    """

    received_at: int
    connection: int
    messages: Sequence[bytes]


@dataclass(frozen=True, slots=True, eq=False)
class MessageBlock:
    """Many consecutive `Messages`, as they are stored in a block of a journal.

    Only a journal's reader makes it. A sink takes it as it would take the `Messages` one by one.

    Parameters
    ----------
    sequence
        The sequence number in the journal of the first read; the others follow without a gap.
    data
        The block.
    reads
        A row for each read of a socket, shape ``(n, 6)``: time, in microseconds since the Unix
        epoch, UTC; connection; where its WebSocket frames start and stop in `data`; the number of
        messages and their bytes, heartbeats excluded.
    """

    sequence: int
    data: bytes
    reads: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of reads."""
        return len(self.reads)

    @property
    def received_at(self) -> int:
        """When the last of them was read."""
        return int(self.reads[-1, 0])

    @property
    def bounds(self) -> npt.NDArray[np.int64]:
        """Where the frames of each read start and stop in `data`, shape ``(n, 2)``."""
        return self.reads[:, 2:4]

    def each(self) -> Iterator[Messages]:
        """Yield the reads one by one."""
        for at, connection, start, stop in self.reads[:, :4].tolist():
            yield Messages(at, connection, RawMessages.of(self.data[start:stop]))

    def by_connection(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Yield each connection with its rows of `reads`."""
        connections = self.reads[:, 1]
        for connection in np.unique(connections).tolist():
            yield connection, self.reads[connections == connection]


class Heartbeats(NamedTuple):
    """Heartbeats of a connection since the record before: they are counted, not kept.

    Parameters
    ----------
    received_at
        When the last of them was read.
    connection
        Index of the connection.
    heartbeats
        How many.
    """

    received_at: int
    connection: int
    heartbeats: int


class Text(NamedTuple):
    """A text message: an order update, an error, an alert. Credentials have been redacted.

    Parameters
    ----------
    received_at
        When it was read.
    connection
        Index of the connection.
    text
        The message.
    """

    received_at: int
    connection: int
    text: str


class SnapshotsExpected(NamedTuple):
    """A subscription is about to be sent: the server answers with its cached values.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    connection
        Index of the connection.
    instrument_tokens
        The instruments subscribed.
    """

    at: int
    connection: int
    instrument_tokens: tuple[int, ...]


class Subscribed(NamedTuple):
    """Instruments are wanted from now on, in a mode, whether or not a connection is open.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    mode
        The mode wanted.
    instrument_tokens
        The instruments that are new or change their mode.
    """

    at: int
    mode: Mode
    instrument_tokens: tuple[int, ...]


class Unsubscribed(NamedTuple):
    """Instruments are not wanted any more: no snapshot of them is expected, no gap is theirs.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    instrument_tokens
        The instruments.
    """

    at: int
    instrument_tokens: tuple[int, ...]


class Lost(NamedTuple):
    """Data of instruments may be missing from a moment on: the beginning of a gap.

    The same loss may be delivered again, with another `at`: what came in between did not end it.
    Where that is certain to happen, it `continues` until then.

    Parameters
    ----------
    at
        When the loss was noticed.
    connection
        Index of the connection.
    account
        Name of its account.
    since
        The last message before the loss.
    reason
        Why.
    instrument_tokens
        The instruments concerned; none where only order updates may be missing.
    continues
        Whether no packet ends it before it has been delivered again: what comes first may have
        been sent before what is missing.
    """

    at: int
    connection: int
    account: str
    since: int
    reason: str
    instrument_tokens: tuple[int, ...]
    continues: bool = False


class Stopped(NamedTuple):
    """The source was stopped on purpose: nothing is missing from now on.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    """

    at: int


class Listing(NamedTuple):
    """The instruments of a day, so that a replay has their names.

    Parameters
    ----------
    at
        When they were loaded.
    csv
        The dump as Kite publishes it.
    """

    at: int
    csv: bytes


class Event(NamedTuple):
    """Something that happened besides ticks: a row of `Ticker.events`.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    connection
        Index of the connection, or None when it concerns no single one.
    kind
        The kind, to filter by.
    detail
        What happened, printable and bounded.
    """

    at: int
    connection: int | None
    kind: str
    detail: str


class ConnectionState(StrEnum):
    """The state of a connection."""

    IDLE = "idle"
    """Not needed so far, or not started."""
    CONNECTING = "connecting"
    """A handshake is under way."""
    OPEN = "open"
    """Subscribed and receiving."""
    WAITING = "waiting"
    """Lost or refused; the next attempt comes after a delay."""
    EXPIRED = "expired"
    """The credentials of its account were rejected; `set_access_token` revives it."""
    FAILED = "failed"
    """Given up: the attempts that the policy allows are exhausted."""


class ConnectionChanged(NamedTuple):
    """The state of a connection, or the number of its instruments, is another one from now on.

    Parameters
    ----------
    at
        Microseconds since the Unix epoch, UTC.
    connection
        Its index: ``account index * limits.connections + place``.
    account
        Name of its account.
    state
        Its state from now on.
    url
        The server's address, without credentials.
    instruments
        How many instruments are assigned to it.
    reconnects
        How many times it has been opened again after a loss.
    """

    at: int
    connection: int
    account: str
    state: ConnectionState
    url: str
    instruments: int
    reconnects: int


class ClockMoved(NamedTuple):
    """The source's clock was moved forward, because the wall clock was set.

    Parameters
    ----------
    at
        When, by the clock as it is now.
    microseconds
        By how much: nothing happened between ``at - microseconds`` and `at`.
    """

    at: int
    microseconds: int


Record: TypeAlias = (
    Messages
    | MessageBlock
    | Heartbeats
    | Text
    | SnapshotsExpected
    | Subscribed
    | Unsubscribed
    | Lost
    | Stopped
    | Listing
    | Event
    | ConnectionChanged
    | ClockMoved
)
"""Whatever a source may deliver."""


class Sink(Protocol):
    """Where a source delivers its records. Loop thread."""

    def take(self, record: Record) -> None:
        """Take a record; quick, and never raises. Most often it is an append."""
        ...


def now_us() -> int:
    """Return the wall clock in microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000


class Source(ABC):
    """Whatever delivers records. Loop thread."""

    @property
    def description(self) -> str:
        """What it is, for error messages: "this ticker runs on …"."""
        return f"a source of type {type(self).__name__}"

    def __init__(self) -> None:
        self._sinks: tuple[Sink, ...] = ()

    def deliver_to(self, sink: Sink, *, first: bool = False) -> Callable[[], None]:
        """Deliver each record from now on to one more sink.

        Parameters
        ----------
        sink
            The sink.
        first
            Whether before the sinks it has, instead of after them.

        Returns
        -------
        Callable
            Ends that; it may be called twice.
        """
        self._sinks = (sink, *self._sinks) if first else (*self._sinks, sink)

        def end() -> None:
            self._sinks = tuple(one for one in self._sinks if one is not sink)

        return end

    def deliver(self, record: Record) -> None:
        """Hand a record to every sink."""
        for sink in self._sinks:
            sink.take(record)

    def now(self) -> int:
        """Return the time of the source: the wall clock, or that of the recording."""
        return now_us()

    def catch_up(self, then: Callable[[], object]) -> None:
        """Deliver what has arrived at this machine but waits to be delivered, then call `then`."""
        then()

    def note(self, kind: str, detail: str, connection: int | None = None) -> None:
        """Deliver an event of this moment."""
        self.deliver(Event(self.now(), connection, kind, detail))

    @abstractmethod
    async def start(self) -> None:
        """Begin to deliver; return once data can come, or raise what prevents it."""

    @abstractmethod
    async def stop(self) -> None:
        """Deliver nothing more; harmless when stopped."""


class LiveSource(Source):
    """A source with subscriptions. A recording only has what was subscribed then.

    Attributes
    ----------
    blocks
        Whether its methods wait for another process: an event loop then calls them in a thread.
    """

    blocks: ClassVar[bool] = False

    @abstractmethod
    async def start(self, *, strict: bool = False) -> None:
        """Begin to deliver; `strict` raises also when only a part of the source cannot."""

    @abstractmethod
    def subscribe(self, tokens: Collection[int], mode: Mode) -> None:
        """Deliver ticks of these instruments, too, in a mode."""

    @abstractmethod
    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Deliver ticks of these instruments no more."""

    @abstractmethod
    def set_mode(self, tokens: Collection[int], mode: Mode) -> None:
        """Deliver ticks of these instruments in another mode."""

    @abstractmethod
    def set_access_token(self, token: str | Secret, account: str | None = None) -> None:
        """Use a new access token from now on."""
