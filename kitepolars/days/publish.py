"""A recorder's journal → files of a table, each tick exactly once. Calling thread, and two more.

The manifest of a day says up to which record a journal is published. A file is complete and on the
disk before the manifest that names it, and that manifest also moves the mark: so whenever this is
killed, the next one begins where the table ends. What was written and not named is no part of it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from kitepolars.calendar import SECOND
from kitepolars.days.beside import Beside, edges
from kitepolars.days.journals import (
    DURABLE_AFTER,
    batches_of,
    is_settled,
    journal_days,
    recorder_id,
    state_of,
)
from kitepolars.days.manifest import Manifest, Progress, Table, TableFile, retire
from kitepolars.days.order import in_instrument_order
from kitepolars.days.parquet import ends, write_groups
from kitepolars.days.pieces import Piece, Pieces
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import TableError
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.recordings.ticks import TickBatch, TickReader
from kitepolars.source import now_us

FOLLOW_INTERVAL: Final = 1.0
"""Seconds between two looks at a journal that is followed."""

_WRITERS: Final = 2
"""Files that are sorted and written at the same time as the next one is read."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a call of `publish` added to the table.

    Parameters
    ----------
    rows
        Ticks.
    files
        Files of ticks.
    """

    rows: int = 0
    files: int = 0

    def __add__(self, other: Published) -> Published:
        return Published(self.rows + other.rows, self.files + other.files)


def publish(
    recording: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    accept_overlap: bool = False,
    storage_options: StorageOptions | None = None,
) -> Published:
    """Publish what is complete of a recording as Parquet files of a table of days.

    What was published before is not published again, by whichever process and however it ended, so
    call it as often as you like. ``kitepolars publish`` does the same, and follows a recorder.

    Parameters
    ----------
    recording
        A recorder's folder.
    to
        The table: a folder, or the URL of one in a bucket, ``s3://bucket/days``. It is made if it
        is not there, and may have the days of many recorders.
    accept_overlap
        Whether to publish a recording whose clock was set back by more than a second between two
        recorders. Ticks of an instrument are then in the order in which they were recorded.
    storage_options
        Settings of the object store, as Polars takes them; by default those of the environment.

    Returns
    -------
    Published
        How many ticks and files were added.

    Raises
    ------
    JournalError
        When there is no recording.
    TableError
        When another process publishes the same recording, its clock was set back, or pyarrow is
        not installed.

    Examples
    --------
    >>> import tempfile
    >>> from kitepolars.days.scan import scan
    >>> from kitepolars.playback import SAMPLE
    >>> with tempfile.TemporaryDirectory() as days:
    ...     added = publish(SAMPLE, days)
    ...     infy = scan(days, instruments=["NSE:INFY"]).collect()
    >>> added.rows, infy["instrument_token"].unique().to_list()
    (3774, [408065])
    """
    table = Table(to, storage_options)
    return JournalPublisher(recording, table, accept_overlap=accept_overlap).publish()


class JournalPublisher:
    """Publishes a journal to a table.

    Parameters
    ----------
    journal
        The recorder's folder. A file in it, ``recorder.id``, names it in the table.
    table
        Where to.
    accept_overlap
        Whether to publish a journal whose clock was set back by more than a second between two
        recorders. Ticks of an instrument are then in the order in which they were recorded.
    clock
        Gives the time in microseconds since the epoch, UTC.

    Raises
    ------
    JournalError
        When there is no recording.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        table: Table,
        *,
        accept_overlap: bool = False,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._journal = Path(journal)
        segments(self._journal)  # raises here where there is none
        self.table = table
        self.recorder = recorder_id(self._journal)
        self._accept_overlap = accept_overlap
        self._clock = clock
        self._days: dict[date, _Day] = {}

    def publish(self) -> Published:
        """Publish what is complete: closed segments, and quarters of an hour that have ended.

        A segment to which nothing was added for ten seconds counts as closed.

        Raises
        ------
        TableError
            When another process publishes this journal, or its clock was set back.
        """
        by_day = journal_days(self._journal)
        added = Published()
        for number, (day, some) in enumerate(by_day):
            is_over = number < len(by_day) - 1
            added += self._publish_day(day, some, is_over=is_over)
            if is_over:
                self._days.pop(day, None)  # read again only if it grows, which it does not
        return added

    def follow(self, stop: Callable[[float], bool]) -> Iterator[Published]:
        """Publish whenever something is complete; yield what was added.

        Parameters
        ----------
        stop
            Waits for some seconds, and says whether to end.
        """
        seen: object = None
        while True:
            now = self._clock()
            state = state_of(self._journal, now)
            if state != seen:
                seen = state
                yield self.publish()
            if stop(FOLLOW_INTERVAL):
                return

    def _publish_day(self, day: date, some: list[SegmentFile], *, is_over: bool) -> Published:
        if day not in self._days:
            manifest = self.table.manifest(day)
            done = manifest.progress.get(self.recorder) if manifest is not None else None
            if is_over and done is not None and done.is_complete:
                return Published()
            self._days[day] = _Day(
                self.table,
                self.recorder,
                day,
                done or Progress(),
                accept_overlap=self._accept_overlap,
                clock=self._clock,
            )
        try:
            return self._days[day].publish(some, is_over=is_over)
        except BaseException:
            del self._days[day]  # the next call begins where the table ends
            raise


