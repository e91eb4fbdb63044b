"""What analytics needs of a frame: its kind, its columns, its times. Pure.

A frame may be live, recorded or made by hand. Columns that a function does not
need may be missing; those that it can do without are filled in as null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA, TIME_ZONE

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
"""A DataFrame or a LazyFrame; what goes in comes out."""

_COLUMNS_SHOWN: Final = 12
"""Columns of the given frame that an error lists."""


def schema_of(frame: pl.DataFrame | pl.LazyFrame) -> pl.Schema:
    """Return the columns and dtypes; anything but a Polars frame is refused.

    Raises
    ------
    ConfigError
        If it is no Polars frame.
    """
    if isinstance(frame, (pl.DataFrame, pl.LazyFrame)):
        return frame.collect_schema()
    kind = type(frame).__name__
    raise ConfigError("frame", kind, "a polars DataFrame or LazyFrame, as ticker.frame() returns")


def require(frame: pl.DataFrame | pl.LazyFrame, names: Iterable[str], use: str) -> pl.Schema:
    """Return the schema of a frame that has the columns.

    Parameters
    ----------
    frame
        What was given.
    names
        The columns without which it cannot go.
    use
        What they are for, as the error says it.

    Raises
    ------
    ConfigError
        If some are missing; it names them.
    """
    schema = schema_of(frame)
    missing = [name for name in names if name not in schema]
    if missing:
        have = list(schema)[:_COLUMNS_SHOWN]
        lacking = f"the frame lacks columns for {use}: {', '.join(missing)}; it has {have}"
        raise ConfigError("frame", have, message=lacking)
    return schema


def column(schema: pl.Schema, name: str) -> pl.Expr:
    """Return a column as the contract's dtype, or nulls where the frame has none."""
    if name not in schema:
        return pl.lit(None, SCHEMA[name]).alias(name)
    return pl.col(name) if schema[name] == SCHEMA[name] else pl.col(name).cast(SCHEMA[name])


def check_time(schema: pl.Schema, name: str) -> None:
    """Raise `ConfigError` if a column is no time, or has no time zone.

    Without a zone, 5 h 30 min would be guesswork. A frame may lack the column.
    """
    dtype = schema.get(name)
    if dtype is not None and (not isinstance(dtype, pl.Datetime) or dtype.time_zone is None):
        expected = f"a Datetime with a time zone (.dt.replace_time_zone({TIME_ZONE!r}))"
        raise ConfigError(name, dtype, expected)
