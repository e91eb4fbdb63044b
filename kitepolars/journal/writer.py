"""A sink that writes records down. Its one thread touches the disk; the loop never waits for it.

The loop thread appends records to a bounded queue. The writer's thread takes what waits every few
milliseconds, appends it to the segment, and has it put on the disk ten times a second. When the
disk fails, records wait; when too many wait, messages are refused, and the journal says so with a
gap where they would have been.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple, Self, cast

from kitepolars.errors import JournalError
from kitepolars.journal.codec import MESSAGES, UnreadableRecord, decode, encode, time_of
from kitepolars.journal.compression import Compressor
from kitepolars.journal.folder import end_of_day, make_private, tidy
from kitepolars.journal.format import Entry
from kitepolars.journal.growing import Disk, GrowingSegment
from kitepolars.journal.lock import FileLock
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.journal.standing import Standing
from kitepolars.source import (
    Heartbeats,
    Listing,
    Lost,
    MessageBlock,
    Messages,
    Record,
    Text,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
from kitepolars.wire.stream import RawMessages

LOCK: Final = "writer.lock"
"""The file in a journal's folder that its writer locks."""

GATHER: Final = 0.005
"""Seconds that records wait for others to be written with them."""

SYNC: Final = 0.1
"""Seconds between two moments at which all that was written is on the disk."""

RETRY: Final = 1.0
"""Seconds between two attempts to write to a disk that failed."""

QUEUE_BYTES: Final = 64 * 2**20
"""Bytes of records that may wait: twenty seconds of a busy market."""

SEGMENT_BYTES: Final = 128 * 2**20
"""Bytes of a segment, from which on the next one begins."""

WRITE_BYTES: Final = 2**20
"""Bytes that are handed to the system in one call, about."""

OVERHEAD: Final = 200
"""Bytes that a record takes in memory besides its content, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """How a writer stands.

    Parameters
    ----------
    records
        Records written since it was opened.
    bytes
        Their bytes, headers included.
    next_sequence
        The sequence number of the next record.
    durable_sequence
        Every record with a smaller number is on the disk.
    waiting_bytes
        Bytes of records that wait to be written.
    not_recorded
        Messages that were refused.
    lag
        How long the oldest record that is not on the disk has waited, in microseconds.
    failure
        Why the disk takes nothing now, or None.
    """

    records: int = 0
    bytes: int = 0
    next_sequence: int = 0
    durable_sequence: int = 0
    waiting_bytes: int = 0
    not_recorded: int = 0
    lag: int = 0
    failure: str | None = None


class _Refused(NamedTuple):
    """Messages that were not taken, in the place where they would have been."""

    since: int
    at: int
    messages: int


class _Roll(NamedTuple):
    """The place where the next segment begins, with its first record's number and time."""

    sequence: int
    at: int


class _Written(NamedTuple):
    """An encoded record, until it is on the disk."""

    sequence: int
    at: int
    data: bytes


