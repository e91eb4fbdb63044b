"""A recorder's journal → files of a table, each tick exactly once. Calling thread, and two more.

The manifest of a day says up to which record a journal is published. A file is complete and on the
disk before the manifest that names it, and that manifest also moves the mark: so whenever this is
killed, the next one begins where the table ends. What was written and not named is no part of it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from kitepolars.calendar import SECOND
from kitepolars.days.manifest import DAY_FOLDER, Manifest, Progress, Table, TableFile, retire
from kitepolars.days.parquet import TABLE_SCHEMA, ends, write_frame, write_sorted
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import TableError
from kitepolars.journal.folder import FILE_MODE, sync_folder, trading_day
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.ledger import Ledger
from kitepolars.recordings.ticks import TickBatch, TickReader, names_of
from kitepolars.source import Listing, Record, now_us
from kitepolars.tables import events_frame, gaps_frame, orders_frame

QUARTER: Final = 15 * 60 * SECOND
"""Microseconds that a published file spans at most. India's offset is a multiple of it."""

FILE_ROWS: Final = 1_000_000
"""Rows of a published file at most, about: the memory that publishing takes follows from it."""

DURABLE_AFTER: Final = 10.0
"""Seconds after which what a recorder wrote is on the disk for certain; it takes 0.1 s."""

OVERLAP: Final = SECOND
"""How far `received_at` may go back between two records before that is an error."""

FOLLOW_INTERVAL: Final = 1.0
"""Seconds between two looks at a journal that is followed."""

SOURCE_NAME: Final = "recorder.id"
"""The file in a journal's folder that identifies it in tables."""

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

    Whatever was published before is not published again, whoever did it and however it ended, so
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
            state = _state(self._journal, now)
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
            self._days[day] = _Day(self, day, done)
        try:
            return self._days[day].publish(some, is_over=is_over)
        except BaseException:
            del self._days[day]  # the next call begins where the table ends
            raise


