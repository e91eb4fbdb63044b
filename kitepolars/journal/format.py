"""The bytes of a journal: the headers of segments and records, and the scan. Pure.

A segment is a header and records. A record is a header of fixed size and a payload, each with its
own checksum, so a damaged record is skipped by its length or, if the length itself is damaged, by a
search for the next marker. `docs/journal-format.md` describes the format. The loop over intact
records is compiled; what is damaged is handled here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from kitepolars import native

VERSION: Final = 1
"""The version of the format that is written. It changes when an old reader would misread."""

SEGMENT_MAGIC: Final = b"\x89KPJ\r\n\x1a\n"
"""The first bytes of a segment: not ASCII, and changed by a transfer that converts line ends."""

MARKER: Final = b"\xf5KPR"
"""The first bytes of a record: no UTF-8 text contains the first of them."""

MAX_PAYLOAD: Final = 256 * 2**20
"""The largest payload in bytes; a header with a larger length is damaged."""

NO_CONNECTION: Final = 255
"""The connection of a record that does not concern a single connection."""

_SEGMENT: Final = Struct("<8sIIQq")  # magic, checksum, version, first sequence, first time
_RECORD: Final = Struct("<4sIQqIIBBH")  # marker, checksum, sequence, at, length, payload's, …
_UNCHECKED: Final = 8
"""Bytes of either header's beginning that its checksum does not cover: marker and checksum."""
_SEGMENT_PLAIN: Final = 12

SEGMENT_HEADER_SIZE: Final = _SEGMENT.size
RECORD_HEADER_SIZE: Final = _RECORD.size


class SegmentHeader(NamedTuple):
    """The beginning of a segment.

    Parameters
    ----------
    version
        The version of the format.
    sequence
        The sequence number of the first record.
    at
        The time of the first record, in microseconds since the Unix epoch, UTC.
    """

    version: int
    sequence: int
    at: int

    def encode(self) -> bytes:
        """Return the header's bytes."""
        header = _SEGMENT.pack(SEGMENT_MAGIC, 0, self.version, self.sequence, self.at)
        checksum = crc32(header[_SEGMENT_PLAIN:])
        return _SEGMENT.pack(SEGMENT_MAGIC, checksum, self.version, self.sequence, self.at)

    @classmethod
    def decode(cls, data: bytes) -> SegmentHeader | None:
        """Read a header; None if it is incomplete or damaged."""
        if len(data) < SEGMENT_HEADER_SIZE:
            return None
        magic, checksum, version, sequence, at = _SEGMENT.unpack_from(data)
        if magic != SEGMENT_MAGIC or crc32(data[_SEGMENT_PLAIN:SEGMENT_HEADER_SIZE]) != checksum:
            return None
        return cls(version, sequence, at)


class Entry(NamedTuple):
    """A record as it is stored; `kitepolars.journal.codec` knows what the payload means.

    Parameters
    ----------
    sequence
        Its number in the journal: one more than that of the record before.
    at
        Its time, in microseconds since the Unix epoch, UTC.
    kind
        The code of the record's type.
    connection
        Index of the connection, or `NO_CONNECTION`.
    payload
        Its content.
    """

    sequence: int
    at: int
    kind: int
    connection: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = (
            self.sequence,
            self.at,
            len(self.payload),
            crc32(self.payload),
            self.kind,
            self.connection,
            0,
        )
        checksum = crc32(_RECORD.pack(MARKER, 0, *fields)[_UNCHECKED:])
        return _RECORD.pack(MARKER, checksum, *fields) + self.payload


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record.

    Parameters
    ----------
    offset
        Where they begin in the segment, uncompressed.
    length
        How many they are.
    reason
        What is wrong with them.
    """

    offset: int
    length: int
    reason: str

    def __str__(self) -> str:
        return f"{self.length:,} bytes at {self.offset:,}: {self.reason}"


TORN: Final = "the record is incomplete"
BAD_HEADER: Final = "the header's checksum is wrong"
BAD_PAYLOAD: Final = "the payload's checksum is wrong"
BAD_SEGMENT: Final = "the segment's header is damaged"
BAD_FRAME: Final = "the compressed frame is damaged"
BAD_TABLE: Final = "the table of the compressed frames is damaged; nothing is lost by that"


class Field(IntEnum):
    """The columns of `RecordTable.rows`, as ``struct record`` of journal.c."""

    SEQUENCE = 0
    AT = 1
    KIND = 2
    CONNECTION = 3
    BEGIN = 4
    """Where the payload begins in the block."""
    END = 5
    MESSAGES = 6
    """How many messages the record has, heartbeats excluded."""
    BYTES = 7
    """The bytes of those messages, without the heads of their frames."""
    WHOLE = 8
    """Where the complete frames end."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """The intact records of a block of a segment, in place: no object is made for each record.

    Iterating over it yields an `Entry` per record.

    Parameters
    ----------
    data
        The block.
    offset
        Its position in the segment.
    rows
        A row per record, with the columns of `Field`; the last three are 0 unless it is a record of
        messages.
    """

    data: bytes
    offset: int
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.rows)

    @property
    def size(self) -> int:
        """The bytes from the first payload to the last one."""
        return int(self.rows[-1, Field.END] - self.rows[0, Field.BEGIN]) if len(self.rows) else 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield each record; its payload is a copy."""
        sequences = self.rows[:, Field.SEQUENCE].view(np.uint64).tolist()
        fields = self.rows[:, Field.AT : Field.MESSAGES].tolist()
        for sequence, (at, kind, connection, begin, end) in zip(sequences, fields, strict=True):
            yield Entry(sequence, at, kind, connection, self.data[begin:end])

    def __getitem__(self, part: slice) -> RecordTable:
        """Return some of the records."""
        return RecordTable(self.data, self.offset, self.rows[part])


