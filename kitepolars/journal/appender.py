"""Appends records to the segments of a journal, and puts them on the disk. Writer's thread.

A record is encoded once and then kept until it is on the disk: a write or a sync that fails is
repeated with the same bytes. While the disk fails, the newest records are kept. A sync runs on its
own thread, so what arrives meanwhile is written, and visible to readers, without waiting for it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from kitepolars.journal.codec import MESSAGES, UnreadableRecord, decode, encode, time_of
from kitepolars.journal.compression import Compressor
from kitepolars.journal.folder import end_of_day, tidy
from kitepolars.journal.format import Entry
from kitepolars.journal.growing import Disk, GrowingSegment
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.journal.standing import Standing
from kitepolars.journal.unwritten import Encoded, Roll, Unwritten
from kitepolars.source import Listing, Messages, Record

WRITE_BYTES: Final = 2**20
"""Bytes that are handed to the system in one call, about."""

SYNC: Final = 0.1
"""Seconds that a written record may wait for the next sync."""


class Appender:
    """The end of a journal.

    Parameters
    ----------
    folder
        The journal's folder.
    segment_bytes
        The size in bytes from which on the next segment begins.
    disk
        The operating system.
    alarm
        Called with a line when a segment cannot be compressed.
    now
        The time, in microseconds since the Unix epoch, UTC.
    on_sync
        Called on another thread when a sync has ended; `settle` then takes its result.

    Raises
    ------
    OSError
        When the journal cannot be read or written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int,
        disk: Disk,
        alarm: Callable[[str], object],
        on_sync: Callable[[], object],
        now: int,
    ) -> None:
        self.standing = Standing()
        """The listing, connections and subscriptions after the records so far."""
        self.sequence = 0
        """The sequence number of the next record."""
        self.durable = 0
        """Every record with a smaller sequence number is on the disk."""
        self.last_at = now
        """The time of the last record that was there at the opening, or of the opening."""
        self.safe_at = now
        """The time of the last record that is on the disk, or of the opening."""
        self.records = self.bytes = 0
        """Records written since the journal was opened, and their bytes."""
        self.dropped = 0
        """Messages given up; see `drop_oldest`."""
        self.encoded_bytes = 0
        """Bytes of all records that were encoded."""
        self.day_end = 0
        """When the trading day of the segment ends."""
        self._gap: _Dropped | None = None  # the last one that was made by dropping messages
        self._written_at = now  # time of the last record that was written
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._disk = disk
        self._on_sync = on_sync
        self._segment: GrowingSegment | None = None
        self._planned = 0  # bytes of its segment, with what is encoded
        self.unwritten = Unwritten()
        self._unsafe: list[Encoded] = []  # written, but not known to be on the disk
        self._sync: _Sync | None = None  # under way
        self._syncs = ThreadPoolExecutor(1, "kitepolars-journal-sync")
        self._next_sync = 0.0
        self._compressor = Compressor(alarm)
        self._resume()

    # -- what is where -------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether encoded records are not written."""
        return bool(self.unwritten)

    @property
    def is_safe(self) -> bool:
        """Whether all that was encoded is on the disk."""
        return not (self.unwritten or self._unsafe)

    @property
    def due(self) -> float | None:
        """When the next sync has to start, by the monotonic clock; None if nothing needs one."""
        return self._next_sync if self._unsafe and self._sync is None else None

    # -- records -------------------------------------------------------------------------------

    def encode(self, record: Record) -> None:
        """Encode a record, after what a new segment begins with if one begins here.

        A listing that the segment's day has already, as after a restart, is skipped.
        """
        at = time_of(record)
        is_next_day = at >= self.day_end
        if isinstance(record, Listing) and not is_next_day and self._is_known(record):
            return
        if is_next_day or self._planned >= self._segment_bytes:
            self.unwritten.append(Roll(self.sequence, at))
            self._planned = 0
            listing = self.standing.listing
            if is_next_day:
                self.day_end = end_of_day(at)
                if listing is not None and not isinstance(record, Listing):
                    self._add(listing._replace(at=at))
            for standing in self.standing.records(at):
                self._add(standing)
        self._add(record)

    def _is_known(self, listing: Listing) -> bool:
        known = self.standing.listing
        return known is not None and known.csv == listing.csv

    def _add(self, record: Record) -> None:
        entry = encode(record, self.sequence)
        data = entry.encode()
        self.sequence += 1
        self._planned += len(data)
        self.encoded_bytes += len(data)
        self.standing.take(record)
        messages = len(record.messages) if isinstance(record, Messages) else 0
        self.unwritten.append(Encoded(entry.sequence, entry.at, data, messages))

    def write(self) -> None:
        """Write what is encoded, each record in the segment where it belongs.

        Raises
        ------
        OSError
            When the disk does not take it; the rest waits for the next call.
        """
        while self.unwritten:
            first = self.unwritten.first()
            if isinstance(first, Roll):
                self._roll(first)
                self.unwritten.remove_first()
            else:
                self._append(self.unwritten.batch(WRITE_BYTES))

    def drop_oldest(self, limit: int) -> str | None:
        """Give up the oldest messages that wait, if more than `limit` bytes do.

        Half of that is free afterwards. The beginning of a gap, under the numbers of the first
        records that are dropped, takes their place; it grows when more are dropped. The other
        numbers are missing in the journal.

        Returns
        -------
        str or None
            What was dropped, in words.
        """
        if self.unwritten.bytes <= limit:
            return None
        connections = len(self.standing.lost(0, 0, ""))
        before, dropped = self.unwritten.oldest(limit // 2, connections)
        if not dropped:
            return None
        gap = self._gap
        if gap is None or gap.places[0].sequence < self.unwritten.first().sequence:
            since = self._written_at if before is None else before
            gap = _Dropped(since, 0, ())
        messages = gap.messages + sum(record.messages for record in dropped)
        reason = not_recorded(messages)
        lost = self.standing.lost(0, gap.since, reason)
        places = (*gap.places, *dropped)[: max(1, len(lost))]
        others: dict[int, Encoded | None] = dict.fromkeys(one.sequence for one in dropped)
        for (sequence, at, _, _), record in zip(places, lost, strict=False):
            data = encode(record._replace(at=at), sequence).encode()
            others[sequence] = Encoded(sequence, at, data, 0)
        self.unwritten.replace(others)
        self._gap = _Dropped(gap.since, messages, places)
        self.dropped += messages - gap.messages
        return reason

    def _append(self, batch: list[Encoded]) -> None:
        segment = self._segment
        assert segment is not None  # noqa: S101 - a `Roll` comes before the first record
        if not segment.is_there:
            self._begin_again(segment)
            raise OSError(errno.ENOENT, "the segment was deleted", str(segment.path))
        size = segment.append([encoded.data for encoded in batch])
        if not self._unsafe:
            self._next_sync = time.monotonic() + SYNC
        self._unsafe += batch
        self._written_at = batch[-1].at
        self.records += len(batch)
        self.bytes += size
        self.unwritten.remove_first(len(batch))

    def _roll(self, roll: Roll) -> None:
        """Begin the segment of a record; the previous one is closed and compressed."""
        self.sync()
        before = self._segment
        self._segment = GrowingSegment.create(self._folder, roll.sequence, roll.at, self._disk)
        if before is not None:
            before.close()
            self._compressor.put(before.path)

    def _begin_again(self, segment: GrowingSegment) -> None:
        """Write records that are not safe again into a new segment: theirs was deleted."""
        if self._sync is not None:
            self._sync.wait()
            self._sync = None
        self.unwritten.prepend(self._unsafe)
        self._unsafe.clear()
        first = self.unwritten.first()
        self.unwritten.prepend([Roll(first.sequence, first.at)])
        segment.close()
        self._segment = None

    # -- putting it on the disk ----------------------------------------------------------------

    def start_sync(self) -> None:
        """Start to put what was written on the disk, unless that is under way."""
        if self._sync is None and self._unsafe:
            assert self._segment is not None  # noqa: S101 - something was written to it
            self._next_sync = time.monotonic() + SYNC
            done = self._syncs.submit(self._disk.sync, self._segment.handle)
            self._sync = _Sync(done, len(self._unsafe), self._segment.size)
            done.add_done_callback(lambda _: self._on_sync())

    def settle(self) -> None:
        """Take the result of the sync that has ended, if there is one.

        Raises
        ------
        OSError
            When it failed: what was written since the last one will be written again.
        """
        if self._sync is not None and self._sync.done.done():
            self._finish(self._sync)

    def sync(self) -> None:
        """Put what was written on the disk, and wait for it.

        Raises
        ------
        OSError
            When that fails; see `settle`.
        """
        while self._unsafe:
            self.start_sync()
            assert self._sync is not None  # noqa: S101 - started, or under way
            self._sync.wait()
            self._finish(self._sync)

    def _finish(self, sync: _Sync) -> None:
        self._sync = None
        assert self._segment is not None  # noqa: S101 - it was synced
        error = sync.done.exception()
        if error is not None:
            self._segment.distrust()
            self.unwritten.prepend(self._unsafe)
            self._unsafe.clear()
            raise error
        self._segment.durable = sync.size
        last = self._unsafe[sync.records - 1]
        self.durable, self.safe_at = last.sequence + 1, last.at
        del self._unsafe[: sync.records]

    def close(self) -> None:
        """Close the files. What is not on the disk by then is lost."""
        self._syncs.shutdown()
        self._compressor.close()
        if self._segment is not None:
            self._segment.close()

    # -- opening -------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Continue where the journal ends: cut off what is incomplete, compress what is closed."""
        existing = segments(self._folder)
        tidy(self._folder)
        if existing:
            self._resume_segment(existing[-1])
        for segment in existing[:-1]:
            if not segment.is_compressed:
                self._compressor.put(segment.path)

    def _resume_segment(self, segment: SegmentFile) -> None:
        """Read the last segment, and continue in it if it is open."""
        header = segment.header()
        self.sequence = segment.sequence
        if header is not None:
            self.last_at = header.at

        def take(entry: Entry) -> None:
            self.sequence, self.last_at = entry.sequence + 1, entry.at
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
            self.day_end = end_of_day(self.last_at if header is None else header.at)
        self.durable, self._written_at = self.sequence, self.last_at


class _Dropped(NamedTuple):
    """Messages that were dropped, and the places of the records that say so."""

    since: int
    messages: int
    places: tuple[Encoded, ...]


def not_recorded(messages: int) -> str:
    """Return the reason of the gap of messages that are not recorded."""
    return f"{messages:,} messages were not recorded: the disk did not take them"


class _Sync(NamedTuple):
    """A sync under way, the records that it covers, and the size of the segment with them."""

    done: Future[None]
    records: int
    size: int

    def wait(self) -> None:
        self.done.exception()
