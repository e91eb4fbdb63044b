"""Closed segments in zstd's seekable format: compressing them, and reading their frames.

A frame holds whole records, so a flipped bit costs the records of one frame, and any tool that
knows zstd makes the segment of it. Source: "Zstandard Seekable Format", version 0.1.0.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import accumulate, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import Struct
from typing import BinaryIO, Final, NamedTuple, TypeVar

from kitepolars.journal.folder import closed_path, private, read_blocks, sync_file, sync_folder
from kitepolars.journal.format import (
    BAD_FRAME,
    BAD_TABLE,
    SEGMENT_HEADER_SIZE,
    Damage,
    Field,
    Scan,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T = TypeVar("T")
R = TypeVar("R")

FRAME: Final = 256 * 2**10
"""Bytes of records that are compressed together at least: the cost of a flipped bit."""

FRAMES_TOGETHER: Final = 8
"""Frames that a reader returns together: the size of a block that is scanned at once."""

GROUPS_AHEAD: Final = 4
"""How many of those blocks are decompressed before they are needed."""

LEVEL: Final = 1
"""zstd's level: on market data level 3 is no smaller and takes 1.7 times as long."""

# The seekable format of zstd: a skippable frame at the end lists the frames.
_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_FRAME_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_TABLE_HEAD: Final = Struct("<II")  # magic, size of what follows
_TABLE_ENTRY: Final = Struct("<II")  # compressed and decompressed size of a frame
_TABLE_FOOT: Final = Struct("<IBI")  # how many frames, flags, magic


class Compressor:
    """Compresses closed segments one after the other, on a thread with low priority.

    Parameters
    ----------
    alarm
        Called with a line when a segment cannot be compressed; it then stays as it is.
    """

    def __init__(self, alarm: Callable[[str], object]) -> None:
        self._alarm = alarm
        self._paths: SimpleQueue[Path | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, path: Path) -> None:
        """Compress a closed segment in the background."""
        self._paths.put(path)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="kitepolars-journal-compressor", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop after the current segment; the next writer compresses the others."""
        if self._thread is not None:
            with suppress(Empty):
                while True:
                    self._paths.get_nowait()
            self._paths.put(None)
            self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # where each thread has its own priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (path := self._paths.get()) is not None:
            try:
                compress(path)
            except OSError as error:
                self._alarm(f"{path} was not compressed: {error}")


def compress(path: Path, level: int = LEVEL) -> Path:
    """Replace a closed segment with its compressed form, which is on the disk first.

    Parameters
    ----------
    path
        A segment ending in ``.kpj``.
    level
        zstd's level.

    Returns
    -------
    Path
        The compressed segment.
    """
    closed = closed_path(path)
    unfinished = closed.with_name(f".{closed.name}.tmp")
    sizes = []
    compressor = zstd.ZstdCompressor(options=_parameters(level))
    with open(unfinished, "wb", opener=private) as file:
        for frame in _cut(path):
            compressed = compressor.compress(frame, compressor.FLUSH_FRAME)
            file.write(compressed)
            sizes.append((len(compressed), len(frame)))
        file.write(_table(sizes))
        file.flush()
        sync_file(file.fileno())
    unfinished.replace(closed)
    sync_folder(closed.parent)
    path.unlink()
    return closed


def _cut(path: Path) -> Iterator[bytes]:
    """Yield a segment's bytes in pieces that end with a record."""
    scan, waiting, begin = Scan(), bytearray(), 0
    for block in read_blocks(path):
        data = block
        if not scan.intact:
            scan.begin(min(len(data), SEGMENT_HEADER_SIZE))
            data = data[SEGMENT_HEADER_SIZE:]
        waiting += block
        table = scan.feed(data)
        for end in (table.rows[:, Field.END] + table.offset).tolist():
            if end - begin >= FRAME:
                yield bytes(waiting[: end - begin])
                del waiting[: end - begin]
                begin = end
    if waiting:
        yield bytes(waiting)


def _parameters(level: int) -> dict[int, int]:
    parameter = zstd.CompressionParameter
    return {int(parameter.compression_level): level, int(parameter.checksum_flag): 1}


def first_bytes(path: Path, size: int) -> bytes:
    """Return the beginning of a compressed segment; nothing if it is damaged."""
    with path.open("rb") as file:
        stored = file.read(FRAME)  # the first block of the first frame, at least
    try:
        return zstd.ZstdDecompressor().decompress(stored, max_length=size)
    except zstd.ZstdError:
        return b""


