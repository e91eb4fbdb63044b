"""A sink that writes records to a journal. The loop thread never waits for the disk.

The loop thread appends records to a bounded queue. The writer's thread takes what is there every
few milliseconds and appends it to the journal. While the disk fails, records wait; when too many
wait, the oldest messages are dropped, and the journal has a gap in their place. When the disk does
not answer at all, the queue fills, and the newest messages are refused.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kitepolars.errors import JournalError
from kitepolars.journal.appender import WRITE_BYTES, Appender, not_recorded
from kitepolars.journal.folder import make_private
from kitepolars.journal.growing import Disk
from kitepolars.journal.lock import FileLock
from kitepolars.journal.queue import RecordQueue, Refused
from kitepolars.source import (
    Lost,
    MessageBlock,
    Record,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode

LOCK: Final = "writer.lock"
"""The file in a journal's folder that its writer locks."""

GATHER: Final = 0.005
"""Seconds that records wait for others to be written with them."""

RETRY: Final = 1.0
"""Seconds between two attempts to write to a disk that failed."""

QUEUE_BYTES: Final = 64 * 2**20
"""Bytes of records that may wait: twenty seconds of a busy market."""

SEGMENT_BYTES: Final = 128 * 2**20
"""Bytes of a segment, from which on the next one begins."""


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
        self.resumed: dict[int, Mode] = {}
        """What was subscribed today when an earlier writer ended without warning."""
        self._alarm = alarm
        self._clock = clock
        self._limit = queue_bytes
        self._queue = RecordQueue(queue_bytes)
        # Of the writer's thread:
        self._failure: str | None = None
        self._retry_at = 0.0

        self._synced = threading.Condition()
        self._wake = threading.Event()
        self._ending = threading.Event()
        try:
            make_private(self.folder)
            self._lock = FileLock(self.folder / LOCK)
        except BlockingIOError:
            raise JournalError("another process records there", path=self.folder) from None
        except OSError as error:
            raise JournalError(_described(error), path=self.folder) from error
        try:
            self._appender = Appender(
                self.folder,
                now=clock(),
                segment_bytes=segment_bytes,
                disk=disk or Disk(),
                alarm=alarm,
                on_sync=self._wake.set,
            )
        except OSError as error:
            self._lock.release()
            raise JournalError(_described(error), path=self.folder) from error
        self._resume()
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
        self._queue.put(record)
        if not self._wake.is_set():
            self._wake.set()

    def stats(self) -> WriterStats:
        """Return the counters of this moment. Any thread."""
        appender, safe_at = self._appender, self._appender.safe_at
        return WriterStats(
            records=appender.records,
            bytes=appender.bytes,
            next_sequence=appender.sequence,
            durable_sequence=appender.durable,
            waiting_bytes=self._queue.bytes + appender.unwritten.bytes,
            not_recorded=self._queue.not_recorded + appender.dropped,
            lag=0 if safe_at >= self._queue.last_at else max(0, self._clock() - safe_at),
            failure=self._failure,
        )

    def unwritten(self, first: int, most: int) -> bytes:
        """Return the bytes of records that the disk has not taken; see `Unwritten.data`."""
        return self._appender.unwritten.data(first, most)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was taken is on the disk, at most `timeout` seconds; say whether."""
        self._wake.set()
        with self._synced:
            return self._synced.wait_for(self._is_all_safe, timeout)

    def _is_all_safe(self) -> bool:
        # in the order in which records move on, so that none is overlooked
        return not self._queue.bytes and self._appender.is_safe

    def close(self) -> None:
        """Write what waits, put it on the disk, and leave the journal to others. Idempotent.

        A disk that fails is tried once more; what it does not take is lost.
        """
        if self._ending.is_set():
            return
        self._queue.end(self._clock())
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self._appender.close()
        self._lock.release()

    def _resume(self) -> None:
        """Note what is missing since an earlier writer, and what it was asked for."""
        appender = self._appender
        standing, now = appender.standing, max(self._clock(), appender.last_at)
        tokens = tuple(standing.modes)
        was_stopped, is_next_day = standing.is_stopped, now >= appender.day_end
        if tokens and not was_stopped:
            reason = "the recording was interrupted"
            for lost in standing.lost(now, appender.last_at, reason):
                appender.encode(lost)
        if tokens and (was_stopped or is_next_day):
            appender.encode(Unsubscribed(now, tokens))
        else:
            self.resumed = dict(standing.modes)
        self._wake.set()

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
        due = self._retry_at if self._failure is not None else self._appender.due
        return None if due is None else max(0.0, due - time.monotonic())

    def _work(self, *, ending: bool) -> None:
        appender = self._appender
        if self._failure is not None:
            self._keep_newest()
            if not ending and time.monotonic() < self._retry_at:
                return
        try:
            appender.settle()
            while self._queue or appender.is_waiting:
                if not appender.is_waiting:
                    self._encode()
                appender.write()
            if ending or self._failure is not None:
                appender.sync()
            elif appender.due is not None and appender.due <= time.monotonic():
                appender.start_sync()
        except OSError as error:
            self._fail(_described(error))
        else:
            self._report_recovery()
        with self._synced:
            self._synced.notify_all()

    def _encode(self) -> None:
        """Encode records that wait, up to what one write takes."""
        appender = self._appender
        full = appender.encoded_bytes + WRITE_BYTES
        while self._queue and appender.encoded_bytes < full:
            with self._queue.next() as record:
                if isinstance(record, Refused):
                    for lost in self._lost(record):
                        appender.encode(lost)
                else:
                    appender.encode(record)

    def _keep_newest(self) -> None:
        """Encode what waits, so that followers can ask for it, and drop what is too much."""
        while self._queue:
            self._encode()
            if dropped := self._appender.drop_oldest(self._limit):
                self._alarm(dropped)

    def _lost(self, refused: Refused) -> list[Lost]:
        reason = not_recorded(refused.messages)
        self._alarm(reason)
        return self._appender.standing.lost(refused.at, refused.since, reason)

    def _fail(self, reason: str) -> None:
        self._retry_at = time.monotonic() + RETRY
        if self._failure is None:
            self._alarm(f"recording stopped in {self.folder}: {reason}; it is tried again")
        self._failure = reason

    def _report_recovery(self) -> None:
        if self._failure is not None:
            self._failure = None
            self._alarm(f"recording continues in {self.folder}")


def _described(error: OSError) -> str:
    return error.strerror or str(error)