class _Day:
    """A day of a journal on its way into a table."""

    def __init__(self, publisher: JournalPublisher, day: date, done: Progress | None) -> None:
        self._table = publisher.table
        self._recorder = publisher.recorder
        self._accept_overlap = publisher._accept_overlap  # noqa: SLF001 - a part of it
        self._clock = publisher._clock  # noqa: SLF001 - a part of it
        self._day = day
        self._progress = done or Progress()
        self._from = self._progress.next_sequence  # earlier ticks are published already
        self._beside_of: Progress | None = None
        self._is_growing = False
        self._beside = _Beside()
        self._reader = TickReader(also=self._beside)
        self._read: set[int] = set()  # segments that are closed and have been read
        self._piece = _Piece(self._progress.next_sequence)
        self._latest = 0  # the arrival of the row before
        self._last: pl.DataFrame | None = None
        self._waiting: deque[Future[tuple[TableFile, pl.DataFrame]]] = deque()

    def publish(self, some: list[SegmentFile], *, is_over: bool) -> Published:
        """Publish what is complete."""
        before, files = self._progress.rows, 0
        growing = None if is_over or some[-1].is_compressed else some[-1]
        with ThreadPoolExecutor(_WRITERS, "kitepolars-publish") as threads:
            for segment in some:
                if segment.sequence not in self._read:
                    files += self._read_segment(threads, segment)
                    if segment is not growing:
                        self._read.add(segment.sequence)
            for batch in self._reader.finish():
                files += self._write_complete(threads, batch)
            self._is_growing = growing is not None and self._is_written(growing)
            if not self._is_growing or self._has_ended(self._piece):
                files += self._write(threads, self._take_piece())
            self._commit_waiting(0)
        if files or not self._is_growing:
            self._write_beside(is_complete=is_over)
        return Published(self._progress.rows - before, files)

    def _read_segment(self, threads: ThreadPoolExecutor, segment: SegmentFile) -> int:
        return sum(
            self._write_complete(threads, batch) for batch in _batches(self._reader, segment)
        )

    def _write_complete(self, threads: ThreadPoolExecutor, batch: TickBatch) -> int:
        return sum(self._write(threads, piece) for piece in self._pieces(batch))

    def _is_written(self, segment: SegmentFile) -> bool:
        """Whether a recorder may still add to a segment that has been read."""
        return not self._reader.is_stopped and _age(segment) < DURABLE_AFTER

    def _has_ended(self, piece: _Piece) -> bool:
        """Whether nothing more can come for the quarter of an hour that a piece is of."""
        if not piece.parts:
            return False
        end = (self._latest // QUARTER + 1) * QUARTER
        return self._clock() > end + DURABLE_AFTER * SECOND

    # -- pieces ---------------------------------------------------------------------------------

    def _pieces(self, batch: TickBatch) -> Iterator[_Piece]:
        """Add ticks to the piece that grows; yield each that is complete."""
        done = int(np.searchsorted(batch.sequence, self._from))
        ticks, sequence = batch.ticks[done:], batch.sequence[done:]
        if not len(sequence):
            return
        at = ticks["received_at"].to_physical().to_numpy()
        self._check_clock(at, sequence)
        start = 0
        for stop in self._cuts(at, sequence):
            self._piece.add(ticks[start:stop], sequence[start:stop])
            yield self._take_piece()
            start = stop
        self._piece.add(ticks[start:], sequence[start:])
        self._latest = int(at[-1])

    def _cuts(self, at: np.ndarray, sequence: np.ndarray) -> list[int]:
        """Return the rows before which a piece ends: a new quarter, or enough rows."""
        quarters = at // QUARTER
        before = quarters[0] if not self._piece.parts else self._latest // QUARTER
        is_new = np.diff(quarters, prepend=before) != 0
        # a record stays in one piece, so that a position in the journal says what is in which
        begins = np.flatnonzero(np.diff(sequence, prepend=self._piece.last) != 0)
        cuts, held = [], self._piece.rows
        start = 0
        for begin in begins.tolist():
            is_full = held + begin - start >= FILE_ROWS
            if (is_new[begin] or is_full) and held + begin - start:
                cuts.append(begin)
                held, start = 0, begin
        return cuts

    def _check_clock(self, at: np.ndarray, sequence: np.ndarray) -> None:
        steps = np.diff(at, prepend=max(self._latest, 0) or at[0])
        worst = int(steps.argmin())
        if steps[worst] < -OVERLAP and not self._accept_overlap:
            raise TableError(
                f"received_at goes back by {-steps[worst] / SECOND:.1f} s at record "
                f"{sequence[worst]:,} of {self._day}: the clock was set back between two "
                "recorders, so their times overlap; accept_overlap=True (--accept-overlap) "
                "publishes the ticks in the order in which they were recorded",
                path=self._table.path,
            )

    def _take_piece(self) -> _Piece:
        piece, self._piece = self._piece, _Piece(self._piece.last + 1)
        return piece

    # -- files ----------------------------------------------------------------------------------

    def _write(self, threads: ThreadPoolExecutor, piece: _Piece) -> int:
        """Have a piece written, and name the ones before it in the manifest."""
        if not piece.parts:
            return 0
        self._waiting.append(threads.submit(self._write_piece, piece))
        self._commit_waiting(_WRITERS - 1)
        return 1

    def _write_piece(self, piece: _Piece) -> tuple[TableFile, pl.DataFrame]:
        ticks = piece.sorted(self._recorder)
        name = (
            f"{self._day.isoformat()}/{self._recorder}-{piece.first:012}-{piece.last:012}.parquet"
        )
        storage = self._table.storage
        unfinished = storage.workspace(name)
        write_sorted(unfinished, [ticks])
        size = unfinished.stat().st_size
        storage.put(name, unfinished)
        arrived = ticks["received_at"].to_physical()
        file = TableFile(
            name=name,
            recorder=self._recorder,
            first=piece.first,
            last=piece.last,
            rows=ticks.height,
            bytes=size,
            tokens=ends(ticks["instrument_token"]),
            times=ends(arrived),
        )
        return file, _last_of_each(ticks)

    def _commit_waiting(self, most: int) -> None:
        """Name files in the manifest, in order, until only some are being written."""
        while len(self._waiting) > most:
            file, last = self._waiting.popleft().result()
            self._commit(file)
            earlier = [] if self._last is None else [self._last]
            self._last = _last_of_each(pl.concat([*earlier, last]), is_sorted=False)

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

    # -- beside the ticks -----------------------------------------------------------------------

    def _write_beside(self, *, is_complete: bool) -> None:
        """Write gaps, orders, events, instruments, and the last tick of each instrument."""
        progress = replace(self._progress, is_complete=is_complete)
        if self._beside_of == progress:
            return
        known = self._table.manifest(self._day) or Manifest(day=self._day.isoformat())
        marked = {kind: (str(progress.next_sequence), f) for kind, f in self._frames(known)}
        marked |= self._beside.instruments()
        files = {}
        for kind, (mark, frame) in marked.items():
            name = f"{self._day.isoformat()}/{kind}-{self._recorder}-{mark}.parquet"
            have = known.beside.get(kind, {}).get(self._recorder)
            is_there = have is not None and have.name == name and kind == "instruments"
            files[kind] = have if have and is_there else self._put_frame(name, frame)

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

    def _frames(self, known: Manifest) -> Iterator[tuple[str, pl.DataFrame]]:
        yield from self._beside.frames()
        yield "last", self._last_ticks(known.beside.get("last", {}).get(self._recorder))

    def _last_ticks(self, known: TableFile | None) -> pl.DataFrame:
        """Return the last published tick of each instrument, earlier processes' included."""
        parts = [] if self._last is None else [self._last]
        if known is not None:
            parts.insert(0, self._table.read(known))
        if not parts:
            return TABLE_SCHEMA.to_frame()
        self._last = _last_of_each(pl.concat(parts), is_sorted=False)
        return self._last

    def _put_frame(self, name: str, frame: pl.DataFrame) -> TableFile:
        storage = self._table.storage
        unfinished = storage.workspace(name)
        write_frame(unfinished, frame)
        size = unfinished.stat().st_size
        storage.put(name, unfinished)
        done = self._progress
        return TableFile(
            name=name,
            recorder=self._recorder,
            last=done.next_sequence - 1,
            rows=frame.height,
            bytes=size,
        )


@dataclass(slots=True)
class _Piece:
    """Ticks of consecutive records that become a file.

    Parameters
    ----------
    first
        The first sequence number that it covers.
    """

    first: int
    last: int = -1
    rows: int = 0
    parts: list[pl.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = self.first - 1

    def add(self, ticks: pl.DataFrame, sequence: np.ndarray) -> None:
        """Append ticks."""
        if not len(sequence):
            return
        self.parts.append(ticks.with_columns(pl.Series("sequence", sequence, pl.UInt64)))
        self.rows += ticks.height
        self.last = int(sequence[-1])

    def sorted(self, recorder: str) -> pl.DataFrame:
        """Return the ticks by instrument and arrival, with the columns of `TABLE_SCHEMA`."""
        parts, self.parts = self.parts, []
        ticks = pl.concat(parts).sort("instrument_token", maintain_order=True)
        name = pl.lit(recorder).cast(pl.Categorical).alias("recorder")
        return ticks.with_columns(name).select(TABLE_SCHEMA.names())


class _Beside:
    """What a day has beside the ticks; a `Sink`."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._listing: Listing | None = None

    def take(self, record: Record) -> None:
        """Take a record."""
        self._ledger.take(record)
        if isinstance(record, Listing):
            self._listing = record

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what there is of each kind."""
        yield "gaps", gaps_frame(self._ledger.gaps.snapshot())
        yield "orders", orders_frame(self._ledger.orders.snapshot())
        yield "events", events_frame(self._ledger.events.snapshot())

    def instruments(self) -> dict[str, tuple[str, pl.DataFrame]]:
        """Return the day's instruments, marked by their content; empty without a listing."""
        if self._listing is None:
            return {}
        mark = blake2b(self._listing.csv, digest_size=6).hexdigest()
        return {"instruments": (mark, names_of(self._listing).frame)}


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
    elif journal.is_file():  # a segment by itself
        [segment] = segments(journal)
        return blake2b(repr(segment.header()).encode(), digest_size=6).hexdigest()
    path = place / SOURCE_NAME
    with suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    unfinished = path.with_name(f".{SOURCE_NAME}-{os.getpid()}")
    try:
        with open(unfinished, "w", encoding="ascii", opener=_private) as file:
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


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def journal_days(journal: Path) -> list[tuple[date, list[SegmentFile]]]:
    """Return the days of a journal with the segments of each, in order."""
    dated: list[tuple[date, SegmentFile]] = []
    for segment in segments(journal):
        header = segment.header()
        if header is not None:  # without one there is nothing in it that can be read
            dated.append((trading_day(header.at), segment))
    grouped = groupby(dated, key=lambda one: one[0])
    return [(day, [segment for _, segment in some]) for day, some in grouped]


def _batches(reader: TickReader, segment: SegmentFile) -> Iterator[TickBatch]:
    """Yield the batches of a segment, which may be compressed and renamed meanwhile."""
    try:
        yield from reader.read(segment)
    except FileNotFoundError:
        folder = segment.path.parent
        [now] = [one for one in segments(folder) if one.sequence == segment.sequence]
        yield from reader.read(now)  # what was read already, the reader passes over


def _age(segment: SegmentFile) -> float:
    try:
        return time.time() - segment.path.stat().st_mtime
    except FileNotFoundError:  # it has just been compressed
        return 0.0


def _state(journal: Path, now: int) -> object:
    """Return what changes when there may be more to publish."""
    found = segments(journal)
    settled = (now - int(DURABLE_AFTER * SECOND)) // QUARTER
    is_quiet = bool(found) and _age(found[-1]) > DURABLE_AFTER
    return [segment.sequence for segment in found], settled, is_quiet


def _last_of_each(ticks: pl.DataFrame, *, is_sorted: bool = True) -> pl.DataFrame:
    """Return the last row of each instrument."""
    if is_sorted:
        token = ticks["instrument_token"]
        return ticks.filter((token != token.shift(-1)).fill_null(value=True))
    return ticks.unique("instrument_token", keep="last", maintain_order=True)
