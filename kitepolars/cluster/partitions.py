"""Recorded ticks in parts: a recording by day, a table by day or by instruments. Any process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import polars as pl

from kitepolars.days.manifest import Manifest, Table
from kitepolars.days.scan import manifests, scan, tokens_of
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import ConfigError
from kitepolars.journal.folder import OPEN, recorded_days
from kitepolars.recordings.frames import read_journal

By: TypeAlias = Literal["day", "instruments"]

INSTRUMENT_GROUPS: Final = 32
"""Partitions of a table by instruments at most, however many workers there are. Each has neighbours
by token, because their ticks lie together."""


class Partition(NamedTuple):
    """A part of a table.

    Parameters
    ----------
    name
        What errors call it.
    start, end
        The first day and the last.
    instruments
        Names or tokens; None for all.
    """

    name: str
    start: dt.date
    end: dt.date
    instruments: tuple[str | int, ...] | None = None


class Days(NamedTuple):
    """A range of days: the first and the last, or None for all there are."""

    start: dt.date | None
    end: dt.date | None

    def include(self, day: dt.date) -> bool:
        """Return whether a day is in it."""
        return (self.start is None or self.start <= day) and (self.end is None or day <= self.end)


class Ticks(Protocol):
    """Where ticks are; it is sent to other processes."""

    def partitions(
        self, by: By, days: Days, instruments: tuple[str | int, ...] | None
    ) -> list[Partition]:
        """Return the partitions, in order."""
        ...

    def opened(self, partition: Partition) -> pl.LazyFrame:
        """Return the ticks of a partition."""
        ...


@dataclass(frozen=True, slots=True)
class _RecordedTicks:
    """A recording in a folder."""

    path: str

    def partitions(
        self, by: By, days: Days, instruments: tuple[str | int, ...] | None
    ) -> list[Partition]:
        """Return a partition a day: no other part of a recording can be read by itself."""
        if by != "day":
            raise ConfigError("by", by, "'day' for a recording; publish it for other partitions")
        chosen = [day for day in recorded_days(self.path) if days.include(day)]
        if not chosen:
            raise ConfigError("table", self.path, "a recording that has some of these days")
        return _by_day(chosen, instruments)

    def opened(self, partition: Partition) -> pl.LazyFrame:
        """Return the ticks of a day."""
        folder = Path(self.path) / partition.start.isoformat()
        return read_journal(folder, instruments=partition.instruments)


@dataclass(frozen=True, slots=True)
class _PublishedTicks:
    """A table of days in a folder or a bucket, whose settings may be credentials."""

    path: str
    storage_options: StorageOptions | None = field(repr=False)

    def partitions(
        self, by: By, days: Days, instruments: tuple[str | int, ...] | None
    ) -> list[Partition]:
        """Return a partition a day, or one a group of instruments with all days."""
        table = Table(self.path, self.storage_options)
        found = manifests(table, days.start, days.end)
        tokens = None if instruments is None else tokens_of(table, found, instruments)
        chosen = [dt.date.fromisoformat(manifest.day) for manifest in found]
        if by == "day":
            return _by_day(chosen, None if tokens is None else tuple(sorted(tokens)))
        known = sorted(ticked_tokens(table, found) if tokens is None else tokens)
        size = -(-len(known) // INSTRUMENT_GROUPS) or 1
        groups = [tuple(known[first : first + size]) for first in range(0, len(known), size)]
        return [
            Partition(f"instruments {some[0]} to {some[-1]}", chosen[0], chosen[-1], some)
            for some in groups
        ]

    def opened(self, partition: Partition) -> pl.LazyFrame:
        """Return the ticks of some days and instruments."""
        return scan(
            self.path,
            start=partition.start,
            end=partition.end,
            instruments=partition.instruments,
            storage_options=self.storage_options,
        )


def ticks_at(path: str, storage_options: StorageOptions | None) -> Ticks:
    """Return what is at a path: a recording, or else a table."""
    if "://" not in path and any(Path(path).glob(f"????-??-??/*{OPEN}*")):
        return _RecordedTicks(path)
    return _PublishedTicks(path, storage_options)


def ticked_tokens(table: Table, days: Sequence[Manifest]) -> set[int]:
    """Return the instruments that have ticks on some days."""
    files = [file for manifest in days for file in manifest.beside.get("last", {}).values()]
    return {token for file in files for token in table.read(file)["instrument_token"].to_list()}


def _by_day(days: Sequence[dt.date], some: tuple[str | int, ...] | None) -> list[Partition]:
    return [Partition(day.isoformat(), day, day, some) for day in days]
