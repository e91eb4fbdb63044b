"""Reading a journal that grows: everything up to now, and then what is appended. One thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from kitepolars.journal.folder import BLOCK, CLOSED, DIGITS, OPEN
from kitepolars.journal.format import RECORD_HEADER_SIZE, SEGMENT_HEADER_SIZE, Entry, Scan
from kitepolars.journal.segments import SegmentFile, segments

_LOOK_EVERY: Final = 50
"""Reads without an entry after which the folder of a new day is looked for."""

_ATTEMPTS: Final = 10
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

    def read(self, most: int = BLOCK) -> list[Entry]:
        """Return the entries that follow, at most `most` bytes of payload and one entry more.

        Returns
        -------
        list of Entry
            Empty if the journal has no more for now.
        """
        while True:
            if self._segment is None and not self._open():
                return []
            assert self._segment is not None  # noqa: S101 - it was opened
            entries = self._segment.read(most)
            if entries:
                self._next = entries[-1].sequence + 1
                return entries
            if not self._is_over():
                return []
            # What was appended between the read and the look at the next segment:
            if entries := self._segment.read(most):
                self._next = entries[-1].sequence + 1
                return entries
            self._segment.close()
            self._segment = None

    def close(self) -> None:
        """Let the open file go. A later `read` begins that file anew, with entries read before."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._opened -= 1
            self._known = []

    def _open(self) -> bool:
        """Open the next segment, if there is one."""
        for _ in range(_ATTEMPTS):
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
    """An open segment, read from its beginning as far as it goes."""

    is_complete = False

    def __init__(self, segment: SegmentFile) -> None:
        segment.header()  # raises if a newer version wrote it
        self.folder = segment.path.parent
        self._file = segment.path.open("rb", buffering=0)
        self._place = SEGMENT_HEADER_SIZE

    def read(self, most: int) -> list[Entry]:
        """Return complete records. An incomplete one is read anew: it may yet be cut off."""
        size = max(most, RECORD_HEADER_SIZE)
        while True:
            self._file.seek(self._place)
            data = self._file.read(size)
            scan = Scan(self._place)
            entries = list(scan.feed(data))
            self._place = scan.intact
            if entries or len(data) < size:
                return entries
            size *= 2  # a large record, or a large damage

    def close(self) -> None:
        self._file.close()


class _Closed:
    """A compressed segment, which grows no more."""

    is_complete = True

    def __init__(self, segment: SegmentFile) -> None:
        segment.header()
        self.folder = segment.path.parent
        self._entries = segment.read()

    def read(self, most: int) -> list[Entry]:
        return list(_limited(self._entries, most))

    def close(self) -> None:
        self._entries.close()


def _limited(entries: Iterator[Entry], most: int) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        most -= len(entry.payload)
        if most <= 0:
            return
