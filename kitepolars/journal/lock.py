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
    """Holds a file's lock, for as long as it is not released or the process lives.

    The file stays where it is when the lock is released: one that is deleted could be locked
    twice, once under its name and once by who had opened it before.

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

    def release(self) -> None:
        """Let others have the lock."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
