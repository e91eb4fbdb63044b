"""The open segment: appending to it, and restoring it after a failed write. Writer's thread.

Every call to the operating system that can fail goes through `Disk`, so that tests can make it
fail. After a write that fails or is short, the segment still consists of whole records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kitepolars.journal.folder import FILE_MODE, make_private, segment_path, sync_file, sync_folder
from kitepolars.journal.format import VERSION, Entry, Scan, SegmentHeader
from kitepolars.journal.segments import SegmentFile

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Disk:
    """The calls to the operating system that the writer makes."""

    def open(self, path: Path, *, create: bool) -> int:
        """Open a file to append to; a new one may be read by its owner only."""
        return os.open(path, _FLAGS | (os.O_CREAT | os.O_EXCL if create else 0), FILE_MODE)

    def write(self, handle: int, data: bytes | memoryview[int]) -> int:
        """Append bytes; return how many, which on a full disk are fewer."""
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        """Return when the file's content is on the disk."""
        sync_file(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut a file off."""
        os.ftruncate(handle, size)


class GrowingSegment:
    """A segment that is being written.

    Parameters
    ----------
    path
        Where it is.
    handle
        The open file.
    size
        Its bytes, all of them whole records.
    disk
        The operating system.
    """

    def __init__(self, path: Path, handle: int, size: int, disk: Disk) -> None:
        self.path = path
        self.size = size
        self.durable = size
        """Bytes that are known to be on the disk."""
        self.handle = handle
        self._disk = disk
        self._is_whole = True

    @classmethod
    def create(cls, root: Path, sequence: int, at: int, disk: Disk) -> GrowingSegment:
        """Begin a segment with the record of a sequence number and time.

        Raises
        ------
        OSError
            When it cannot be made.
        """
        path = segment_path(root, sequence, at)
        make_private(path.parent)
        handle = disk.open(path, create=True)
        segment = cls(path, handle, 0, disk)
        try:
            segment.append([SegmentHeader(VERSION, sequence, at).encode()])
            disk.sync(handle)
            segment.durable = segment.size
            sync_folder(path.parent)
            sync_folder(root)
        except OSError:
            os.close(handle)
            path.unlink()
            raise
        return segment

    @classmethod
    def resume(cls, path: Path, take: Callable[[Entry], object], disk: Disk) -> GrowingSegment:
        """Continue a segment: pass its records to `take`, and cut off an incomplete one at its end.

        Raises
        ------
        OSError
            When it cannot be read or written.
        """
        scan = Scan()
        for entry in SegmentFile(0, path).read(scan):
            take(entry)
        segment = cls(path, disk.open(path, create=False), scan.intact, disk)
        segment._restore()
        return segment

    @property
    def is_there(self) -> bool:
        """Whether the file still has a name: one that was deleted takes bytes all the same."""
        return os.fstat(self.handle).st_nlink > 0

    def append(self, parts: Sequence[bytes]) -> int:
        """Append whole records; return how many bytes they are.

        Raises
        ------
        OSError
            When there is no room for all; none of them is in the segment then.
        """
        if not self._is_whole:
            self._restore()
        data = memoryview(b"".join(parts))
        total = len(data)
        try:
            while data:
                data = data[self._disk.write(self.handle, data) :]
        except OSError:
            self._is_whole = False
            self._restore()
            raise
        self.size += total
        return total

    def distrust(self) -> None:
        """Cut off what is not known to be on the disk, before anything else is appended."""
        self.size, self._is_whole = self.durable, False

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)

    def _restore(self) -> None:
        self._disk.truncate(self.handle, self.size)
        self._is_whole = True
