"""A recorder's journal as publishing sees it: who recorded it, its days, what may still grow."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Final

from kitepolars.calendar import SECOND
from kitepolars.days.manifest import DAY_FOLDER
from kitepolars.days.pieces import QUARTER
from kitepolars.errors import TableError
from kitepolars.journal.codec import KINDS, encode
from kitepolars.journal.folder import private, sync_folder, trading_day
from kitepolars.journal.format import Scan
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.recordings.ticks import TickBatch, TickReader
from kitepolars.source import Stopped

DURABLE_AFTER: Final = 10.0
"""Seconds after which what a recorder wrote is on the disk for certain; it takes 0.1 s."""

SOURCE_NAME: Final = "recorder.id"
"""The file in a journal's folder that identifies it in tables."""

_STOPPED_BYTES: Final = len(encode(Stopped(0), 0).encode())


def recorder_id(journal: Path) -> str:
    """Return what identifies a journal in tables; the first call makes it.

    Raises
    ------
    TableError
        When it cannot be made.
    """
    place = journal if journal.is_dir() else journal.parent
    if DAY_FOLDER.fullmatch(place.name):
        place = place.parent
    elif journal.is_file():  # a single segment
        [segment] = segments(journal)
        return blake2b(repr(segment.header()).encode(), digest_size=6).hexdigest()
    path = place / SOURCE_NAME
    with suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    unfinished = path.with_name(f".{SOURCE_NAME}-{os.getpid()}")
    try:
        with open(unfinished, "w", encoding="ascii", opener=private) as file:
            file.write(uuid.uuid4().hex[:12])
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(unfinished, path)
        sync_folder(place)
    except OSError as error:
        raise TableError(f"{SOURCE_NAME} cannot be made: {error}", path=journal) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return path.read_text("ascii").strip()


def journal_days(journal: Path) -> list[tuple[date, list[SegmentFile]]]:
    """Return the days of a journal with the segments of each, in order."""
    dated: list[tuple[date, SegmentFile]] = []
    for segment in segments(journal):
        header = segment.header()
        if header is not None:  # without one there is nothing in it that can be read
            dated.append((trading_day(header.at), segment))
    grouped = groupby(dated, key=lambda one: one[0])
    return [(day, [segment for _, segment in some]) for day, some in grouped]


def batches_of(segment: SegmentFile, reader: TickReader) -> Iterator[TickBatch]:
    """Yield the batches of a segment, which may be compressed and renamed meanwhile."""
    try:
        yield from reader.read(segment)
    except FileNotFoundError:
        folder = segment.path.parent
        [now] = [one for one in segments(folder) if one.sequence == segment.sequence]
        yield from reader.read(now)  # what was read already, the reader passes over


def is_settled(segment: SegmentFile) -> bool:
    """Whether nothing was added to a segment for so long that all of it is on the disk."""
    return _age(segment) >= DURABLE_AFTER


def state_of(journal: Path, now: int) -> object:
    """Return what changes when there may be more to publish."""
    found = segments(journal)
    quarter = (now - int(DURABLE_AFTER * SECOND)) // QUARTER
    return [segment.sequence for segment in found], quarter, _quiet_size(found[-1:])


def _quiet_size(last: list[SegmentFile]) -> int | None:
    """Return the bytes of a journal's last segment, or None while a recorder may be writing it."""
    for segment in last:
        with suppress(FileNotFoundError):  # it has just been compressed
            if is_settled(segment) or _ends_with_stop(segment):
                return segment.size
    return None


def _ends_with_stop(segment: SegmentFile) -> bool:
    """Whether the last record of an open segment says that its recorder was stopped."""
    if segment.is_compressed or segment.size < _STOPPED_BYTES:
        return False
    with segment.path.open("rb") as file:
        file.seek(-_STOPPED_BYTES, os.SEEK_END)
        return any(KINDS.get(entry.kind) is Stopped for entry in Scan().feed(file.read()))


def _age(segment: SegmentFile) -> float:
    try:
        return time.time() - segment.path.stat().st_mtime
    except FileNotFoundError:  # it has just been compressed
        return 0.0
