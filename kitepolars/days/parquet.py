"""Ticks → Parquet files, each column in the encoding that suits it. Any thread.

The dtypes of `SCHEMA` are kept in the file (Arrow's own schema, which Polars reads), so every
column comes back as it was, categories and arrays included. Pages have checksums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from kitepolars.errors import TableError
from kitepolars.frames.schema import SCHEMA as TICKS

if TYPE_CHECKING:
    from types import ModuleType

TABLE_SCHEMA: Final = pl.Schema({**TICKS, "recorder": pl.Categorical(), "sequence": pl.UInt64()})
"""Column → dtype of a table: those of ``frame()``, then where a tick is in which journal."""

ZSTD_LEVEL: Final = 1
"""Of zstd. Level 3 makes files 3 % smaller."""

PRUNED_BY: Final = ("instrument_token", "symbol", "received_at", "exchange_timestamp", "sequence")
"""The columns whose least and greatest values are kept: others are spread over every row group."""

_REPEATED: Final = frozenset(
    {
        "last_traded_quantity",
        *("open", "high", "low", "close"),
        "price_change",
        "last_trade_time",
        *("oi_day_high", "oi_day_low"),
    }
)
"""Columns whose value is mostly that of the instrument's tick before."""

_ROWS_ENCODED: Final = 8_192
"""Rows that are handed to the encoder of a column at a time."""


def pyarrow_parquet() -> ModuleType:
    """Return ``pyarrow.parquet``.

    Raises
    ------
    TableError
        When it is not installed.
    """
    try:
        import pyarrow.parquet as module  # noqa: PLC0415 - an extra
    except ImportError:
        raise TableError(
            "writing Parquet needs pyarrow: pip install 'kitepolars[days]'", path="pyarrow"
        ) from None
    return module  # type: ignore[no-any-return]


def write_groups(path: Path, groups: Iterable[pl.DataFrame]) -> None:
    """Write ticks in the order of a table, a row group for each frame."""
    _write(path, groups, TABLE_SCHEMA)


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a small frame of other columns than ticks have."""
    _write(path, [frame], frame.schema)


def _write(path: Path, groups: Iterable[pl.DataFrame], schema: pl.Schema) -> None:
    parquet = pyarrow_parquet()
    leaves = {_leaf(name, dtype): _encoding(name, dtype) for name, dtype in schema.items()}
    encodings = {leaf: encoding for leaf, encoding in leaves.items() if encoding is not None}
    dictionaries = [leaf for leaf, encoding in leaves.items() if encoding is None]
    writer: Any = None
    try:
        for group in groups:
            table = group.to_arrow()
            if writer is None:
                writer = parquet.ParquetWriter(
                    path,
                    table.schema,
                    compression="zstd",
                    compression_level=ZSTD_LEVEL,
                    use_dictionary=dictionaries,
                    column_encoding=encodings,
                    write_page_checksum=True,
                    write_statistics=[name for name in PRUNED_BY if name in schema],
                    write_batch_size=_ROWS_ENCODED,
                )
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    finally:
        if writer is not None:
            writer.close()


def _encoding(name: str, dtype: pl.DataType) -> str | None:
    """Return the encoding of a column's values; None where a dictionary is best.

    Tried with a sorted quarter of an hour. Prices that move are smallest, and read fastest, as they
    are: zstd finds what is repeated. So are those of the depth, which differ by a tick or two.
    """
    inner = pl.Series(dtype=dtype.inner).dtype if isinstance(dtype, pl.Array) else dtype
    if name in _REPEATED or dtype in {pl.Categorical, pl.Enum, pl.UInt8}:
        return None
    if inner.is_float() or dtype == pl.Boolean:
        return "PLAIN"
    if isinstance(dtype, pl.Array):
        return "BYTE_STREAM_SPLIT" if inner == pl.UInt16 else None
    return "DELTA_BINARY_PACKED" if dtype.is_temporal() or dtype.is_integer() else None


def _leaf(name: str, dtype: pl.DataType) -> str:
    """Return the name that Parquet has for the values of a column."""
    return f"{name}.list.element" if isinstance(dtype, pl.Array | pl.List) else name


def ends(values: Sequence[int] | pl.Series) -> tuple[int, int]:
    """Return the least and the greatest."""
    series = pl.Series(values)
    return int(series.min()), int(series.max())  # type: ignore[arg-type]
