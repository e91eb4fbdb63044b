"""A day's files → its final order, and the removal of what no manifest names. Calling thread.

A tidied day is sorted by instrument, and, for the last days, once more by minute: an instrument's
day and a minute of all instruments are then both read from a few row groups. The new files are
complete before the manifest names them; the old ones stay for those who still read them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import polars as pl

from kitepolars.calendar import IST
from kitepolars.days.manifest import MANIFEST, Manifest, Table, TableFile, retire
from kitepolars.days.order import ONE_MINUTE, in_instrument_order, in_minute_order
from kitepolars.days.parquet import ends, write_groups
from kitepolars.errors import TableError

MERGE_ROWS: Final = 1_000_000
"""Rows that are sorted at a time, about: the memory that tidying takes follows from it."""

KEEP_BOTH: Final = 5
"""The last days that are kept in both orders, at twice their bytes."""

FILE_GRACE: Final = 3_600.0
"""Seconds for which a file that is no part of the table any more is kept for its readers."""

WINDOW_MINUTES: Final = 15


@dataclass(frozen=True, slots=True)
class Tidied:
    """What tidying did.

    Parameters
    ----------
    days
        How many days were put in their final order.
    rows
        Their ticks.
    removed
        Files that were deleted.
    freed
        Their bytes.
    """

    days: int = 0
    rows: int = 0
    removed: int = 0
    freed: int = 0

    def __add__(self, other: Tidied) -> Tidied:
        return Tidied(
            self.days + other.days,
            self.rows + other.rows,
            self.removed + other.removed,
            self.freed + other.freed,
        )


def tidy(
    table: Table,
    *,
    keep_both: int = KEEP_BOTH,
    grace: float = FILE_GRACE,
    today: dt.date | None = None,
) -> Tidied:
    """Put the days before today in their final order, and delete what is no part of the table.

    Parameters
    ----------
    table
        The table. Others may publish to it and read it meanwhile.
    keep_both
        How many of the last days are kept by time, too.
    grace
        Seconds for which files that were replaced, or that no manifest names, are kept.
    today
        The day in India; by default that of the clock.
    """
    today = today or dt.datetime.now(IST).date()
    days = table.days()
    both = set(days[-keep_both:]) if keep_both else set()
    done = Tidied()
    for day in days:
        manifest = table.manifest(day)
        if manifest is None:
            continue
        if manifest.published and day < today:
            done += _merge(table, day, manifest, keep_by_time=day in both)
        elif manifest.by_time and day not in both:
            table.update(day, _without_time_order)
        done += _sweep(table, day, grace)
    return done


# -- the final order ---------------------------------------------------------------------------


def _merge(table: Table, day: dt.date, manifest: Manifest, *, keep_by_time: bool) -> Tidied:
    """Write a day in its final order, and have the manifest name that."""
    inputs = _in_order(manifest.files())
    mark = blake2b(repr([file.name for file in inputs]).encode(), digest_size=6).hexdigest()
    by_instrument = list(_by_instrument(table, day, inputs, mark))
    by_time: list[TableFile] = []
    if keep_by_time:  # of a day that was tidied before, the files in time order have the rows
        in_time = _in_order(manifest.files(in_time_order=True))
        by_time = list(_by_time(table, day, in_time, mark))
    rows = sum(file.rows for file in inputs)
    for written in filter(None, (by_instrument, by_time)):
        if (found := sum(file.rows for file in written)) != rows:
            raise TableError(
                f"the files of {day} have {found:,} rows where the manifest says {rows:,}: "
                "nothing was changed; publish the day again into an empty table",
                path=table.path,
            )
    consumed = {file.name for file in inputs}

    def change(now: Manifest) -> Manifest:
        if not consumed <= {file.name for file in now.files()}:
            return now  # another process has tidied the day meanwhile
        new = {file.name for file in (*by_instrument, *by_time)}
        old = sorted((consumed | {file.name for file in now.by_time}) - new)
        return replace(
            now,
            published=tuple(file for file in now.published if file.name not in consumed),
            by_instrument=tuple(by_instrument),
            by_time=tuple(by_time),
            retired=(*now.retired, *retire(old)),
        )

    table.update(day, change)
    return Tidied(days=1, rows=rows)


def _in_order(files: Sequence[TableFile]) -> list[TableFile]:
    """Return files such that each recorder's ticks of an instrument are in arrival order."""
    return sorted(files, key=lambda file: (file.recorder, file.first, file.name))


