"""Reading a journal that grows: everything up to now, and then what is appended. One thread."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from kitepolars.journal.folder import BLOCK, CLOSED, DIGITS, OPEN
from kitepolars.journal.format import (
    NO_RECORDS,
    RECORD_HEADER_SIZE,
    SEGMENT_HEADER_SIZE,
    Field,
    RecordTable,
    Scan,
)
from kitepolars.journal.segments import SegmentFile, segments

_LOOK_EVERY: Final = 50
"""Reads without an entry after which the folder of a new day is looked for."""

_OPEN_ATTEMPTS: Final = 10
"""How often a segment may vanish between the look and the opening."""


class Tail:
    """A reader's place in a journal that may be growing.

    Parameters
    ----------
    folder
        The journal's folder, or that of one day.
    first
        The first segment to read, by sequence number: this one or the next there is.

    Raises
    ------
    JournalError
        When there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], first: int = 0) -> None:
        self._folder = Path(folder)
        self._next = first  # sequence number of the next record
        self._opened = first - 1  # that of the segment which was opened last
        self._segment: _Growing | _Closed | None = None
        self._quiet = 0
        self._known: list[SegmentFile] = []
        self._look()

    def read(self, most: int = BLOCK) -> RecordTable:
        """Return records that follow, of about `most` bytes, or one that is larger.

        Returns
        -------
        RecordTable
            Empty if the journal has no more for now.
        """
        while True:
            if self._segment is None and not self._open():
                return NO_RECORDS
            assert self._segment is not None  # noqa: S101 - it was opened
            if table := self._read(self._segment, most):
                return table
            if not self._is_over():
                return NO_RECORDS
            # What was appended between the read and the look at the next segment:
            if table := self._read(self._segment, most):
                return table
            self._segment.close()
            self._segment = None

    def _read(self, segment: _Growing | _Closed, most: int) -> RecordTable:
        table = segment.read(most)
        if table:
            self._next = int(table.rows[-1, Field.SEQUENCE]) + 1
        return table

    def close(self) -> None:
        """Close the open file. A later `read` starts again from its beginning."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._opened -= 1
            self._known = []

    def _open(self) -> bool:
        """Open the next segment, if there is one."""
        for _ in range(_OPEN_ATTEMPTS):
            if not self._known:
                self._look()
            if not self._known:
                return False
            segment = self._known[0]
            with suppress(FileNotFoundError):  # it was compressed meanwhile: look again
                self._segment = _Closed(segment) if segment.is_compressed else _Growing(segment)
                self._opened = segment.sequence
                del self._known[0]
                return True
            self._known = []
        return False

    def _look(self) -> None:
        """List the segments that have not been opened."""
        self._known = [one for one in segments(self._folder) if one.sequence > self._opened]

    def _is_over(self) -> bool:
        """Say whether the segment that is open has an end, because another one follows."""
        segment = self._segment
        assert segment is not None  # noqa: S101 - called for an open one
        if not self._known:
            name = f"{self._next:0{DIGITS}}"
            is_likely = any((segment.folder / (name + end)).exists() for end in (OPEN, CLOSED))
            self._quiet += 1
            if is_likely or self._quiet % _LOOK_EVERY == 0:
                self._look()
        return segment.is_complete or bool(self._known)


class _Growing:
    """An open segment, read from its beginning to its current end."""

    is_complete = False

    def __init__(self, segment: SegmentFile) -> None:
        segment.header()  # raises if a newer version wrote it
        self.folder = segment.path.parent
        self._file = segment.path.open("rb", buffering=0)
        self._place = SEGMENT_HEADER_SIZE

    def read(self, most: int) -> RecordTable:
        """Return complete records. An incomplete one is read again: it may yet be cut off."""
        size = max(most, RECORD_HEADER_SIZE)
        while True:
            self._file.seek(self._place)
            data = self._file.read(size)
            scan = Scan(self._place)
            table = scan.feed(data)
            self._place = scan.intact
            if table or len(data) < size:
                return table
            size *= 2  # a large record, or a large damage

    def close(self) -> None:
        self._file.close()


class _Closed:
    """A compressed segment, which grows no more; it is read ahead by another thread."""

    is_complete = True

    def __init__(self, segment: SegmentFile) -> None:
        segment.header()
        self.folder = segment.path.parent
        self._tables = segment.tables_ahead()
        self._rest = NO_RECORDS  # of the table that was read last

    def read(self, most: int) -> RecordTable:
        """Return complete records."""
        table = self._rest or next(filter(None, self._tables), NO_RECORDS)
        if not table:
            return table
        ends = table.rows[:, Field.END] - table.rows[0, Field.BEGIN]
        count = int(np.searchsorted(ends, most)) + 1
        self._rest = table[count:]
        return table[:count]

    def close(self) -> None:
        self._tables.close()