class JournalWriter:
    """Writes the records that it takes to a journal. A `Sink`.

    Parameters
    ----------
    folder
        The journal's folder; it is made if it is not there.
    alarm
        Takes a line when recording fails, and when it works again. Called on the writer's thread.
    clock
        Gives the time in microseconds since the Unix epoch, UTC.
    queue_bytes
        Bytes of messages that may wait for the disk.
    segment_bytes
        Bytes of a segment, from which on the next one begins.
    disk
        The operating system.

    Raises
    ------
    JournalError
        When another process writes this journal, or it cannot be read or written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        alarm: Callable[[str], object] = lambda _: None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        queue_bytes: int = QUEUE_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.standing = Standing()
        """What the records so far amount to; the writer's thread changes it."""
        self.resumed: dict[int, Mode] = {}
        """What was subscribed today when an earlier writer ended without warning."""
        self._alarm = alarm
        self._clock = clock
        self._queue_bytes = queue_bytes
        self._segment_bytes = segment_bytes
        self._disk = disk or Disk()
        # Of the loop thread:
        self._queue: deque[Record | _Refused] = deque()
        self._taken_bytes = self._last_at = self._refused_since = self._refused = 0
        self._not_recorded = 0
        # Of the writer's thread:
        self._segment: GrowingSegment | None = None
        self._day_end = 0
        self._planned = 0  # bytes that its segment has with what is encoded
        self._sequence = self._durable = self._records = self._bytes = self._done_bytes = 0
        self._waiting: deque[_Written | _Roll] = deque()  # encoded, not written
        self._unsafe: list[_Written] = []  # written, not on the disk
        self._safe_at = clock()  # time of the last record that is on the disk
        self._failure: str | None = None
        self._next_sync = 0.0

        self._synced = threading.Condition()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._compressor = Compressor(alarm)
        try:
            make_private(self.folder)
            self._lock = FileLock(self.folder / LOCK)
        except BlockingIOError:
            raise JournalError("another process records there", path=self.folder) from None
        except OSError as error:
            raise JournalError(_described(error), path=self.folder) from error
        try:
            self._resume()
        except OSError as error:
            self._lock.release()
            raise JournalError(_described(error), path=self.folder) from error
        self._thread = threading.Thread(target=self._run, name="kitepolars-journal", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, record: Record) -> None:
        """Take a record. Loop thread; an append to the queue."""
        if isinstance(record, MessageBlock):
            for messages in record.each():
                self.take(messages)
            return
        size = _size(record)
        # once messages were refused, until half of the queue is free: one gap, not hundreds
        limit = self._queue_bytes // (2 if self._refused else 1)
        if self._taken_bytes - self._done_bytes + size > limit:
            if isinstance(record, Messages | Heartbeats):
                self._refuse(record)
                return
        else:
            self._admit_refusal(time_of(record))
        self._last_at = time_of(record)
        self._taken_bytes += size
        self._queue.append(record)
        if not self._wake.is_set():
            self._wake.set()

    def stats(self) -> WriterStats:
        """Return the counters of this moment. Any thread."""
        return WriterStats(
            records=self._records,
            bytes=self._bytes,
            next_sequence=self._sequence,
            durable_sequence=self._durable,
            waiting_bytes=self._taken_bytes - self._done_bytes,
            not_recorded=self._not_recorded,
            lag=0 if self._safe_at >= self._last_at else max(0, self._clock() - self._safe_at),
            failure=self._failure,
        )

    def flush(self, timeout: float) -> bool:
        """Wait until all that was taken is on the disk, at most `timeout` seconds; say whether."""
        self._wake.set()
        with self._synced:
            return self._synced.wait_for(self._is_all_safe, timeout)

    def _is_all_safe(self) -> bool:
        # in the order in which records go on, so that none is overlooked
        is_queued = self._taken_bytes > self._done_bytes
        return not (is_queued or self._waiting or self._unsafe)

    def close(self) -> None:
        """Write what waits, put it on the disk, and leave the journal to others. Idempotent.

        A disk that fails is tried once more; what it does not take is lost.
        """
        if self._ending.is_set():
            return
        self._admit_refusal(self._clock())
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self._compressor.close()
        if self._segment is not None:
            self._segment.close()
        self._lock.release()

    # -- the loop thread -------------------------------------------------------------------

    def _refuse(self, record: Messages | Heartbeats) -> None:
        count = len(record.messages) if isinstance(record, Messages) else 0
        if not self._refused:
            self._refused_since = self._last_at or record.received_at
        self._refused += count
        self._not_recorded += count

    def _admit_refusal(self, at: int) -> None:
        """Put down, in its place, that messages were refused."""
        if self._refused:
            self._queue.append(_Refused(self._refused_since, at, self._refused))
            self._refused = 0

    # -- the writer's thread ---------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause())
            ending = self._ending.wait(GATHER)
            self._wake.clear()
            ending = ending or self._ending.is_set()
            self._work(ending=ending)
            if ending:
                return

    def _pause(self) -> float | None:
        """Return how long the thread may sleep when no record comes."""
        if self._failure is not None or self._unsafe:
            return max(0.0, self._next_sync - time.monotonic())
        return None

    def _work(self, *, ending: bool) -> None:
        is_due = ending or time.monotonic() >= self._next_sync
        if self._failure is not None and not is_due:
            self._ending.wait(self._next_sync - time.monotonic())
            return
        try:
            while self._queue or self._waiting:
                if not self._waiting:
                    self._encode()
                self._write()
            if is_due and self._unsafe:
                self._sync()
        except OSError as error:
            self._fail(_described(error))
        else:
            if self._failure is not None:
                self._failure = None
                self._alarm(f"recording goes on in {self.folder}")

    def _encode(self) -> None:
        """Encode records that wait, up to what one write takes."""
        size = 0
        while self._queue and size < WRITE_BYTES:
            record = self._queue.popleft()
            before = self._planned
            if isinstance(record, _Refused):
                for lost in self._lost(record):
                    self._put(lost)
            else:
                self._put(record)
                self._done_bytes += _size(record)
            size += max(0, self._planned - before)

    def _lost(self, refused: _Refused) -> list[Lost]:
        reason = f"{refused.messages:,} messages were not recorded: the disk did not take them"
        self._alarm(reason)
        return self.standing.lost(refused.at, refused.since, reason)

    def _put(self, record: Record) -> None:
        """Encode a record, and before it whatever the next segment begins with."""
        at = time_of(record)
        is_next_day = at >= self._day_end
        if is_next_day or self._planned >= self._segment_bytes:
            self._waiting.append(_Roll(self._sequence, at))
            self._planned = 0
            listing = self.standing.listing
            if is_next_day:
                self._day_end = end_of_day(at)
                if listing is not None and not isinstance(record, Listing):
                    self._add(listing._replace(at=at))
            for standing in self.standing.records(at):
                self._add(standing)
        self._add(record)

    def _add(self, record: Record) -> None:
        entry = encode(record, self._sequence)
        data = entry.encode()
        self._sequence += 1
        self._planned += len(data)
        self.standing.take(record)
        self._waiting.append(_Written(entry.sequence, entry.at, data))

    def _write(self) -> None:
        """Write what is encoded, in the segments where it belongs."""
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, _Roll):
                self._roll(first)
                self._waiting.popleft()
                continue
            batch = list(takewhile(lambda item: isinstance(item, _Written), self._waiting))
            self._append(cast("list[_Written]", batch))

    def _append(self, batch: list[_Written]) -> None:
        segment = self._segment
        assert segment is not None  # noqa: S101 - a `_Roll` comes before the first record
        if not segment.is_there:
            self._begin_again()
            raise OSError(errno.ENOENT, "the segment was deleted", str(segment.path))
        size = segment.append([written.data for written in batch])
        if not self._unsafe:
            self._next_sync = time.monotonic() + SYNC
        self._unsafe += batch
        self._records += len(batch)
        self._bytes += size
        for _ in batch:
            self._waiting.popleft()

    def _sync(self) -> None:
        """Put everything that was written on the disk."""
        if self._segment is not None and self._unsafe:
            try:
                self._segment.sync()
            except OSError:
                self._waiting.extendleft(reversed(self._unsafe))
                self._unsafe.clear()
                raise
            self._durable = self._unsafe[-1].sequence + 1
            self._safe_at = self._unsafe[-1].at
            with self._synced:
                self._unsafe.clear()
                self._synced.notify_all()

    def _roll(self, roll: _Roll) -> None:
        """Begin the segment of a record; the one before is closed, and compressed in time."""
        if self._segment is not None:
            self._sync()
        before = self._segment
        self._segment = GrowingSegment.create(self.folder, roll.sequence, roll.at, self._disk)
        if before is not None:
            before.close()
            self._compressor.put(before.path)

    def _begin_again(self) -> None:
        """Write what is not safe into a new segment, because the one that had it was deleted."""
        self._waiting.extendleft(reversed(self._unsafe))
        self._unsafe.clear()
        first = self._waiting[0]
        self._waiting.appendleft(_Roll(first.sequence, first.at))
        assert self._segment is not None  # noqa: S101 - it was deleted
        self._segment.close()
        self._segment = None

    def _fail(self, reason: str) -> None:
        self._next_sync = time.monotonic() + RETRY
        if self._failure is None:
            self._alarm(f"recording stopped in {self.folder}: {reason}; it is tried again")
        self._failure = reason

    # -- opening ---------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on where the journal ends: cut off what is torn, and note what is missing."""
        existing = segments(self.folder)
        tidy(self.folder)
        last_at = self._clock()
        if existing:
            last_at = self._resume_segment(existing[-1])
        for segment in existing[:-1]:
            if not segment.is_compressed:
                self._compressor.put(segment.path)
        now = max(self._clock(), last_at)
        tokens = tuple(self.standing.modes)
        if tokens and not self.standing.is_stopped:
            self._queue.extend(self.standing.lost(now, last_at, "the recording was interrupted"))
        if tokens and (self.standing.is_stopped or now >= self._day_end):
            self._queue.append(Unsubscribed(now, tokens))
        else:
            self.resumed = dict(self.standing.modes)
        self._wake.set()

    def _resume_segment(self, segment: SegmentFile) -> int:
        """Take in the last segment, and go on in it if it is open; return its last time."""
        header = segment.header()
        sequence, at = segment.sequence, self._clock() if header is None else header.at

        def take(entry: Entry) -> None:
            nonlocal sequence, at
            sequence, at = entry.sequence + 1, entry.at
            if entry.kind != MESSAGES:
                with suppress(UnreadableRecord):
                    self.standing.take(decode(entry))
            else:
                self.standing.is_stopped = False

        if segment.is_compressed:
            for entry in segment.read():
                take(entry)
        else:
            self._segment = GrowingSegment.resume(segment.path, take, self._disk)
            self._planned = self._segment.size
            self._day_end = end_of_day(at if header is None else header.at)
        self._sequence = self._durable = sequence
        return at


def _size(record: Record) -> int:
    """Return about how many bytes a record keeps in memory."""
    match record:
        case Messages():
            messages = record.messages
            return len(messages.data) if isinstance(messages, RawMessages) else _total(messages)
        case Text():
            return OVERHEAD + len(record.text)
        case Listing():
            return OVERHEAD + len(record.csv)
        case _:
            return OVERHEAD


def _total(messages: Sequence[bytes]) -> int:
    return OVERHEAD + sum(map(len, messages))


def _described(error: OSError) -> str:
    return error.strerror or str(error)
