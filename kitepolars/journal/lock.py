"""Locks between processes: a file that the operating system unlocks when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

from kitepolars.journal.folder import FILE_MODE

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Holds the lock of a file until it is released or the process ends.

    The file is not deleted when the lock is released: a deleted file could be locked twice, under
    its name and by a process that opened it before.

    Parameters
    ----------
    path
        The file; it is made if it is not there.

    Raises
    ------
    BlockingIOError
        When another process, or another `FileLock` of this one, holds it.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            _try_lock(self._handle)
        except OSError:
            os.close(self._handle)
            raise BlockingIOError(f"{path} is locked by another process") from None

    def refresh(self) -> None:
        """Make the file as new. Not on Windows.

        Systems delete old temporary files, macOS after three days, and another process would then
        make and lock a new one.
        """
        os.utime(self._handle)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
