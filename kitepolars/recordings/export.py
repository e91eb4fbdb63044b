"""A recording → a file of another format, written batch by batch in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from kitepolars.errors import ConfigError, KitePolarsError
from kitepolars.frames.schema import SCHEMA
from kitepolars.journal.reader import between
from kitepolars.recordings.ticks import TickReader


def export(recording: Path, out: Path) -> None:
    """Write the ticks of a recording to a file, which appears when it is complete.

    Parameters
    ----------
    recording
        The recording's folder, a day's folder in it, or a segment.
    out
        A file ending in ``.parquet`` or ``.csv`` that does not exist yet.

    Raises
    ------
    ConfigError
        When `out` exists, or has another ending.
    JournalError
        When there is no recording.
    KitePolarsError
        When PyArrow is needed and not installed.
    """
    write = FORMATS.get(out.suffix)
    if write is None:
        raise ConfigError("out", str(out), f"a file name that ends in {' or '.join(FORMATS)}")
    if out.exists():
        raise ConfigError("out", str(out), "a file that does not exist yet")
    unfinished = out.with_name(f".{out.name}.tmp")
    try:
        write(_ticks(recording), unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _ticks(recording: Path) -> Iterator[pl.DataFrame]:
    reader = TickReader()
    for segment in between(recording):
        for batch in reader.read(segment):
            yield batch.ticks
    for batch in reader.finish():
        yield batch.ticks


def _write_parquet(ticks: Iterator[pl.DataFrame], path: Path) -> None:
    """Write a row group per batch, with a checksum per page, which Polars does not write.

    The file also contains the Arrow schema, from which Polars restores every dtype exactly.
    """
    try:
        from pyarrow import parquet  # noqa: PLC0415 - optional
    except ImportError:
        raise KitePolarsError(
            "exporting Parquet needs PyArrow: pip install 'kitepolars[parquet]'"
        ) from None
    # the oldest level, because PyArrow cannot write string views
    level = pl.CompatLevel.oldest()
    schema = SCHEMA.to_frame().to_arrow(compat_level=level).schema
    with parquet.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as file:
        for batch in ticks:
            file.write_table(batch.to_arrow(compat_level=level))


def _write_csv(ticks: Iterator[pl.DataFrame], path: Path) -> None:
    """Write a column per level of the order book, because CSV has no lists."""
    levels = [
        pl.col(name).arr.get(level).alias(f"{name}_{level + 1}")
        for name, dtype in SCHEMA.items()
        if isinstance(dtype, pl.Array)
        for level in range(dtype.size)
    ]
    plain = [name for name, dtype in SCHEMA.items() if not isinstance(dtype, pl.Array)]
    with path.open("wb") as file:
        SCHEMA.to_frame().select(*plain, *levels).write_csv(file)
        for batch in ticks:
            batch.select(*plain, *levels).write_csv(file, include_header=False)


FORMATS: Final[Mapping[str, Callable[[Iterator[pl.DataFrame], Path], None]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
"""File ending → the function that writes it."""
