"""A recording that is published while it grows → one LazyFrame of all of it. Calling thread.

What is published is read from the table; what is not, from the journal, up to its last complete
record. The mark in the manifest says where one ends and the other begins, so no tick is in both.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl

from kitepolars.days.journals import journal_days, recorder_id
from kitepolars.days.manifest import Manifest, Progress, Table
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.days.scan import Moment, bounds, day_of, tokens_of
from kitepolars.days.selection import TickSelection
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import TableError, UnknownInstrument
from kitepolars.instruments import SomeInstruments
from kitepolars.journal.segments import SegmentFile
from kitepolars.recordings.ticks import TickBatch, TickReader


class GrowingTable:
    """The ticks of a recording, published or not.

    What has been read of the journal is kept until it is published: the next question reads only
    what was added since.

    Parameters
    ----------
    recording
        A recorder's folder.
    table
        Where it is published.
    storage_options
        Settings of the object store.
    """

    def __init__(
        self,
        recording: Path,
        table: str | os.PathLike[str],
        storage_options: StorageOptions | None = None,
    ) -> None:
        self._recording = recording
        self._table = Table(table, storage_options)
        self._recorder = recorder_id(recording)
        self._unpublished: dict[dt.date, _Unpublished] = {}
        self._lock = Lock()

    def days(self) -> list[dt.date]:
        """Return the days that are recorded or published, in order."""
        journal = dict(journal_days(self._recording))
        return sorted({*self._table.days(), *journal})

    def scan(
        self,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        instruments: SomeInstruments | None = None,
    ) -> pl.LazyFrame:
        """Return all ticks until now; see `kitepolars.scan`."""
        begin, stop = bounds(start, end)
        first, last = day_of(start), day_of(end)
        with self._lock:
            journal = dict(journal_days(self._recording))
            days = [
                day
                for day in sorted({*self._table.days(), *journal})
                if (first is None or day >= first) and (last is None or day <= last)
            ]
            # the table first: what is published after this moment is read from the journal
            manifests = {day: self._table.manifest(day) for day in days}
            tails = [
                self._tail(day, journal[day], manifests[day]) for day in days if day in journal
            ]
        published = [manifest for manifest in manifests.values() if manifest is not None]
        tokens = None if instruments is None else self._tokens(published, tails, instruments)
        frames = [tail.frame(self._recorder) for tail in tails]
        return TickSelection(
            table=self._table, days=published, begin=begin, stop=stop, tokens=tokens, also=frames
        ).lazy()

    def _tail(
        self, day: dt.date, some: list[SegmentFile], manifest: Manifest | None
    ) -> _Unpublished:
        progress = None if manifest is None else manifest.progress.get(self._recorder)
        known = self._unpublished.setdefault(day, _Unpublished())
        known.update(some, progress or Progress())
        return known

    def _tokens(
        self, published: list[Manifest], tails: list[_Unpublished], some: SomeInstruments
    ) -> frozenset[int]:
        looks = [partial(tokens_of, self._table, published, some)]
        looks += [partial(tail.tokens, some) for tail in tails]
        found: set[int] = set()
        failure: UnknownInstrument | TableError | None = None
        for look in looks:  # a name may be listed on some of the days only
            try:
                found.update(look())
            except (UnknownInstrument, TableError) as error:
                failure = error
        if not found and failure is not None:
            raise failure
        return frozenset(found)


class _Unpublished:
    """The ticks of a day that are in a journal only."""

    def __init__(self) -> None:
        self._reader = TickReader()
        self._read: set[int] = set()  # segments that do not grow any more
        self._parts: list[tuple[pl.DataFrame, np.ndarray]] = []

    def update(self, some: Sequence[SegmentFile], progress: Progress) -> None:
        """Read what has been added, and forget what is published."""
        if progress.is_complete:
            self._parts = []
            return
        for segment in some:
            if segment.sequence not in self._read:
                for batch in self._reader.read(segment):
                    self._add(batch, progress)
                if segment is not some[-1]:
                    self._read.add(segment.sequence)
        for batch in self._reader.finish():
            self._add(batch, progress)
        parts, self._parts = self._parts, []
        for ticks, sequence in parts:
            self._add(TickBatch(ticks, sequence), progress)

    def tokens(self, some: SomeInstruments) -> frozenset[int]:
        """Return the tokens that instruments have on this day."""
        return frozenset(self._reader.names.tokens(some))

    def frame(self, recorder: str) -> pl.DataFrame:
        """Return the ticks with the columns of a table."""
        if not self._parts:
            return TABLE_SCHEMA.to_frame()
        name = pl.lit(recorder).cast(pl.Categorical).alias("recorder")
        sequence = np.concatenate([sequence for _, sequence in self._parts])
        return pl.concat([ticks for ticks, _ in self._parts]).with_columns(
            name, pl.Series("sequence", sequence, pl.UInt64)
        )

    def _add(self, batch: TickBatch, progress: Progress) -> None:
        done = int(np.searchsorted(batch.sequence, progress.next_sequence))
        if done < len(batch.sequence):
            self._parts.append((batch.ticks[done:], batch.sequence[done:]))
