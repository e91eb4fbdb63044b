"""Records ↔ what a journal stores of them. Pure.

The table `KINDS` gives each type of record its code. Messages are stored as the WebSocket frames
that brought them, texts and listings as they came, and everything else as a JSON object of the
record's fields. The time and the connection of a record are in its header.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, get_args, get_origin, get_type_hints

from kitepolars.journal.format import NO_CONNECTION, Entry
from kitepolars.source import (
    ClockMoved,
    ConnectionChanged,
    Event,
    Heartbeats,
    Listing,
    Lost,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.stream import RawMessages, frames_of

MESSAGES: Final = 1
"""The code of the records that nearly all bytes of a journal belong to."""

KINDS: Final[Mapping[int, type[Any]]] = {
    MESSAGES: Messages,
    2: Heartbeats,
    3: Text,
    4: SnapshotsExpected,
    5: Subscribed,
    6: Unsubscribed,
    7: Lost,
    8: Stopped,
    9: Listing,
    10: Event,
    11: ConnectionChanged,
    12: ClockMoved,
}
"""Code → type of record. A code is never used again for something else."""

_TIMES: Final = ("at", "received_at")
_CONNECTION: Final = "connection"


class UnreadableRecord(ValueError):
    """The payload of an intact record does not match its kind, or the kind is unknown."""


def encode(record: Record, sequence: int) -> Entry:
    """Return what is stored of a record.

    Parameters
    ----------
    record
        A record of one of the types in `KINDS`: a `MessageBlock` is stored read by read.
    sequence
        Its number in the journal.
    """
    if isinstance(record, Messages):
        frames = frames_of(record.messages)
        return Entry(sequence, record.received_at, MESSAGES, record.connection, frames)
    shape = _SHAPES[type(record)]
    connection = getattr(record, _CONNECTION, None)
    return Entry(
        sequence,
        getattr(record, shape.time),
        shape.code,
        NO_CONNECTION if connection is None else connection,
        shape.write(record),
    )


def decode(entry: Entry) -> Record:
    """Return the record that was stored.

    Raises
    ------
    UnreadableRecord
        When the kind is unknown (a newer version wrote it), or the payload is malformed.
    """
    if entry.kind == MESSAGES:
        messages = RawMessages.of(entry.payload)
        if messages.stop != len(entry.payload):
            raise UnreadableRecord("the frames of the messages are malformed")
        return Messages(entry.at, entry.connection, messages)
    if entry.kind not in KINDS:
        raise UnreadableRecord(f"kind {entry.kind} is unknown: a newer version wrote it")
    shape = _SHAPES[KINDS[entry.kind]]
    try:
        values = shape.read(entry.payload)
        values[shape.time] = entry.at
        if shape.has_connection:
            values[_CONNECTION] = None if entry.connection == NO_CONNECTION else entry.connection
        record: Record = KINDS[entry.kind](**values)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableRecord(f"a record of kind {entry.kind} is malformed: {error}") from None
    return record


def time_of(record: Record) -> int:
    """Return when a record happened, in microseconds since the Unix epoch, UTC."""
    if isinstance(record, Messages | MessageBlock | Heartbeats | Text):
        return record.received_at
    return record.at


class _Shape:
    """How the fields of one type of record are stored, apart from its time and connection."""

    def __init__(self, code: int, record: type[Any]) -> None:
        hints = get_type_hints(record)
        names = record._fields
        self.code = code
        self.time = next(name for name in _TIMES if name in names)
        self.has_connection = _CONNECTION in names
        self.names = [name for name in names if name not in {self.time, _CONNECTION}]
        self._restore = {
            name: restore for name in self.names if (restore := _restoring(hints[name])) is not None
        }
        self._plain = _PLAIN.get(record)

    def write(self, record: Record) -> bytes:
        if self._plain is not None:
            value = getattr(record, self._plain)
            return value if isinstance(value, bytes) else value.encode("utf-8", "replace")
        values = {name: getattr(record, name) for name in self.names}
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "replace"
        )

    def read(self, payload: bytes) -> dict[str, Any]:
        if self._plain is not None:
            plain = payload if self._plain == "csv" else payload.decode()
            return {self._plain: plain}
        values = json.loads(payload)
        if not isinstance(values, dict):
            raise TypeError("not an object")
        known = {name: values[name] for name in self.names if name in values}
        return known | {name: restore(known[name]) for name, restore in self._restore.items()}


def _restoring(hint: Any) -> Callable[[Any], Any] | None:
    """Return what makes a field's value of its JSON, if that is not the value itself."""
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return lambda values: tuple(map(item, values))
    return hint if isinstance(hint, type) and issubclass(hint, Enum) else None


_PLAIN: Final[Mapping[type[Any], str]] = {Text: "text", Listing: "csv"}
"""Types of record whose payload is one field as it is."""

_SHAPES: Final[Mapping[type[Any], _Shape]] = {
    record: _Shape(code, record) for code, record in KINDS.items() if code != MESSAGES
}
