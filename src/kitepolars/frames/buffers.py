"""Append-only columnar buffers. Written by one thread; read by any, below the published length.

A buffer's columns are the arrays that Polars will share: a row that has been
published is never written again. What NumPy cannot express, nulls and bits,
is kept in bitmaps beside the values; which columns are null follows from a
row's packet layout, so a few bitmaps serve all columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.frames.arrow import RecordBatch
from kitepolars.frames.bitmap import Bitmap
from kitepolars.frames.schema import SCHEMA
from kitepolars.wire.decode import SIDES, Target
from kitepolars.wire.layouts import DEPTH_LEVELS, LAYOUTS, MODES, TIME_FIELDS, Layout

SLOT: Final = "symbol"
"""The column that holds an instrument's slot until the frame is made."""

MODE_CODE: Final = "mode"
"""The column that holds the mode's code until the frame is made."""

_NAMES: Final = {SLOT: np.dtype(np.uint32), MODE_CODE: np.dtype(np.uint8)}
"""Columns that are turned into names when a frame is made, and do not outlive their buffer."""

_SHARED: Final = {name: dtype for name, dtype in SCHEMA.items() if name not in _NAMES}
"""Columns whose memory is shared with frames."""

_SLOT_POSITION: Final = list(SCHEMA).index(SLOT)
_MODE_POSITION: Final = list(SCHEMA).index(MODE_CODE)

_NUMPY: Final[Mapping[type[pl.DataType], str]] = {
    pl.Datetime: "i8",
    pl.Float64: "f8",
    pl.UInt8: "u1",
    pl.UInt16: "u2",
    pl.UInt32: "u4",
}

BLOCK_ROWS: Final = 16_384
"""Rows of a growing buffer that are made into a frame once and for all."""

_ALIGNMENT: Final = 64  # a cache line

_MODE_BY_LAYOUT: Final = np.array([MODES.index(layout.mode) for layout in LAYOUTS], np.uint8)


def _has_field(layout: Layout, column: str) -> bool:
    return column in layout.fields or (layout.depth and column.startswith(SIDES))


def _filled_by(column: str) -> tuple[bool, ...]:
    """Return, by layout code, whether packets of that layout fill a column."""
    return tuple(_has_field(layout, column) for layout in LAYOUTS)


_OPTIONAL: Final = {
    column: filled
    for column in SCHEMA
    if any(filled := _filled_by(column)) and (column in TIME_FIELDS or not all(filled))
}
"""The columns that may be null, and which layouts fill them."""

_GROUP: Final = {
    column: column if column in TIME_FIELDS else f"{filled}" for column, filled in _OPTIONAL.items()
}
"""The columns that are null together share a bitmap. A time may also be null by itself."""

_GROUP_FILLED: Final = {group: _OPTIONAL[column] for column, group in _GROUP.items()}

_FILLED: Final = np.array(list(_GROUP_FILLED.values()), np.uint8)
"""By group, then by layout code: whether packets of that layout fill the group's columns."""


