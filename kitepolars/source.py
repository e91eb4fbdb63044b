"""What passes from a source of ticks to a sink: the records, and the two protocols.

A source delivers records; a sink takes them, on the loop thread, in the order in which they
happened. The live feed is a source, and so are a recorder's journal that is being followed and a
recorded day that is replayed. Whatever stands behind the sink (ticks, orders, gaps, events,
counters) is made of records alone, so it is the same whichever source delivers them.

Times are microseconds since the Unix epoch, UTC. A record never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

from kitepolars.wire.layouts import Mode


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
        When.
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
        When.
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
        When.
    instrument_tokens
        The instruments.
    """

    at: int
    instrument_tokens: tuple[int, ...]


class Lost(NamedTuple):
    """Data of instruments may be missing from a moment on: the beginning of a gap.

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
    """

    at: int
    connection: int
    account: str
    since: int
    reason: str
    instrument_tokens: tuple[int, ...]


class Stopped(NamedTuple):
    """The source was stopped on purpose: nothing is missing from now on.

    Parameters
    ----------
    at
        When.
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


Record: TypeAlias = (
    Messages
    | Heartbeats
    | Text
    | SnapshotsExpected
    | Subscribed
    | Unsubscribed
    | Lost
    | Stopped
    | Listing
)
"""Whatever a source may deliver."""


class Sink(Protocol):
    """Where a source delivers its records. Loop thread."""

    def take(self, record: Record) -> None:
        """Take a record; quick, and never raises. Most often it is an append."""
        ...


class Source(Protocol):
    """Whatever delivers records to a sink. Loop thread."""

    async def start(self, sink: Sink) -> None:
        """Begin to deliver; return once the first data can come, or raise what prevents it."""
        ...

    async def stop(self) -> None:
        """Deliver nothing more; harmless when stopped."""
        ...
