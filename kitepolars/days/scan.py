"""A table of days → a LazyFrame, of the files that matter to a question. Calling thread."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

import polars as pl

from kitepolars.calendar import IST, SECOND
from kitepolars.days.beside import LAST, LISTING
from kitepolars.days.manifest import Manifest, Table
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.days.selection import FAR_FUTURE, FAR_PAST, TickSelection
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import ConfigError, TableError, UnknownInstrument
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.journal.folder import OPEN

Moment = dt.datetime | dt.date
"""A time, with a time zone or else in India's; or a whole day in India."""


def scan(
    path: str | os.PathLike[str],
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    instruments: SomeInstruments | None = None,
    last: bool = False,
    storage_options: StorageOptions | None = None,
) -> pl.LazyFrame:
    """Return the ticks of a table of days, to be read when they are collected.

    Only the files and row groups that can have the ticks asked for are read, whether instruments
    are stated here or in a filter by ``symbol`` or ``instrument_token``. A minute of all
    instruments is found fastest by `start` and `end`. ``tail`` and ``slice`` read everything.

    Parameters
    ----------
    path
        The table's folder, or its URL: ``s3://bucket/days``.
    start, end
        Only ticks that arrived from `start` on and before `end`, with a time zone or else in
        India's. A date means the whole day, so the same date twice is that day.
    instruments
        Only these: names of the table's own instruments, or tokens.
    last
        Only the last tick of each instrument on each day: a small file has them. `start` and `end`
        are then dates.
    storage_options
        Settings of the object store, as Polars takes them; by default those of the environment.

    Returns
    -------
    polars.LazyFrame
        The columns of `Ticker.frame`, then ``recorder`` and ``sequence``: the number in that
        recorder's journal. By day; in a day each instrument's ticks are in arrival order.

    Raises
    ------
    TableError
        When there is no table, a day that was named is missing, or a newer version wrote it.
    UnknownInstrument
        When a name is not known on any of the days.
    ConfigError
        When `end` is not after `start`, or one is no date where `last` needs it.

    Examples
    --------
    >>> import tempfile
    >>> from kitepolars.days.publish import publish
    >>> from kitepolars.playback import SAMPLE
    >>> with tempfile.TemporaryDirectory() as days:
    ...     _ = publish(SAMPLE, days)
    ...     ticks = scan(days, start=dt.date(2026, 11, 20), instruments=["NSE:INFY"])
    ...     ticks.select(pl.len()).collect().item()
    ...     scan(days, last=True).select("symbol", "last_price").collect().row(0)
    236
    ('NSE:ACC', 1862.5)
    """
    table = Table(path, storage_options)
    begin, stop = bounds(start, end)
    if last:
        _check_dates(start=start, end=end)
    days = manifests(table, start, end)
    tokens = None if instruments is None else tokens_of(table, days, instruments)
    if last:
        return pl.concat([last_ticks(table, manifest, tokens) for manifest in days])
    return TickSelection(table=table, days=days, begin=begin, stop=stop, tokens=tokens).lazy()


def last_ticks(
    table: Table, manifest: Manifest, tokens: frozenset[int] | None = None
) -> pl.LazyFrame:
    """Return the last tick of each instrument on a day, sorted by instrument."""
    files = manifest.current(LAST)
    if files is not None:
        ticks = table.scan(files)
    else:  # publishing was interrupted before it wrote them
        ticks = TickSelection(table=table, days=[manifest]).lazy()
        ticks = ticks.group_by("recorder", "instrument_token").last()
        ticks = ticks.select(TABLE_SCHEMA.names()).sort("instrument_token")
    if tokens is not None:
        ticks = ticks.filter(pl.col("instrument_token").is_in(tokens))
    if len(manifest.progress) == 1:  # each instrument once, in order
        return ticks
    # of several recorders only the clock says who heard it last
    newest = ticks.sort("received_at", "recorder", "sequence").unique(
        "instrument_token", keep="last"
    )
    return newest.sort("instrument_token")


def _check_dates(**moments: Moment | None) -> None:
    for name, moment in moments.items():
        if isinstance(moment, dt.datetime):
            raise ConfigError(name, moment, "a date: the last ticks are those of whole days")


def manifests(
    table: Table, start: Moment | None = None, end: Moment | None = None
) -> list[Manifest]:
    """Return the days between two moments, in order.

    Raises
    ------
    TableError
        When there is no table, or none of these days in it.
    """
    first, last = day_of(start), day_of(end)
    known = table.days()
    chosen = [
        day for day in known if (first is None or day >= first) and (last is None or day <= last)
    ]
    found = [manifest for day in chosen if (manifest := table.manifest(day)) is not None]
    if found:
        return found
    if chosen and any(OPEN in one.name for one in table.storage.listed(chosen[0].isoformat())):
        raise TableError(
            "this is a recording, not a table: kitepolars publish makes one of it, and "
            "kp.read_journal reads it as it is",
            path=table.path,
        )
    if not known:
        raise TableError(
            "there is no table of days: kitepolars publish RECORDING --to TABLE makes one",
            path=table.path,
        )
    raise TableError(
        f"the table has no day from {first or known[0]} to {last or known[-1]}; it has "
        f"{len(known)} from {known[0]} to {known[-1]}: kitepolars days info lists them",
        path=table.path,
    )


def tokens_of(
    table: Table, days: Sequence[Manifest], instruments: SomeInstruments
) -> frozenset[int]:
    """Return the tokens that instruments have on the days: a name may have several.

    Raises
    ------
    UnknownInstrument
        When one is not known on any of the days.
    """
    if _are_tokens(instruments):
        return frozenset(Instruments.from_records([]).tokens(instruments))
    listings = {
        file.name.rpartition("-")[2]: file  # by content: most days have that of the day before
        for manifest in days
        for file in manifest.beside.get(LISTING, {}).values()
    }
    found: set[int] = set()
    failure: UnknownInstrument | None = None
    for file in listings.values():
        try:
            found.update(Instruments(table.read(file)).tokens(instruments))
        except UnknownInstrument as error:
            failure = error
    if not found:
        if failure is not None:
            raise failure
        raise TableError(
            "the table has no instruments to look names up in: name tokens", path=table.path
        )
    return frozenset(found)


def bounds(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Return two moments in microseconds since the epoch, UTC; the end is excluded."""
    begin = FAR_PAST if start is None else _time_us("start", start)
    stop = FAR_FUTURE if end is None else _time_us("end", end, is_end=True)
    if begin >= stop:
        raise ConfigError("end", end, "after start")
    return begin, stop


def _time_us(name: str, moment: Moment, *, is_end: bool = False) -> int:
    if isinstance(moment, dt.datetime):
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)
        return round(zoned.timestamp() * SECOND)
    if not isinstance(moment, dt.date):
        raise ConfigError(name, moment, "a datetime.date or datetime.datetime, or None")
    day = moment + dt.timedelta(days=1) if is_end else moment
    return _time_us(name, dt.datetime.combine(day, dt.time(), IST))


def day_of(moment: Moment | None) -> dt.date | None:
    """Return the day in India of a moment."""
    if isinstance(moment, dt.datetime):
        return moment.astimezone(IST).date() if moment.tzinfo is not None else moment.date()
    return moment


def _are_tokens(instruments: SomeInstruments) -> bool:
    some = [instruments] if isinstance(instruments, int | str) else instruments
    return isinstance(some, Sequence) and all(isinstance(one, int) for one in some)