class TickBuffer:
    """Preallocated columns for a number of ticks.

    Parameters
    ----------
    capacity
        Rows.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        """Rows that are published. Only the writer changes it, after the rows are complete."""
        self.columns = _allocate(capacity)
        self.target = Target(self.columns)
        """The columns, to decode into."""
        self.valid = {group: Bitmap(capacity) for group in _GROUP_FILLED}
        """By group of columns, the rows in which they are not null."""
        self.is_snapshot = Bitmap(capacity)
        self._times = np.array(
            [
                native.address(self.columns[group]) if group in TIME_FIELDS else 0
                for group in self.valid
            ],
            np.uint64,
        )
        self._bitmaps = np.array(
            [native.address(bitmap.bytes) for bitmap in self.valid.values()], np.uint64
        )
        self._modes_seen = 0  # a bit each
        self._blocks: tuple[int, tuple[pl.DataFrame, ...]] = (0, ())
        self._batch = RecordBatch(
            _SHARED,
            [
                self.is_snapshot.bytes if column == "is_snapshot" else self.columns[column]
                for column in _SHARED
            ],
            [self.valid[_GROUP[column]].bytes if column in _GROUP else None for column in _SHARED],
        )

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return self.capacity - self.length

    def bitmaps(self) -> tuple[Bitmap, ...]:
        """Return all bitmaps, in an order of their own."""
        return (*self.valid.values(), self.is_snapshot)

    def close(self) -> None:
        """Publish all rows, when columns and bitmaps have been written by somebody else."""
        modes = np.flatnonzero(np.bincount(self.columns[MODE_CODE], minlength=1))
        self._modes_seen = sum(1 << mode for mode in modes.tolist())
        self.length = self.capacity

    def publish(self, codes: npt.NDArray[np.uint8], is_snapshot: npt.NDArray[np.bool_]) -> None:
        """Publish rows whose columns have been written behind the published length.

        Parameters
        ----------
        codes
            The layout code of each new row, which says what is null in it.
        is_snapshot
            Whether each is the server's cached value.
        """
        start, stop = self.length, self.length + len(codes)
        if stop > self.capacity:
            raise IndexError(f"{len(codes)} rows are more than the {self.room} that fit")
        has_null = np.zeros(len(self.valid), np.uint8)
        modes = native.mark(
            codes,
            len(codes),
            start,
            _MODE_BY_LAYOUT,
            self.columns[MODE_CODE],
            len(LAYOUTS),
            len(self.valid),
            _FILLED,
            self._times,
            self._bitmaps,
            has_null,
        )
        self._modes_seen |= modes
        for bitmap, some in zip(self.valid.values(), has_null.tolist(), strict=True):
            bitmap.has_zero = bitmap.has_zero or some != 0
        if is_snapshot.any():
            self.is_snapshot.write(start, is_snapshot)
        self.length = stop

    def frame(self, start: int, stop: int, symbols: pl.Series, modes: pl.Series) -> pl.DataFrame:
        """Return rows as a DataFrame that shares the buffer's memory. Any thread.

        Parameters
        ----------
        start, stop
            The rows, none beyond the published length.
        symbols
            The Categorical symbol of each slot.
        modes
            The Enum value of each mode code.
        """
        complete = [
            position
            for position, column in enumerate(_SHARED)
            if column in _GROUP and not self.valid[_GROUP[column]].has_zero
        ]
        begin = start // 8 * 8
        frame = self._batch.frame(begin, stop, complete).slice(start - begin)
        slots = pl.Series(self.columns[SLOT][start:stop])
        frame.insert_column(_SLOT_POSITION, symbols[slots].alias(SLOT))
        frame.insert_column(_MODE_POSITION, self._modes(start, stop, modes).alias(MODE_CODE))
        return frame

    def growing(self, stop: int, symbols: pl.Series, modes: pl.Series, naming: int) -> pl.DataFrame:
        """Return the first rows of a buffer that still grows. Any thread.

        Polars takes a while to take in columns of arrays that have nulls, so then the rows are
        taken in block by block, and only the last block anew each time.

        Parameters
        ----------
        stop, symbols, modes
            As for `frame`.
        naming
            Changes when instruments get other names, not when there are more of them.
        """
        if not self.valid[_GROUP["bid_price"]].has_zero or stop <= BLOCK_ROWS:
            return self.frame(0, stop, symbols, modes)
        known, blocks = self._blocks
        if known != naming:
            blocks = ()
        for start in range(len(blocks) * BLOCK_ROWS, stop // BLOCK_ROWS * BLOCK_ROWS, BLOCK_ROWS):
            blocks += (self.frame(start, start + BLOCK_ROWS, symbols, modes),)
        self._blocks = naming, blocks
        whole = blocks[: stop // BLOCK_ROWS]
        rest = self.frame(len(whole) * BLOCK_ROWS, stop, symbols, modes)
        return pl.concat([*whole, rest])

    def _modes(self, start: int, stop: int, modes: pl.Series) -> pl.Series:
        if self._modes_seen.bit_count() == 1:
            return modes.new_from_index(self._modes_seen.bit_length() - 1, stop - start)
        return modes[pl.Series(self.columns[MODE_CODE][start:stop])]

    def last_rows(self, stop: int, slots: int) -> npt.NDArray[np.int64]:
        """Return, for each slot, its last row among the first `stop`, or -1. Any thread."""
        last = np.full(slots, -1, np.int64)
        last[self.columns[SLOT][:stop]] = np.arange(stop)  # of several, the last one stays
        return last


def merge_latest(settled: TickBuffer, live: TickBuffer, stop: int, slots: int) -> TickBuffer:
    """Return a buffer with the last tick of each instrument, in the order of their slots.

    Callable from any thread.

    Parameters
    ----------
    settled
        The last ticks of an earlier moment, one row an instrument.
    live
        The buffer that goes on from there.
    stop
        How many of its rows to look at.
    slots
        How many instruments there are.
    """
    old, new = settled.last_rows(settled.length, slots), live.last_rows(stop, slots)
    present = np.flatnonzero((old >= 0) | (new >= 0))
    fresh = np.flatnonzero(new[present] >= 0)
    rows, fresh_rows = np.maximum(old[present], 0), new[present[fresh]]
    merged = TickBuffer(len(present))
    for name, column in merged.columns.items():
        if len(fresh) == len(present):
            np.take(live.columns[name], fresh_rows, axis=0, out=column, mode="clip")
            continue
        np.take(settled.columns[name], rows, axis=0, out=column, mode="clip")
        column[fresh] = live.columns[name].take(fresh_rows, axis=0)
    for bits, before, after in zip(
        merged.bitmaps(), settled.bitmaps(), live.bitmaps(), strict=True
    ):
        chosen = before.at(rows) if len(fresh) < len(present) else np.zeros(len(rows), np.bool_)
        chosen[fresh] = after.at(fresh_rows)
        bits.write(0, chosen)
    merged.close()
    return merged


def _shape(dtype: pl.DataType, capacity: int) -> tuple[str, tuple[int, ...]]:
    """Return the NumPy dtype and shape of a column."""
    if isinstance(dtype, pl.Array):
        inner: Any = dtype.inner
        return _NUMPY[inner], (capacity, DEPTH_LEVELS)
    return _NUMPY[type(dtype)], (capacity,)


def _allocate(capacity: int) -> dict[str, npt.NDArray[Any]]:
    """Allocate the columns, zeroed, in one piece.

    The system gives the memory when it is first written, and gives one large piece in pages of
    2 MiB instead of 4 KiB, which costs a fifth.
    """
    shapes = {
        name: _shape(dtype, capacity)
        for name, dtype in _SHARED.items()
        if not isinstance(dtype, pl.Boolean)
    }
    sizes = [np.dtype(kind).itemsize * math.prod(shape) for kind, shape in shapes.values()]
    places = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)])
    slab = np.zeros(places[-1], np.uint8)
    shared = {
        name: slab[start : start + size].view(kind).reshape(shape)
        for (name, (kind, shape)), start, size in zip(shapes.items(), places, sizes, strict=False)
    }
    return shared | {name: np.zeros(capacity, dtype) for name, dtype in _NAMES.items()}
