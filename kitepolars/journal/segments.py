"""The segments of a journal, in order, and the records of each, compressed or not."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kitepolars.errors import JournalError
from kitepolars.journal.compression import first_bytes, read_frames
from kitepolars.journal.folder import CLOSED, OPEN, read_blocks
from kitepolars.journal.format import (
    BAD_SEGMENT,
    SEGMENT_HEADER_SIZE,
    VERSION,
    Damage,
    Entry,
    RecordTable,
    Scan,
    SegmentHeader,
)

TABLES_AHEAD: Final = 8
"""Blocks of 2 MiB that `SegmentFile.tables_ahead` checks before they are needed."""

DECOMPRESSORS: Final = 2
"""Threads that decompress a segment ahead: one keeps up with decoding on another core."""


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """A file of a journal.

    Parameters
    ----------
    sequence
        The sequence number of its first record.
    path
        Where it is.
    """

    sequence: int
    path: Path

    @property
    def is_compressed(self) -> bool:
        """Whether it is closed and compressed."""
        return self.path.name.endswith(CLOSED)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size

    def header(self) -> SegmentHeader | None:
        """Read the header; None if it is damaged or incomplete.

        Raises
        ------
        JournalError
            When a newer version of the format was used.
        """
        if self.is_compressed:
            head = first_bytes(self.path, SEGMENT_HEADER_SIZE)
        else:
            with self.path.open("rb") as file:
                head = file.read(SEGMENT_HEADER_SIZE)
        return self._checked(SegmentHeader.decode(head))

    def read(self, scan: Scan | None = None) -> Generator[Entry]:
        """Yield the intact records; see `tables`, which is many times faster."""
        for table in self.tables(scan):
            yield from table

    def tables(self, scan: Scan | None = None) -> Generator[RecordTable]:
        """Yield the intact records, a block of the file at a time.

        Parameters
        ----------
        scan
            A new one, whose `damages` are complete when the iteration is.

        Raises
        ------
        JournalError
            When a newer version of the format was used.
        """
        is_compressed = self.is_compressed
        blocks = read_frames(self.path) if is_compressed else read_blocks(self.path)
        yield from self._scanned(blocks, scan or Scan())

    def _scanned(self, blocks: Iterable[bytes | Damage], scan: Scan) -> Generator[RecordTable]:
        """Yield the intact records of a segment's blocks; see `tables`."""
        is_first = True
        for block in blocks:
            if isinstance(block, Damage):
                scan.skip(block.length, block.reason)
                is_first = is_first and not block.length
                continue
            data = block
            if is_first:
                is_first = False
                if self._checked(SegmentHeader.decode(data)) is None:
                    scan.skip(min(len(data), SEGMENT_HEADER_SIZE), BAD_SEGMENT)
                else:
                    scan.begin(SEGMENT_HEADER_SIZE)
                data = data[SEGMENT_HEADER_SIZE:]
            yield scan.feed(data)
        scan.finish()

    def tables_ahead(self) -> Generator[RecordTable]:
        """Yield what `tables` does for a compressed segment, made ahead by other threads.

        One checks what `DECOMPRESSORS` others decompress. They hold the interpreter's lock for
        little of that time.
        """
        blocks = read_frames(self.path, threads=DECOMPRESSORS)
        tables = self._scanned(blocks, Scan())
        with ThreadPoolExecutor(1, "kitepolars-journal-reader") as thread, closing(blocks):
            waiting = deque(thread.submit(next, tables, None) for _ in range(TABLES_AHEAD))
            try:
                while (table := waiting.popleft().result()) is not None:
                    waiting.append(thread.submit(next, tables, None))
                    yield table
            finally:
                thread.shutdown(cancel_futures=True)
                tables.close()

    def _checked(self, header: SegmentHeader | None) -> SegmentHeader | None:
        if header is not None and header.version > VERSION:
            raise JournalError(
                f"version {header.version} of the format is newer than this kitepolars, "
                f"which reads up to version {VERSION}",
                path=self.path,
            )
        return header


def segments(path: str | os.PathLike[str]) -> list[SegmentFile]:
    """Return the segments of a journal, of one day's folder, or a single one, in order.

    Raises
    ------
    JournalError
        When there is no such file or folder.
    """
    place = Path(path)
    if place.is_file() and place.name.endswith((OPEN, CLOSED)):
        return [SegmentFile(_number(place) or 0, place)]
    if not place.is_dir():
        raise JournalError("there is no recording", path=place)
    found = [*place.glob(f"*{OPEN}*"), *place.glob(f"*/*{OPEN}*")]
    numbered: dict[int, SegmentFile] = {}
    for file in sorted(found):  # a compressed segment replaces the open one, which sorts before it
        number = _number(file)
        if number is not None and file.name.endswith((OPEN, CLOSED)):
            numbered[number] = SegmentFile(number, file)
    return sorted(numbered.values())


def _number(path: Path) -> int | None:
    name = path.name.partition(".")[0]
    return int(name) if name.isdecimal() else None