def _by_instrument(
    table: Table, day: dt.date, inputs: list[TableFile], mark: str
) -> Iterator[TableFile]:
    """Write files of disjoint ranges of instruments."""
    token = pl.col("instrument_token")
    for number, (first, last) in enumerate(_ranges(table, inputs)):
        some = [file for file in inputs if file.tokens[0] <= last and file.tokens[1] >= first]
        ticks = _read(table, some, (token >= first) & (token <= last))
        name = f"{day.isoformat()}/by-instrument-{mark}-{number:04}.parquet"
        yield _put(table, name, ticks, in_instrument_order)


def _by_time(table: Table, day: dt.date, inputs: list[TableFile], mark: str) -> Iterator[TableFile]:
    """Write files of disjoint times, by minute, then instrument and arrival."""
    for begin, stop in _windows(inputs):
        some = [file for file in inputs if file.times[0] < stop and file.times[1] >= begin]
        if not some:
            continue
        arrived = pl.col("received_at").to_physical()
        ticks = _read(table, some, (arrived >= begin) & (arrived < stop))
        if ticks.is_empty():
            continue
        name = f"{day.isoformat()}/by-time-{mark}-{begin // ONE_MINUTE}.parquet"
        yield _put(table, name, ticks, in_minute_order)


def _read(table: Table, files: list[TableFile], condition: pl.Expr) -> pl.DataFrame:
    """Return ticks of files, read one after the other: reading ahead in all takes a gigabyte."""
    parts = [table.scan([file]).filter(condition).collect() for file in files]
    return pl.concat(parts, rechunk=True)


def _ranges(table: Table, inputs: list[TableFile]) -> list[tuple[int, int]]:
    """Return ranges of instruments that have about `MERGE_ROWS` rows each."""
    counts = (
        table.scan(inputs)
        .group_by("instrument_token")
        .len("rows")
        .sort("instrument_token")
        .collect(engine="streaming")
    )
    part = (pl.col("rows").cum_sum() - 1) // MERGE_ROWS
    token = pl.col("instrument_token")
    ranges = counts.group_by(part.alias("part"), maintain_order=True).agg(
        token.min().alias("first"), token.max().alias("last")
    )
    return list(ranges.select("first", "last").iter_rows())


def _windows(inputs: list[TableFile]) -> Iterator[tuple[int, int]]:
    """Yield times from the first tick to the last, of about `MERGE_ROWS` rows at most each."""
    first = min(file.times[0] for file in inputs) // ONE_MINUTE
    last = max(file.times[1] for file in inputs) // ONE_MINUTE
    quarter = first // WINDOW_MINUTES * WINDOW_MINUTES
    for begin in range(quarter, last + 1, WINDOW_MINUTES):
        stop = begin + WINDOW_MINUTES
        rows = sum(
            file.rows
            for file in inputs
            if file.times[0] < stop * ONE_MINUTE and file.times[1] >= begin * ONE_MINUTE
        )
        step = max(1, WINDOW_MINUTES // max(1, math.ceil(rows / MERGE_ROWS)))
        for minute in range(begin, stop, step):
            yield minute * ONE_MINUTE, min(minute + step, stop) * ONE_MINUTE


def _put(
    table: Table,
    name: str,
    ticks: pl.DataFrame,
    in_order: Callable[[pl.DataFrame], Iterator[pl.DataFrame]],
) -> TableFile:
    unfinished = table.storage.workspace(name)
    write_groups(unfinished, in_order(ticks))
    size = unfinished.stat().st_size
    table.storage.put(name, unfinished)
    return TableFile(
        name=name,
        rows=ticks.height,
        bytes=size,
        tokens=ends(ticks["instrument_token"]),
        times=ends(ticks["received_at"].to_physical()),
    )


def _without_time_order(manifest: Manifest) -> Manifest:
    old = retire(file.name for file in manifest.by_time)
    return replace(manifest, by_time=(), retired=(*manifest.retired, *old))


# -- what is no part of the table --------------------------------------------------------------


def _sweep(table: Table, day: dt.date, grace: float) -> Tidied:
    """Delete the files of a day that no reader can need any more."""
    listed = list(table.storage.listed(day.isoformat()))  # first: what is named later is newer
    now = dt.datetime.now(dt.UTC).timestamp()

    def change(manifest: Manifest) -> Manifest:
        kept = tuple(file for file in manifest.retired if now - file.at < grace)
        return replace(manifest, retired=kept)

    before = table.manifest(day)
    named = table.update(day, change).names()
    expired = set() if before is None else before.names() - named
    done = Tidied()
    for file in listed:
        is_unnamed = file.name not in named and not file.name.endswith(MANIFEST)
        if is_unnamed and (file.name in expired or file.age >= grace):
            table.storage.delete(file.name)
            done += Tidied(removed=1, freed=file.bytes)
    return done
