"""A table against its files, and against the recordings that it was made of. Calling thread."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from kitepolars.days.journals import journal_days, recorder_id
from kitepolars.days.manifest import Manifest, Table, TableFile
from kitepolars.days.parquet import pyarrow_parquet
from kitepolars.errors import TableError
from kitepolars.journal.segments import SegmentFile
from kitepolars.recordings.ticks import TickReader


def faults(table: Table, day: dt.date) -> list[str]:
    """Read every page of a day's files, compare their checksums, and say what is wrong."""
    manifest = table.manifest(day)
    if manifest is None:
        return [f"{day}: there is no manifest"]
    files = (*manifest.files(), *manifest.by_time)
    return [fault for file in files if (fault := _fault(table, file)) is not None]


def _fault(table: Table, file: TableFile) -> str | None:
    try:
        rows = sum(_read_back(table, file))
    except (OSError, ValueError) as error:
        return f"{file.name}: {error}"
    if rows != file.rows:
        return f"{file.name}: {rows:,} rows where the manifest says {file.rows:,}"
    return None


def _read_back(table: Table, file: TableFile, recorder: str | None = None) -> Iterator[int]:
    """Yield how many ticks there are in each row group, of a recorder, all columns read."""
    url = table.storage.url(file.name)
    parquet = pyarrow_parquet()
    with table.storage.local_copy(file.name) as path:
        try:
            source = parquet.ParquetFile(path, page_checksum_verification=True)
        except OSError as error:
            raise TableError(f"the file cannot be read ({error})", path=url) from None
        with source:
            for group in range(source.num_row_groups):
                read = source.read_row_group(group)
                if recorder is None:
                    yield read.num_rows
                else:
                    names = pl.Series(read.column("recorder").cast("string").to_pylist())
                    yield int((names == recorder).sum())


def delete_published(recording: str | os.PathLike[str], table: Table) -> list[Path]:
    """Delete the segments of the days of a recording that are in the table as a whole.

    Of each day that is over, every page of the table's files is read back and its checksum
    compared, the recording is read, and their ticks are counted. A day that may still grow stays.

    Raises
    ------
    TableError
        When the table has fewer or more ticks of a day than the recording; nothing of that day is
        deleted.
    """
    folder = Path(recording)
    recorder = recorder_id(folder)
    deleted: list[Path] = []
    for day, some in journal_days(folder)[:-1]:
        manifest = table.manifest(day)
        done = None if manifest is None else manifest.progress.get(recorder)
        if manifest is None or done is None or not done.is_complete:
            continue
        published = _ticks_of(table, manifest, recorder)
        recorded = _ticks_in(some)
        if published != recorded:
            raise TableError(
                f"{day} has {recorded:,} ticks in the recording and {published:,} in the table: "
                "nothing was deleted; keep the recording, and publish it into an empty table",
                path=table.path,
            )
        for segment in some:
            segment.path.unlink()
            deleted.append(segment.path)
    return deleted


def _ticks_of(table: Table, manifest: Manifest, recorder: str) -> int:
    return sum(sum(_read_back(table, file, recorder)) for file in manifest.files())


def _ticks_in(some: Iterable[SegmentFile]) -> int:
    reader = TickReader()
    rows = sum(batch.ticks.height for segment in some for batch in reader.read(segment))
    return rows + sum(batch.ticks.height for batch in reader.finish())
