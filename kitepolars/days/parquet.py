"""Ticks → Parquet files, each column in the encoding that suits it. Any thread.

The dtypes of `SCHEMA` are kept in the file (Arrow's own schema, which Polars reads), so every
column comes back as it was, categories and arrays included. Pages have checksums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from kitepolars.errors import TableError
from kitepolars.frames.schema import SCHEMA as TICKS

if TYPE_CHECKING:
    from types import ModuleType

TABLE_SCHEMA: Final = pl.Schema({**TICKS, "recorder": pl.Categorical(), "sequence": pl.UInt64()})
"""Column → dtype of a table: those of ``frame()``, then where a tick is in which journal."""

ROW_GROUP: Final = 50_000
"""Rows of a group, about: a question about one instrument reads one or two."""

ZSTD_LEVEL: Final = 1
"""Of zstd. Level 3 makes files 3 % smaller."""

PRUNED_BY: Final = ("instrument_token", "symbol", "received_at", "exchange_timestamp", "sequence")
"""The columns whose least and greatest values are kept: others are spread over every row group."""

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


def write_sorted(path: Path, parts: Iterable[pl.DataFrame]) -> None:
    """Write ticks that are sorted by instrument and arrival; each part is a row group or more.

    No instrument that fits into a row group is in two of them.
    """
    _write(path, (group for part in parts for group in by_instrument_groups(part)), TABLE_SCHEMA)


def write_groups(path: Path, groups: Iterable[pl.DataFrame]) -> None:
    """Write ticks, a row group for each frame."""
    _write(path, groups, TABLE_SCHEMA)


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a small frame of other columns than ticks have."""
    _write(path, [frame], frame.schema)


def by_instrument_groups(ticks: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut sorted ticks where an instrument begins, into parts of about `ROW_GROUP` rows."""
    tokens = ticks["instrument_token"].to_numpy()
    begins = np.append(np.flatnonzero(np.diff(tokens)) + 1, len(tokens))
    start = 0
    while start < len(tokens):
        # the last begin within the size; where an instrument alone exceeds it, the size
        place = int(np.searchsorted(begins, start + ROW_GROUP, side="right")) - 1
        stop = int(begins[place]) if place >= 0 else 0
        if stop <= start:
            stop = min(start + ROW_GROUP, len(tokens))
        yield ticks[start:stop]
        start = stop


def _write(path: Path, groups: Iterable[pl.DataFrame], schema: pl.Schema) -> None:
    parquet = pyarrow_parquet()
    encodings = {name: code for name, dtype in schema.items() if (code := _encoding(dtype))}
    dictionaries = [
        _leaf(name, dtype)
        for name, dtype in schema.items()
        if name not in encodings and not _is_ladder(dtype)
    ]
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


def _encoding(dtype: pl.DataType) -> str | None:
    """Return the encoding of a scalar number or time, which pays where rows are sorted."""
    if dtype.is_float():
        return "BYTE_STREAM_SPLIT"
    if dtype.is_temporal() or (dtype.is_integer() and dtype != pl.UInt8):
        return "DELTA_BINARY_PACKED"
    return None


def _is_ladder(dtype: pl.DataType) -> bool:
    """Whether a column has the prices of the depth.

    Those of a row differ by a tick or two, so zstd alone makes them smaller than a dictionary
    does, in less time.
    """
    return isinstance(dtype, pl.Array) and pl.Series(dtype=dtype.inner).dtype.is_float()


def _leaf(name: str, dtype: pl.DataType) -> str:
    """Return the name that Parquet has for the values of a column."""
    return f"{name}.list.element" if isinstance(dtype, pl.Array | pl.List) else name


def conform(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return the columns of a schema, in its order and dtypes."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def ends(values: Sequence[int] | pl.Series) -> tuple[int, int]:
    """Return the least and the greatest."""
    series = pl.Series(values)
    return int(series.min()), int(series.max())  # type: ignore[arg-type]
