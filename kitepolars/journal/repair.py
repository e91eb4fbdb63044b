"""Taking what is damaged out of a journal's segments; the originals are kept beside them.

The sequence numbers that are then missing say what was lost and where, so a repaired journal gives
the same ticks and gaps as the damaged one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kitepolars.errors import JournalError
from kitepolars.journal.compression import compress
from kitepolars.journal.folder import CLOSED, OPEN, private, sync_file, sync_folder
from kitepolars.journal.format import VERSION, Damage, Scan, SegmentHeader
from kitepolars.journal.lock import FileLock
from kitepolars.journal.segments import SegmentFile
from kitepolars.journal.writer import LOCK

DAMAGED: Final = ".damaged"
"""What is appended to the name of the original of a repaired segment."""


def repair(segment: SegmentFile) -> list[Damage]:
    """Replace a segment by one without what is damaged.

    Parameters
    ----------
    segment
        A segment of a journal that is not being written. The original is renamed, not deleted.

    Returns
    -------
    list of Damage
        What was taken out. Nothing is changed if there is none.

    Raises
    ------
    JournalError
        When a recorder writes the journal.
    """
    path = segment.path
    scan = Scan()
    repaired = path.with_name(f".{path.name.removesuffix(CLOSED).removesuffix(OPEN)}{OPEN}")
    with _lock(path), open(repaired, "wb", opener=private) as file:
        begun = False
        for entry in segment.read(scan):
            if not begun:
                file.write(SegmentHeader(VERSION, entry.sequence, entry.at).encode())
                begun = True
            file.write(entry.encode())
        file.flush()
        sync_file(file.fileno())
        if not scan.damages:
            repaired.unlink()
            return []
        path.replace(path.with_name(path.name + DAMAGED))
        if begun:
            whole = path.with_name(repaired.name.removeprefix("."))
            repaired.replace(whole)
            if segment.is_compressed:
                compress(whole)
        else:
            repaired.unlink()
        sync_folder(path.parent)
    return scan.damages


def _lock(path: Path) -> FileLock:
    """Keep a recorder from the journal that a segment belongs to."""
    folder = next((one for one in path.parents[:2] if (one / LOCK).exists()), path.parent)
    try:
        return FileLock(folder / LOCK)
    except BlockingIOError:
        raise JournalError("it is being recorded; stop the recorder first", path=folder) from None
