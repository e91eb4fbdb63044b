"""The bytes of a journal: the headers of segments and records, and the scan. Pure.

A segment is a header and records. A record is a header of fixed size and a payload, each with a
checksum of its own, so a damaged record is skipped by its length, or, where the length itself is
damaged, by a search for the next marker. `docs/journal-format.md` describes the format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

VERSION: Final = 1
"""The version of the format that is written. It changes when an old reader would misread."""

SEGMENT_MAGIC: Final = b"\x89KPJ\r\n\x1a\n"
"""The first bytes of a segment: not ASCII, and changed by any transfer that alters line ends."""

MARKER: Final = b"\xf5KPR"
"""The first bytes of a record: no UTF-8 text contains the first of them."""

MAX_PAYLOAD: Final = 256 * 2**20
"""Bytes of a payload at most; a header that says more is damaged."""

NO_CONNECTION: Final = 255
"""The connection of a record that concerns no single one."""

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


class Scan:
    """Finds the records in consecutive blocks of a segment.

    Parameters
    ----------
    offset
        Where in the segment the first block begins.

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
        """Where the last intact record that was yielded ends."""
        self.damages: list[Damage] = []
        self._rest = b""  # what has yet to be judged,
        self._rest_at = offset  # where it begins,
        self._bad_at: int | None = None  # and where the damage before it begins, if it goes on

    def feed(self, block: bytes) -> Iterator[Entry]:
        """Yield the records that are complete with a block; take all before the next block."""
        data = self._rest + block if self._rest else block
        base, place = self._rest_at, 0
        while place + RECORD_HEADER_SIZE <= len(data):
            header = _read_header(data, place)
            if header is None:
                place = self._search(data, base, place)
                continue
            self._end_damage(base + place)
            sequence, at, length, checksum, kind, connection = header
            begin = place + RECORD_HEADER_SIZE
            end = begin + length
            if end > len(data):
                break
            payload = data[begin:end]
            if crc32(payload) == checksum:
                self.intact = base + end
                yield Entry(sequence, at, kind, connection, payload)
            else:
                self.damages.append(Damage(base + place, end - place, BAD_PAYLOAD))
            place = end
        self._rest, self._rest_at = data[place:], base + place

    def begin(self, offset: int) -> None:
        """Begin at another place of the segment."""
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
        """Leave out bytes that are damaged as a whole; an incomplete record before is, too."""
        self.finish()
        self.damages.append(Damage(self._rest_at, length, reason))
        self._rest_at += length

    def _search(self, data: bytes, base: int, place: int) -> int:
        """Return where the next header may be, behind a place that has none."""
        if self._bad_at is None:
            self._bad_at = base + place
        found = data.find(MARKER, place + 1)
        return found if found >= 0 else max(place + 1, len(data) - len(MARKER) + 1)

    def _end_damage(self, end: int) -> None:
        if self._bad_at is not None:
            self.damages.append(Damage(self._bad_at, end - self._bad_at, BAD_HEADER))
            self._bad_at = None


def _read_header(data: bytes, place: int) -> tuple[int, int, int, int, int, int] | None:
    """Return an intact header's sequence, time, length, checksum, kind and connection, or None."""
    end = place + RECORD_HEADER_SIZE
    marker, checked, sequence, at, length, checksum, kind, connection, _ = _RECORD.unpack_from(
        data, place
    )
    if marker != MARKER or length > MAX_PAYLOAD or crc32(data[place + _UNCHECKED : end]) != checked:
        return None
    return sequence, at, length, checksum, kind, connection
