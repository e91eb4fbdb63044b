"""A journal's folder: the names of its files, and who may read them.

A journal has a folder for each trading day (IST) and in it segments, each named for the sequence
number of its first record: ``2026-11-27/000000000000.kpj``. The last segment grows. The others are
closed, and end in ``.kpj.zst`` once they are compressed.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from kitepolars.calendar import DAY, IST_OFFSET, in_india

if sys.platform != "win32":
    import fcntl

OPEN: Final = ".kpj"
CLOSED: Final = ".kpj.zst"
DIGITS: Final = 12
"""Digits of a segment's name, so that names sort as numbers do."""

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

BLOCK: Final = 4 * 2**20
"""Bytes that are read at a time."""

_NO_FULL_SYNC: Final = frozenset({errno.ENOTSUP, errno.EINVAL, errno.ENOTTY})
"""What a network drive answers to macOS' request to empty its cache."""


def trading_day(at: int) -> dt.date:
    """Return the day in India of a time in microseconds since the Unix epoch, UTC."""
    return in_india(at).date()


def end_of_day(at: int) -> int:
    """Return when the trading day of a time ends: the next midnight in India."""
    return (at + IST_OFFSET) // DAY * DAY + DAY - IST_OFFSET


def segment_path(root: Path, sequence: int, at: int) -> Path:
    """Return where the segment belongs that begins with a record."""
    return root / trading_day(at).isoformat() / f"{sequence:0{DIGITS}}{OPEN}"


def recorded_days(root: str | os.PathLike[str]) -> list[dt.date]:
    """Return the trading days that a journal's folder has, in order."""
    found = []
    for folder in Path(root).glob("????-??-??"):
        with suppress(ValueError):
            found.append(dt.date.fromisoformat(folder.name))
    return sorted(found)


def closed_path(path: Path) -> Path:
    """Return where an open segment will be when it is compressed."""
    return path.with_name(path.name.removesuffix(OPEN) + CLOSED)


def make_private(folder: Path) -> None:
    """Create a folder and its parents, accessible to their owner only."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file readable by its owner only: an ``opener`` for `open`."""
    return os.open(path, flags, FILE_MODE)


def sync_file(handle: int) -> None:
    """Return when the content of an open file is on the disk.

    On macOS `fsync` leaves it in the cache of the drive, which a power failure empties.

    Raises
    ------
    OSError
        When the disk does not take it.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
        else:
            return
    getattr(os, "fdatasync", os.fsync)(handle)


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder to the disk, where the system supports it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, `BLOCK` at a time."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def tidy(root: Path) -> None:
    """Delete the leftovers of an interrupted compression."""
    for unfinished in root.glob(f"*/.*{CLOSED}.tmp"):
        unfinished.unlink()
    for closed in root.glob(f"*/*{CLOSED}"):
        name = closed.name.removesuffix(CLOSED) + OPEN
        closed.with_name(name).unlink(missing_ok=True)
