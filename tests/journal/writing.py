"""Writers for the tests of the journal, on disks that can be full or fail."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from kitepolars.journal.growing import Disk
from kitepolars.journal.writer import JournalWriter

NOON = 1_764_225_000_000_000  # 2025-11-27 12:00 IST
HOUR = 3_600_000_000
DAY = 24 * HOUR

QUICK: Final = pytest.mark.usefixtures("quick_retry")


@contextmanager
def writing(folder: Path, **options: object) -> Iterator[JournalWriter]:
    writer = JournalWriter(folder, clock=lambda: NOON, **options)  # type: ignore[arg-type]
    try:
        yield writer
    finally:
        writer.close()


class FailingDisk(Disk):
    """A disk with so much room, whose calls can fail."""

    def __init__(self, room: int = 2**40) -> None:
        self.room = room
        self.error: int | None = None
        self.attempts = threading.Semaphore(0)

    def write(self, handle: int, data: bytes | memoryview) -> int:
        self.attempts.release()
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(handle, data[: self.room])  # short, on a full disk
        self.room -= written
        return written

    def sync(self, handle: int) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        super().sync(handle)


def has_unwritten(writer: JournalWriter, sequence: int) -> bool:
    return bool(writer.unwritten(sequence, 1))
