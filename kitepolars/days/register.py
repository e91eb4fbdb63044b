"""A table of days as a Delta table, for engines that want one. Calling thread.

Delta has no unsigned integers, arrays, categories and time zones. The log says wider integers,
lists, text and UTC instead, and readers that follow it convert what they read. Polars' own reader
compares the files' dtypes with the log's and refuses, so for it, as for others that do, there is
the copy.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from polars._typing import PolarsDataType

from kitepolars.days.manifest import Table, TableFile
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.days.scan import manifests
from kitepolars.errors import TableError

if TYPE_CHECKING:
    from types import ModuleType

_WIDER: Final[Mapping[pl.DataType, pl.DataType]] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}
"""Delta has no unsigned integers; these hold every value."""

_DAY_COLUMN: Final = "day"
"""The column by which the Delta table is partitioned."""


def register_delta(table: Table) -> tuple[int, int]:
    """Make a table's own files a Delta table: its log is put beside the days.

    No tick is copied. After publishing or tidying, the log is brought up to date by another call;
    until then it names files that tidying may have removed.

    Returns
    -------
    tuple of int
        How many files were added to the log, and how many removed from it.

    Raises
    ------
    TableError
        When deltalake is not installed, or there is no table.
    """
    delta = _deltalake(table.path)
    files = {file.name: (day, file) for day, file in _files(table)}
    options = dict(table.storage.options or {}) or None
    known = set()
    if delta.DeltaTable.is_deltatable(table.path, storage_options=options):
        existing = delta.DeltaTable(table.path, storage_options=options)
        known = set(pl.DataFrame(existing.get_add_actions(flatten=True))["path"])
    new = [_added(delta, day, file) for name, (day, file) in files.items() if name not in known]
    gone = [_removed(delta, name) for name in sorted(known - files.keys())]
    schema = delta.Schema.from_arrow(_arrow_schema())
    if not known:
        delta.transaction.create_table_with_add_actions(
            table.path, schema, new, partition_by=[_DAY_COLUMN], storage_options=options
        )
    elif new or gone:
        existing.create_write_transaction([*new, *gone], "append", schema, [_DAY_COLUMN])
    return len(new), len(gone)


def copy_to_delta(table: Table, to: str | os.PathLike[str]) -> int:
    """Write every tick of a table to a new Delta table, a file at a time; return how many.

    Raises
    ------
    TableError
        When deltalake is not installed, or there is a table already.
    """
    place = os.fspath(to)
    delta = _deltalake(place)
    if delta.DeltaTable.is_deltatable(place):
        raise TableError("there is a Delta table already: name another folder", path=place)
    rows = 0
    for day, file in _files(table):
        ticks = _plain_frame(table.read(file), day)
        delta.write_deltalake(place, ticks.to_arrow(), mode="append", partition_by=[_DAY_COLUMN])
        rows += ticks.height
    return rows


def _deltalake(path: str) -> ModuleType:
    try:
        import deltalake.transaction  # noqa: PLC0415 - an extra
    except ImportError:
        raise TableError(
            "a Delta table needs deltalake: pip install 'kitepolars[delta]'", path=path
        ) from None
    return deltalake


def _files(table: Table) -> Iterator[tuple[str, TableFile]]:
    """Yield the files of all days, each with its day."""
    for manifest in manifests(table):
        for file in manifest.files():
            yield manifest.day, file


def _added(delta: ModuleType, day: str, file: TableFile) -> Any:
    least, greatest = ({"instrument_token": token} for token in file.tokens)
    statistics = {"numRecords": file.rows, "minValues": least, "maxValues": greatest}
    return delta.transaction.AddAction(
        path=file.name,
        size=file.bytes,
        partition_values={_DAY_COLUMN: day},
        modification_time=_now_ms(),
        data_change=True,
        stats=json.dumps({**statistics, "nullCount": {"instrument_token": 0}}),
    )


def _removed(delta: ModuleType, name: str) -> Any:
    day = name.partition("/")[0]
    return delta.transaction.RemoveAction(
        path=name,
        data_change=True,
        deletion_timestamp=_now_ms(),
        partition_values={_DAY_COLUMN: day},
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain_frame(ticks: pl.DataFrame, day: str) -> pl.DataFrame:
    columns: Iterable[pl.Expr] = (_plain(name) for name in TABLE_SCHEMA)
    return ticks.select(*columns, pl.lit(day).alias(_DAY_COLUMN))


def _arrow_schema() -> Any:
    """Return the columns of the Delta table as Arrow has them, with its most common types."""
    table = _plain_frame(TABLE_SCHEMA.to_frame(), "").to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.schema


def _plain(name: str) -> pl.Expr:
    """Return a column in the nearest dtype that Delta has."""
    dtype, column = TABLE_SCHEMA[name], pl.col(name)
    if isinstance(dtype, pl.Array):
        return column.cast(pl.List(_wider(dtype.inner)))
    if isinstance(dtype, pl.Datetime):
        return column.dt.convert_time_zone("UTC")
    if dtype in {pl.Categorical, pl.Enum}:
        return column.cast(pl.String)
    return column.cast(_wider(dtype))


def _wider(dtype: object) -> PolarsDataType:
    """Return the dtype, or the next wider one; the elements of arrays may be classes."""
    known = dtype() if isinstance(dtype, type) else dtype
    return next((wider for narrow, wider in _WIDER.items() if narrow == known), known)  # type: ignore[return-value]
