"""Ticks as the columns that the pass over them reads, wherever they lie: nothing is copied."""

from __future__ import annotations

import ctypes
import functools
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.analytics.bars import Clock
from kitepolars.analytics.candle_structs import READ, CursorStruct
from kitepolars.analytics.columns import check_time, require
from kitepolars.frames.buffers import SLOT, Rows
from kitepolars.frames.schema import SCHEMA

_TIME_COLUMNS: Final = ("exchange_timestamp", "received_at", "last_trade_time")
_CHUNK_LENGTH, _CHUNK_OFFSET, _CHUNK_BUFFERS = 0, 2, 5  # words of an Arrow array

_stream_of: Final = ctypes.pythonapi.PyCapsule_GetPointer
_stream_of.restype = ctypes.c_void_p
_stream_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


class TickColumns:
    """Ticks that a pass reads, and the symbols of their rows.

    Parameters
    ----------
    symbols
        The Categorical symbol of each row, or of each slot; None if they are not known.
    slots
        The slot of each row, where the symbols are those of slots.
    """

    def __init__(
        self, symbols: pl.Series | None, slots: npt.NDArray[np.uint32] | None = None
    ) -> None:
        self.cursor = CursorStruct()
        self.at = ctypes.byref(self.cursor)
        self._symbols = symbols
        self._slots = slots
        self._kept: list[object] = []

    def keep(self, *owners: object) -> None:
        """Keep what owns memory that the cursor points to."""
        self._kept += owners

    def names(self, rows: npt.NDArray[np.int64]) -> pl.Series:
        """Return the symbols of rows."""
        if self._symbols is None:
            return pl.Series("symbol", [None] * len(rows), pl.Categorical)
        return self._symbols[rows if self._slots is None else self._slots[rows]].alias("symbol")


class ColumnReader:
    """Finds the columns of ticks, of a frame or of a ticker's buffer.

    Parameters
    ----------
    on
        The time that bars are cut on.
    """

    def __init__(self, on: Clock) -> None:
        self._on: Clock = on
        self._names = [
            (place, on if field == "seen" else field)
            for place, field in enumerate(READ)
            if not (field == "received_at" and on == field)  # it is there as "seen"
        ]
        self._codes_of: pl.Series | None = None
        self._codes: npt.NDArray[np.uint32] = np.empty(0, np.uint32)  # of the symbols of slots

    def read(self, ticks: pl.DataFrame | Rows) -> TickColumns:
        """Return the columns of ticks; `ConfigError` where a frame lacks some."""
        return self._streams(ticks) if isinstance(ticks, pl.DataFrame) else self._in_place(ticks)

    def _streams(self, ticks: pl.DataFrame) -> TickColumns:
        """Return the columns of a frame as Arrow streams."""
        schema = check(ticks, self._on)
        symbols = _typed(ticks, schema, "symbol") if "symbol" in schema else None
        columns = TickColumns(symbols)
        for place, name in self._names:
            if name not in schema:
                continue
            codes = (
                symbols.to_physical()
                if name == "symbol" and symbols is not None
                else _typed(ticks, schema, name)
            )
            capsule = codes.__arrow_c_stream__()
            columns.keep(capsule)
            columns.cursor.columns[place].stream = _stream_of(capsule, b"arrow_array_stream")
        return columns

    def _in_place(self, rows: Rows) -> TickColumns:
        """Return the columns of a buffer as one chunk without a stream."""
        if rows.symbols is not self._codes_of:
            self._codes_of = rows.symbols
            self._codes = rows.symbols.to_physical().to_numpy()
        slots = rows.buffer.columns[SLOT][rows.start : rows.stop]
        codes = self._codes[slots]
        columns = TickColumns(rows.symbols, slots)
        buffers = np.array(
            [
                (0, native.address(codes)) if name == SLOT else rows.buffer.buffers_of(name)
                for _, name in self._names
            ],
            np.int64,
        )
        columns.keep(codes, buffers, rows.buffer)
        for row, (place, name) in enumerate(self._names):
            chunk = columns.cursor.columns[place].chunk
            chunk[_CHUNK_LENGTH] = rows.height
            chunk[_CHUNK_OFFSET] = 0 if name == SLOT else rows.start
            chunk[_CHUNK_BUFFERS] = native.address(buffers) + row * buffers.strides[0]
        return columns


def _typed(ticks: pl.DataFrame, schema: pl.Schema, name: str) -> pl.Series:
    """Return a column in the contract's dtype; its unit of time, whatever the zone."""
    column, dtype = ticks.get_column(name), schema[name]
    if isinstance(dtype, pl.Datetime):
        return column if dtype.time_unit == "us" else column.dt.cast_time_unit("us")
    return column if dtype == SCHEMA[name] else column.cast(SCHEMA[name])


def check(frame: pl.DataFrame | pl.LazyFrame, on: Clock) -> pl.Schema:
    """Return the schema of a frame that a `ColumnReader` can read.

    Raises
    ------
    ConfigError
        If columns are missing, or a time has no time zone.
    """
    schema = require(frame, ("instrument_token", "last_price"), "candles")
    if on not in schema:
        require(frame, ("received_at",), f"candles without {on}")
    for name in _TIME_COLUMNS:
        check_time(schema, name)
    return schema


@functools.cache
def fields(on: Clock) -> tuple[str, ...]:
    """Return the columns that a `ColumnReader` reads, where a frame has them."""
    names = {on, *READ}
    return tuple(name for name in SCHEMA if name in names)
