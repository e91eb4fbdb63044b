"""The records of a journal, as a source delivers them; damage becomes a gap."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from kitepolars.errors import JournalError
from kitepolars.journal.codec import MESSAGES, UnreadableRecord, decode
from kitepolars.journal.format import (
    Damage,
    Entry,
    Field,
    RecordTable,
    Scan,
)
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.journal.standing import Standing
from kitepolars.source import Lost, MessageBlock, Record


class EntryReader:
    """Entries → records, in one journal's order.

    Where sequence numbers are missing, the beginning of a gap is returned for every instrument
    that is subscribed there. A record that was read before is skipped.
    """

    def __init__(self) -> None:
        self.standing = Standing()
        """The listing and the subscriptions after the records so far."""
        self.missing = 0
        """How many sequence numbers were missing: damaged records."""
        self.unreadable = 0
        """Intact records of unknown kind or content."""
        self.at = 0
        """The time of the record before the next one."""
        self._next: int | None = None

    @property
    def next(self) -> int:
        """The sequence number of the next record."""
        return self._next or 0

    def read(self, entry: Entry) -> Sequence[Record]:
        """Return the record of the next entry, after the gap before it if there is one."""
        if self._next is not None and entry.sequence < self._next:
            return ()
        lost = self._lost(entry.sequence, entry.at)
        self._next = entry.sequence + 1
        self.at = entry.at
        try:
            record = decode(entry)
        except UnreadableRecord:
            self.unreadable += 1
            return lost
        self.standing.take(record)
        return (*lost, record)

    def read_table(self, table: RecordTable) -> Iterator[Record]:
        """Yield what `read` returns for each record, but messages as `MessageBlock` only."""
        rows = table.rows
        if not len(rows):
            return
        is_block = (rows[:, Field.KIND] == MESSAGES) & (rows[:, Field.WHOLE] == rows[:, Field.END])
        # a run ends where the sequence breaks, and where messages begin or end
        is_end = (np.diff(rows[:, Field.SEQUENCE]) != 1) | (is_block[1:] != is_block[:-1])
        for begin, stop in pairwise([0, *(np.flatnonzero(is_end) + 1).tolist(), len(rows)]):
            if is_block[begin]:
                yield from self._read_block(table, begin, stop)
            else:
                for entry in table[begin:stop]:
                    yield from self.read(entry)

    def _read_block(self, table: RecordTable, begin: int, stop: int) -> Iterator[Record]:
        """Yield consecutive records of messages as one, without those that were read before."""
        first = int(table.rows[begin, Field.SEQUENCE])
        if self._next is not None and first < self._next:
            begin += self._next - first
            first = self._next
        if begin >= stop:
            return
        rows = table.rows[begin:stop]
        yield from self._lost(first, int(rows[0, Field.AT]))
        self._next, self.at = first + len(rows), int(rows[-1, Field.AT])
        block = MessageBlock(first, table.data, rows[:, _READS])
        self.standing.take(block)
        yield block

    def _lost(self, sequence: int, at: int) -> Sequence[Lost]:
        """Return the beginnings of a gap if records are missing before one."""
        if self._next is None or sequence <= self._next:
            return ()
        missing = sequence - self._next
        self.missing += missing
        reason = f"{missing:,} records of the recording are damaged"
        return self.standing.lost(at, self.at, reason)


_READS: Final = (
    Field.AT,
    Field.CONNECTION,
    Field.BEGIN,
    Field.END,
    Field.MESSAGES,
    Field.BYTES,
)
"""The columns of a table of records that `MessageBlock.reads` consists of."""


def read_records(
    path: str | os.PathLike[str], *, start: int | None = None, end: int | None = None
) -> Iterator[Record]:
    """Yield the records of a journal.

    Parameters
    ----------
    path
        The journal's folder, a day's folder in it, or a segment.
    start, end
        Only the segments that may have records between these times, in microseconds since the
        Unix epoch, UTC; `end` is excluded.

    Raises
    ------
    JournalError
        When there is no recording, or a newer version of the format was used.
    """
    reader = EntryReader()
    for segment in between(path, start, end):
        for entry in segment.read():
            yield from reader.read(entry)


def between(
    path: str | os.PathLike[str], start: int | None = None, end: int | None = None
) -> list[SegmentFile]:
    """Return the segments that may have records between two times; see `read_records`."""
    found = segments(path)
    if not found:
        raise JournalError("there is no recording", path=path)
    if start is None and end is None:
        return found
    headers = [segment.header() for segment in found]
    begins = [None if header is None else header.at for header in headers]
    first = 0
    for number, at in enumerate(begins):
        if start is not None and at is not None and at <= start:
            first = number
    return [
        segment
        for segment, at in zip(found[first:], begins[first:], strict=True)
        if end is None or at is None or at < end
    ]


def span(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the times of the first and the last record; the last segment is read for that.

    Raises
    ------
    JournalError
        When there is no recording.
    """
    found = between(path)
    first = next((entry.at for segment in found for entry in segment.read()), 0)
    last = first
    for segment in reversed(found):
        if entries := deque(segment.read(), maxlen=1):
            last = entries[0].at
            break
    return first, max(first, last)


@dataclass(slots=True)
class Verdict:
    """What `verify` found in a segment.

    Parameters
    ----------
    segment
        Which one.
    records
        How many records are intact.
    bytes
        Their bytes and the header's, uncompressed.
    damages
        Bytes that are not a record.
    unreadable
        Records of unknown kind or content.
    first, last
        The sequence numbers of the first and the last record; None if there is none.
    """

    segment: SegmentFile
    records: int = 0
    bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    unreadable: int = 0
    first: int | None = None
    last: int | None = None


def verify(segment: SegmentFile) -> Verdict:
    """Check every record of a segment."""
    verdict, scan = Verdict(segment), Scan()
    reader = EntryReader()
    for entry in segment.read(scan):
        verdict.records += 1
        verdict.first = entry.sequence if verdict.first is None else verdict.first
        verdict.last = entry.sequence
        reader.read(entry)
    verdict.bytes, verdict.damages = scan.intact, scan.damages
    verdict.unreadable = reader.unreadable
    return verdict