class _Day:
    """A day of a journal on its way into a table."""

    def __init__(
        self,
        table: Table,
        recorder: str,
        day: date,
        progress: Progress,
        *,
        accept_overlap: bool,
        clock: Callable[[], int],
    ) -> None:
        self._table = table
        self._recorder = recorder
        self._day = day
        self._clock = clock
        self._progress = progress
        self._from = progress.next_sequence  # earlier ticks are published already
        self._pieces = Pieces(self._from, day=day, accept_overlap=accept_overlap, table=table.path)
        self._beside = Beside(recorder)
        self._beside_of: Progress | None = None
        self._reader = TickReader(also=self._beside)
        self._read: set[int] = set()  # segments that are closed and have been read
        self._is_growing = False
        self._waiting: deque[Future[tuple[TableFile, pl.DataFrame]]] = deque()

    def publish(self, some: list[SegmentFile], *, is_over: bool) -> Published:
        """Publish what is complete."""
        before, files = self._progress.rows, 0
        growing = None if is_over or some[-1].is_compressed else some[-1]
        with ThreadPoolExecutor(_WRITERS, "kitepolars-publish") as threads:
            for batch in self._new_batches(some, growing):
                for piece in self._pieces.cut(batch):
                    files += self._write(threads, piece)
            self._is_growing = growing is not None and self._may_grow(growing)
            settled = self._clock() - int(DURABLE_AFTER * SECOND)
            if not self._is_growing or self._pieces.has_ended(settled):
                files += self._write(threads, self._pieces.take())
            self._commit_waiting(0)
        if files or not self._is_growing:
            self._write_beside(is_complete=is_over)
        return Published(self._progress.rows - before, files)

    def _new_batches(
        self, some: list[SegmentFile], growing: SegmentFile | None
    ) -> Iterator[TickBatch]:
        """Yield the ticks that are not published."""
        for segment in some:
            if segment.sequence not in self._read:
                yield from map(self._unpublished, batches_of(segment, self._reader))
                if segment is not growing:
                    self._read.add(segment.sequence)
        yield from map(self._unpublished, self._reader.finish())

    def _unpublished(self, batch: TickBatch) -> TickBatch:
        """Return those ticks of a batch; the others are only noted."""
        ticks, sequence = batch
        done = int(np.searchsorted(sequence, self._from))
        if done:
            earlier = Piece(0)
            earlier.add(ticks[:done], sequence[:done])
            for group in in_instrument_order(earlier.ticks(self._recorder)):
                self._beside.note(edges(group))
        return TickBatch(ticks[done:], sequence[done:])

    def _may_grow(self, segment: SegmentFile) -> bool:
        """Whether a recorder may still add to a segment that has been read."""
        return not self._reader.is_stopped and not is_settled(segment)

    # -- files ----------------------------------------------------------------------------------

    def _write(self, threads: ThreadPoolExecutor, piece: Piece) -> int:
        """Have a piece written, and name the ones before it in the manifest."""
        if not piece.parts:
            return 0
        self._waiting.append(threads.submit(self._write_piece, piece))
        self._commit_waiting(_WRITERS - 1)
        return 1

    def _write_piece(self, piece: Piece) -> tuple[TableFile, pl.DataFrame]:
        """Write a file; return it with the `edges` of its row groups. Any thread."""
        ticks = piece.ticks(self._recorder)
        found: list[pl.DataFrame] = []

        def groups() -> Iterator[pl.DataFrame]:
            for group in in_instrument_order(ticks):
                found.append(edges(group))
                yield group

        name = (
            f"{self._day.isoformat()}/{self._recorder}-{piece.first:012}-{piece.last:012}.parquet"
        )
        storage = self._table.storage
        unfinished = storage.workspace(name)
        write_groups(unfinished, groups())
        size = unfinished.stat().st_size
        storage.put(name, unfinished)
        file = TableFile(
            name=name,
            recorder=self._recorder,
            first=piece.first,
            last=piece.last,
            rows=ticks.height,
            bytes=size,
            tokens=ends(ticks["instrument_token"]),
            times=ends(ticks["received_at"].to_physical()),
        )
        return file, pl.concat(found)

    def _commit_waiting(self, most: int) -> None:
        """Name files in the manifest, in order, until only some are being written."""
        while len(self._waiting) > most:
            file, edge = self._waiting.popleft().result()
            self._commit(file)
            self._beside.note(edge)

    def _commit(self, file: TableFile) -> None:
        done = self._progress
        after = Progress(
            next_sequence=file.last + 1, until=file.times[1], rows=done.rows + file.rows
        )
        if self._is_growing:  # what a power cut may take from the journal must not be in the table
            age = (self._clock() - file.times[1]) / SECOND
            time.sleep(min(max(DURABLE_AFTER - age, 0.0), DURABLE_AFTER))

        def change(manifest: Manifest) -> Manifest:
            now = manifest.progress.get(self._recorder)
            if now == after:  # an answer was lost, the request was not
                return manifest
            if (now or Progress()) != done:
                raise TableError(
                    "another process publishes this journal to the same table: end one of them",
                    path=self._table.path,
                )
            return replace(
                manifest,
                progress={**manifest.progress, self._recorder: after},
                published=(*manifest.published, file),
            )

        self._table.update(self._day, change)
        self._progress = after

    def _write_beside(self, *, is_complete: bool) -> None:
        """Write what is beside the ticks so far, and name it in the manifest."""
        progress = replace(self._progress, is_complete=is_complete)
        if self._beside_of == progress:
            return
        known = self._table.manifest(self._day) or Manifest(day=self._day.isoformat())
        files = self._beside.write(self._table, self._day, known, progress.next_sequence)

        def change(manifest: Manifest) -> Manifest:
            beside = {kind: dict(some) for kind, some in manifest.beside.items()}
            old = {some[self._recorder].name for some in beside.values() if self._recorder in some}
            for kind, file in files.items():
                beside.setdefault(kind, {})[self._recorder] = file
            gone = sorted(old - {file.name for file in files.values()})
            return replace(
                manifest,
                progress={**manifest.progress, self._recorder: progress},
                beside=beside,
                retired=(*manifest.retired, *retire(gone)),
            )

        self._table.update(self._day, change)
        self._beside_of = self._progress = progress
