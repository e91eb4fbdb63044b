"""A table of days → a Delta table, for engines that want one. Calling thread."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import polars as pl
from polars._typing import PolarsDataType

from kitepolars.days.manifest import Table
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.days.scan import manifests
from kitepolars.errors import TableError

_WIDER: Final[Mapping[pl.DataType, pl.DataType]] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}
"""Delta has no unsigned integers; these hold every value."""


def register_delta(table: Table, to: str | os.PathLike[str]) -> int:
    """Write every tick of a table to a new Delta table, a file at a time; return how many.

    Delta has no unsigned integers, arrays, categories and time zones: they become wider integers,
    lists, text and UTC.

    Raises
    ------
    TableError
        When deltalake is not installed, or there is a table already.
    """
    try:
        from deltalake import DeltaTable, write_deltalake  # noqa: PLC0415 - an extra
    except ImportError:
        raise TableError(
            "a Delta table needs deltalake: pip install deltalake", path=os.fspath(to)
        ) from None
    place = os.fspath(to)
    if DeltaTable.is_deltatable(place):
        raise TableError("there is a Delta table already: name another folder", path=place)
    rows = 0
    for manifest in manifests(table):
        for file in manifest.files():
            ticks = table.read(file).select(_plain(name) for name in TABLE_SCHEMA)
            day = pl.lit(manifest.day).alias("day")
            write_deltalake(
                place,
                ticks.with_columns(day).to_arrow(),
                mode="append",
                partition_by=["day"],
            )
            rows += ticks.height
    return rows


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
