"""A recording → a LazyFrame, read in batches as a query needs them. Calling thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, permutations
from os import PathLike
from typing import Final

import polars as pl
from polars.io.plugins import register_io_source

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.journal.reader import between, read_records
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.recordings.ticks import TickReader, names_of
from kitepolars.source import Listing, Record

_FAR: Final = 1_000
"""Records of a day in which its listing is looked for: it is one of the first."""


def read_journal(
    path: str | PathLike[str],
    *,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    instruments: SomeInstruments | None = None,
) -> pl.LazyFrame:
    """Return the ticks of a recording, to be read when they are collected.

    Columns and rows that a query does not need are dropped batch by batch, so a day that does
    not fit into memory can be aggregated, or written with ``sink_parquet``. Packets of other
    instruments than those in `instruments`, or in a `filter` on ``instrument_token`` or
    ``symbol``, are not decoded.

    Parameters
    ----------
    path
        The recording's folder, a day's folder in it, or a segment.
    start, end
        Only ticks that arrived from `start` on and before `end`; segments outside are not read.
        With a time zone, or else in India's.
    instruments
        Only these: names of the recording's own instruments, or tokens.

    Returns
    -------
    polars.LazyFrame
        The columns of `Ticker.frame`, in arrival order.

    Raises
    ------
    JournalError
        When there is no recording. Damaged records are left out; ``kitepolars journal verify``
        finds them.
    ConfigError
        When `end` is not after `start`.
    """
    bounds = time_us("start", start), time_us("end", end)
    if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
        raise ConfigError("end", end, "after start")
    between(path)  # errors are raised here and not when the frame is collected

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        where = [] if predicate is None else _about_instruments(predicate)
        reader = TickReader(instruments=instruments, where=where)
        times = _between(*bounds)
        for ticks in _ticks(reader, between(path, *bounds), bounds[1]):
            frame = ticks.filter(*times) if times else ticks
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if columns is None else frame.select(columns)
            frame = frame if rows is None else frame.head(rows)
            rows = None if rows is None else rows - frame.height
            yield frame
            if rows == 0:
                return

    return register_io_source(batches, schema=SCHEMA)


def time_us(name: str, time: dt.datetime | None) -> int | None:
    """Return a user's time in microseconds since the epoch, UTC; in India if it has no zone."""
    if time is None:
        return None
    if not isinstance(time, dt.datetime):
        raise ConfigError(name, time, "a datetime.datetime, or None")
    zoned = time if time.tzinfo is not None else time.replace(tzinfo=IST)
    return round(zoned.timestamp() * 1_000_000)


def _ticks(
    reader: TickReader, found: Sequence[SegmentFile], end: int | None
) -> Iterator[pl.DataFrame]:
    """Yield the ticks of segments, at least up to a time."""
    for segment in found:
        for batch in reader.read(segment, end):
            yield batch.ticks
    for batch in reader.finish():
        yield batch.ticks


def _between(start: int | None, end: int | None) -> list[pl.Expr]:
    """Return the conditions that ticks arrived between two times."""
    arrived = pl.col("received_at").cast(pl.Int64)
    conditions = [] if start is None else [arrived >= start]
    return conditions if end is None else [*conditions, arrived < end]


def _about_instruments(predicate: pl.Expr) -> list[pl.Expr]:
    """Return those of the conditions of a predicate that depend on the instrument only."""
    inputs = predicate.meta.pop()
    for first, second in permutations(inputs) if len(inputs) == 2 else ():  # noqa: PLR2004 - of `&`
        if (first & second).meta.eq(predicate):
            return [*_about_instruments(first), *_about_instruments(second)]
    names = set(predicate.meta.root_names())
    return [predicate] if names and names <= {"instrument_token", "symbol"} else []


class NameGiver:
    """Passes the instruments of each day of a recording to a callable; a `Sink`.

    Parameters
    ----------
    give
        Takes the instruments.
    known
        A listing that need not be given again.
    """

    def __init__(self, give: Callable[[Instruments], object], known: Listing | None = None) -> None:
        self._give = give
        self._csv = b"" if known is None else known.csv

    def take(self, record: Record) -> None:
        """Pass the instruments of a listing on, if it differs from the previous one."""
        if isinstance(record, Listing) and record.csv != self._csv:
            self._csv = record.csv
            self._give(names_of(record))


def first_listing(path: str | PathLike[str], begin: int | None = None) -> Listing | None:
    """Return the instruments of the day in which a recording, or a time in it, begins.

    Raises
    ------
    JournalError
        When there is no recording.
    """
    day = between(path, begin)[0].path.parent
    first = next(segment for segment in segments(path) if segment.path.parent == day)
    for record in islice(read_records(first.path), _FAR):
        if isinstance(record, Listing):
            return record
    return None