class _CompressedPart(NamedTuple):
    """A frame of a compressed segment: where it is, its bytes there, and uncompressed."""

    place: int
    stored: int
    plain: int


def _table(sizes: list[tuple[int, int]]) -> bytes:
    entries = b"".join(_TABLE_ENTRY.pack(*pair) for pair in sizes)
    foot = _TABLE_FOOT.pack(len(sizes), 0, _SEEKABLE)
    return _TABLE_HEAD.pack(_SKIPPABLE, len(entries) + len(foot)) + entries + foot


def _read_table(file: BinaryIO) -> list[_CompressedPart] | None:
    """Return the frames that the table at the end lists; None if it is damaged."""
    size = file.seek(0, os.SEEK_END)
    if size < _TABLE_FOOT.size:
        return None
    file.seek(size - _TABLE_FOOT.size)
    count, _, magic = _TABLE_FOOT.unpack(file.read(_TABLE_FOOT.size))
    begin = size - _TABLE_FOOT.size - count * _TABLE_ENTRY.size
    if magic != _SEEKABLE or begin < _TABLE_HEAD.size:
        return None
    file.seek(begin)
    sizes = list(_TABLE_ENTRY.iter_unpack(file.read(count * _TABLE_ENTRY.size)))
    places = list(accumulate((stored for stored, _ in sizes), initial=0))
    if places.pop() != begin - _TABLE_HEAD.size:
        return None
    return [_CompressedPart(place, *pair) for place, pair in zip(places, sizes, strict=True)]


def read_frames(path: Path, *, threads: int = 0) -> Generator[bytes | Damage]:
    """Yield the decompressed content of a segment, several frames at a time.

    A damaged frame is yielded alone, as its size.

    Parameters
    ----------
    path
        A compressed segment.
    threads
        How many threads decompress ahead, `GROUPS_AHEAD` times what is yielded at once; the
        interpreter's lock is not held meanwhile. Without any, the calling thread does.
    """
    with path.open("rb") as file:
        frames = _read_table(file)
        if frames is None:
            yield Damage(0, 0, BAD_TABLE)
            frames = _walk(path.read_bytes())
        groups = _groups(file, frames)
        here = (_decompressed(group) for group in groups)
        with closing(_ahead(_decompressed, groups, threads) if threads else here) as done:
            for blocks in done:
                yield from blocks


class _StoredPart(NamedTuple):
    """A frame of a compressed segment: its bytes, and what is lost if they are damaged."""

    stored: bytes
    lost: Damage


def _groups(file: BinaryIO, frames: list[_CompressedPart]) -> Generator[list[_StoredPart]]:
    """Read frames, `FRAMES_TOGETHER` at a time."""
    for first in range(0, len(frames), FRAMES_TOGETHER):
        group = []
        for place, stored, plain in frames[first : first + FRAMES_TOGETHER]:
            file.seek(place)
            reason = f"{BAD_FRAME} ({stored:,} bytes at {place:,} of the file)"
            group.append(_StoredPart(file.read(stored), Damage(0, plain, reason)))
        yield group


def _decompressed(group: list[_StoredPart]) -> list[bytes | Damage]:
    """Decompress frames: those between two damaged ones become one block. Any thread."""
    blocks: list[bytes | Damage] = []
    intact: list[bytes] = []
    for stored, lost in group:
        try:
            intact.append(zstd.decompress(stored))
        except zstd.ZstdError:
            blocks += [b"".join(intact), lost] if intact else [lost]
            intact.clear()
    return [*blocks, b"".join(intact)] if intact else blocks


def _ahead(function: Callable[[T], R], items: Iterator[T], threads: int) -> Generator[R]:
    """Yield what a function returns for each item, in order; threads call it ahead."""
    with ThreadPoolExecutor(threads, "kitepolars-journal-decompressor") as pool:
        waiting = deque(pool.submit(function, item) for item in islice(items, GROUPS_AHEAD))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _walk(data: bytes) -> list[_CompressedPart]:
    """Find frames without the table: each begins with zstd's magic bytes."""
    frames = []
    place = data.find(_FRAME_MAGIC)
    while place >= 0:
        try:
            size = zstd.get_frame_size(memoryview(data)[place:])
        except zstd.ZstdError:
            following = data.find(_FRAME_MAGIC, place + 1)
            size = (len(data) if following < 0 else following) - place
        frames.append(_CompressedPart(place, size, 0))
        place = data.find(_FRAME_MAGIC, place + size)
    return frames
