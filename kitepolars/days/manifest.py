"""What a table is: for each day a manifest, which names the files that are the day. Any thread.

A manifest is replaced as a whole, and only by a process that has read the one before, so a day is
always one complete state, even if writers are killed, whatever their number. A file that no
manifest names is no part of the table.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from kitepolars.days.parquet import pyarrow_parquet
from kitepolars.days.storage import Storage, StorageOptions, open_storage
from kitepolars.errors import TableError

FORMAT: Final = "kitepolars days"
TABLE_VERSION: Final = 1
"""The version of the format that is written. It changes when an old reader would misread."""

MANIFEST: Final = "manifest.json"
DAY_FOLDER: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A Parquet file of a day, as its manifest describes it.

    Parameters
    ----------
    name
        Its path below the table.
    recorder
        Whose ticks it has; empty in a tidied file, which may have those of several.
    first, last
        The sequence numbers in the recorder's journal that it covers, both included.
    rows, bytes
        Its size.
    tokens
        The least and the greatest instrument token in it.
    times
        The earliest and the latest arrival in it, in microseconds since the epoch, UTC.
    """

    name: str
    recorder: str = ""
    first: int = 0
    last: int = 0
    rows: int
    bytes: int
    tokens: tuple[int, int] = (0, 2**32 - 1)
    times: tuple[int, int] = (0, 2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A file that was a part of the day; it is kept for those who still read it.

    Parameters
    ----------
    name
        Its path below the table.
    at
        Since when it is not, in seconds since the epoch.
    """

    name: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a recorder's journal of the day has been published.

    Parameters
    ----------
    next_sequence
        Every record before it is published; of the ticks in these, all are in the day's files.
    until
        The time of the last record of these, in microseconds since the epoch, UTC.
    rows
        How many ticks that were.
    is_complete
        Whether that is the whole day: a later one has begun.
    """

    next_sequence: int = 0
    until: int = 0
    rows: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A day of a table.

    Parameters
    ----------
    day
        The trading day in India.
    progress
        Recorder → how far its journal has been published.
    published
        Files as they were published: a quarter of an hour each, by instrument and arrival.
    by_instrument
        The tidied day, by instrument and arrival; disjoint ranges of instruments.
    by_time
        The same rows once more, by minute, then instrument and arrival; empty where they are not
        kept in both orders.
    beside
        What is beside the ticks (``"gaps"``, ``"orders"``, ``"events"``, ``"instruments"``,
        ``"last"``) → recorder → its file.
    retired
        Files that were replaced and may still be read.
    """

    day: str
    progress: Mapping[str, Progress] = field(default_factory=dict)
    published: tuple[TableFile, ...] = ()
    by_instrument: tuple[TableFile, ...] = ()
    by_time: tuple[TableFile, ...] = ()
    beside: Mapping[str, Mapping[str, TableFile]] = field(default_factory=dict)
    retired: tuple[Retired, ...] = ()

    @property
    def rows(self) -> int:
        """How many ticks the day has."""
        return sum(file.rows for file in (*self.published, *self.by_instrument))

    def files(self, *, in_time_order: bool = False) -> tuple[TableFile, ...]:
        """Return the files that are all the ticks of the day, each once."""
        tidied = self.by_time if in_time_order and self.by_time else self.by_instrument
        return (*tidied, *self.published)

    def current(self, kind: str) -> list[TableFile] | None:
        """Return the files of a kind beside the ticks; None unless they cover all that is there.

        They are written after the ticks, so publishing may have been killed in between.
        """
        files = self.beside.get(kind, {})
        is_current = all(
            recorder in files and files[recorder].last + 1 >= progress.next_sequence
            for recorder, progress in self.progress.items()
        )
        return list(files.values()) if is_current else None

    def names(self) -> set[str]:
        """Return the names of all files that it names."""
        ticks = (*self.published, *self.by_instrument, *self.by_time)
        beside = (file for files in self.beside.values() for file in files.values())
        return {file.name for file in (*ticks, *beside)} | {file.name for file in self.retired}

    def encode(self) -> bytes:
        """Return it as JSON."""
        content = {"format": FORMAT, "version": TABLE_VERSION, **asdict(self)}
        return json.dumps(content, indent=1).encode()

    @classmethod
    def decode(cls, data: bytes, path: str) -> Manifest:
        """Read what `encode` wrote.

        Raises
        ------
        TableError
            When it is damaged, or of a newer version.
        """
        try:
            content = json.loads(data)
            if content["format"] != FORMAT:
                raise TableError("this is not a manifest of kitepolars", path=path)
            version = int(content["version"])
            if version > TABLE_VERSION:
                raise TableError(
                    f"version {version} of the table is newer than this kitepolars, which reads "
                    f"up to version {TABLE_VERSION}: upgrade it with pip install -U kitepolars",
                    path=path,
                )
            return cls(
                day=content["day"],
                progress={name: Progress(**one) for name, one in content["progress"].items()},
                published=_files(content["published"]),
                by_instrument=_files(content["by_instrument"]),
                by_time=_files(content["by_time"]),
                beside={
                    kind: {name: _file(one) for name, one in files.items()}
                    for kind, files in content["beside"].items()
                },
                retired=tuple(Retired(**one) for one in content["retired"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(
                f"the manifest is damaged ({error!r}): delete it and publish the day again",
                path=path,
            ) from None


def _file(content: Mapping[str, Any]) -> TableFile:
    read = TableFile(**content)
    return replace(
        read,
        tokens=(read.tokens[0], read.tokens[1]),
        times=(read.times[0], read.times[1]),
    )


def _files(content: list[Mapping[str, Any]]) -> tuple[TableFile, ...]:
    return tuple(map(_file, content))


def retire(names: Iterable[str]) -> tuple[Retired, ...]:
    """Return files that are no part of the day from now on."""
    return tuple(Retired(name=name, at=time.time()) for name in names)


class Table:
    """A table of days in a folder or a bucket.

    Parameters
    ----------
    path
        A folder, or an ``s3://`` URL.
    storage_options
        Settings of the object store; by default those of the environment.
    """

    def __init__(
        self, path: str | os.PathLike[str], storage_options: StorageOptions | None = None
    ) -> None:
        self.path = os.fspath(path)
        self.storage: Storage = open_storage(path, storage_options)

    def __repr__(self) -> str:
        """Say where it is."""
        return f"Table({self.path!r})"

    def days(self) -> list[dt.date]:
        """Return the days that it may have, by its folders, in order; `manifest` is certain."""
        found = [name for name in self.storage.folders() if DAY_FOLDER.fullmatch(name)]
        return [dt.date.fromisoformat(name) for name in found]

    def manifest(self, day: dt.date) -> Manifest | None:
        """Return what a day is now, or None if the table does not have it."""
        return self._read(day)[0]

    def update(self, day: dt.date, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Replace a day's manifest by what `change` makes of it; return that.

        `change` is called again if another process has replaced the manifest meanwhile.
        """
        while True:
            before, version = self._read(day)
            after = change(before or Manifest(day=day.isoformat()))
            if before == after:
                return after
            if self.storage.replace(_manifest_name(day), after.encode(), version):
                return after

    def read(self, file: TableFile) -> pl.DataFrame:
        """Return the content of a file."""
        return self.scan([file]).collect()

    def scan(self, files: Iterable[TableFile]) -> pl.LazyFrame:
        """Return the content of files of the same columns, to be read when it is collected."""
        names = [self.storage.url(file.name) for file in files]
        options = self.storage.options
        return pl.scan_parquet(
            names, glob=False, storage_options=None if options is None else dict(options)
        )

    def _read(self, day: dt.date) -> tuple[Manifest | None, str | None]:
        name = _manifest_name(day)
        stored = self.storage.read(name)
        if stored is None:
            return None, None
        return Manifest.decode(stored.data, self.storage.url(name)), stored.version


def table_path(table: str | os.PathLike[str]) -> str:
    """Return a table's folder or URL as another process can use it, which is to write there.

    Raises
    ------
    TableError
        When it can be neither, or what writes it is not installed.
    """
    pyarrow_parquet()
    open_storage(table)
    path = os.fspath(table)
    return path if "://" in path else str(Path(path).absolute())


def _manifest_name(day: dt.date) -> str:
    return f"{day.isoformat()}/{MANIFEST}"