NO_RECORDS: Final = RecordTable(b"", 0, np.empty((0, len(Field)), np.int64))

_INCOMPLETE, _TABLE_FULL, _BAD_HEADER, _BAD_PAYLOAD = range(4)  # as in journal.c

_SMALLEST_TABLE: Final = 256
"""Rows that are allocated first; the number doubles as needed."""


class Scan:
    """Finds the records in consecutive blocks of a segment.

    Parameters
    ----------
    offset
        The position of the first block in the segment.

    Examples
    --------
    >>> stored = Entry(7, 1_764_216_900_000_000, 3, 0, b"hello").encode()
    >>> scan = Scan()
    >>> [entry.payload for entry in scan.feed(stored + stored[:10])]
    [b'hello']
    >>> scan.intact == len(stored), scan.finish()[0].reason
    (True, 'the record is incomplete')
    """

    def __init__(self, offset: int = 0) -> None:
        self.intact = offset
        """The end of the last intact record."""
        self.damages: list[Damage] = []
        self._rest = b""  # bytes that cannot be judged before the next block,
        self._rest_at = offset  # their position,
        self._bad_at: int | None = None  # and the start of the damage before them, if it continues

    def feed(self, block: bytes) -> RecordTable:
        """Return the records that a block completes."""
        data = self._rest + block if self._rest else block
        base, place = self._rest_at, 0
        parts = []
        while True:
            why, rows, stop = _find(data, place)
            is_header = bool(len(rows)) or why == _BAD_PAYLOAD
            if is_header or (why == _INCOMPLETE and len(data) - stop >= RECORD_HEADER_SIZE):
                self._end_damage(base + place)
            if len(rows):
                parts.append(rows)
                self.intact = base + stop
            if why == _INCOMPLETE:
                break
            if why == _BAD_HEADER:
                place = self._search(data, base, stop)
            else:
                place = stop + RECORD_HEADER_SIZE + _RECORD.unpack_from(data, stop)[_LENGTH]
                self.damages.append(Damage(base + stop, place - stop, BAD_PAYLOAD))
        self._rest, self._rest_at = data[stop:], base + stop
        table = parts[0] if len(parts) == 1 else np.concatenate([NO_RECORDS.rows, *parts])
        return RecordTable(data, base, table)

    def begin(self, offset: int) -> None:
        """Continue at another position of the segment."""
        self.intact = self._rest_at = offset
        self._rest = b""

    def finish(self) -> list[Damage]:
        """End the segment: what is left is damaged. Return all damages."""
        end = self._rest_at + len(self._rest)
        if self._bad_at is not None:
            self._end_damage(end)
        elif self._rest:
            self.damages.append(Damage(self._rest_at, len(self._rest), TORN))
        self._rest, self._rest_at = b"", end
        return self.damages

    def skip(self, length: int, reason: str) -> None:
        """Skip bytes that are damaged as a whole, with the incomplete record before them."""
        self.finish()
        self.damages.append(Damage(self._rest_at, length, reason))
        self._rest_at += length

    def _search(self, data: bytes, base: int, place: int) -> int:
        """Return where the next header may be, after a position that has none."""
        if self._bad_at is None:
            self._bad_at = base + place
        found = data.find(MARKER, place + 1)
        return found if found >= 0 else max(place + 1, len(data) - len(MARKER) + 1)

    def _end_damage(self, end: int) -> None:
        if self._bad_at is not None:
            self.damages.append(Damage(self._bad_at, end - self._bad_at, BAD_HEADER))
            self._bad_at = None


_LENGTH: Final = 4  # among the fields of `_RECORD`


def _find(data: bytes, place: int) -> tuple[int, npt.NDArray[np.int64], int]:
    """Return why the search for intact records from a place on ended, the records, and where."""
    rows = np.empty((_SMALLEST_TABLE, len(Field)), np.int64)
    result = np.zeros(2, np.int64)
    found = 0
    while True:
        why = native.find_records(
            data,
            len(data),
            place,
            MARKER,
            MAX_PAYLOAD,
            len(rows) - found,
            native.address(rows[found:]),
            native.address(result),
        )
        place, found = int(result[0]), found + int(result[1])
        if why != _TABLE_FULL:
            return why, rows[:found], place
        rows = np.concatenate([rows, np.empty_like(rows)])
