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

from kitepolars.frames.arrow import RecordBatch
from kitepolars.frames.schema import SCHEMA
from kitepolars.wire.decode import SIDES
from kitepolars.wire.layouts import DEPTH_LEVELS, LAYOUTS, MODES, TIME_FIELDS, Layout

SLOT: Final = "symbol"
"""The column that holds an instrument's slot until the frame is made."""

MODE_CODE: Final = "mode"
"""The column that holds the mode's code until the frame is made."""

_STORAGE: Final = {**SCHEMA, SLOT: pl.UInt32(), MODE_CODE: pl.UInt8()}
_SLOT_POSITION: Final = list(_STORAGE).index(SLOT)
_MODE_POSITION: Final = list(_STORAGE).index(MODE_CODE)

_NUMPY: Final[Mapping[type[pl.DataType], str]] = {
    pl.Datetime: "i8",
    pl.Float64: "f8",
    pl.UInt8: "u1",
    pl.UInt16: "u2",
    pl.UInt32: "u4",
}

_ALIGNMENT: Final = 64  # a cache line
_ALL_ONES: Final = 0xFF

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

_GROUP_FILLED: Final = {group: np.array(_OPTIONAL[column]) for column, group in _GROUP.items()}


class Bitmap:
    """Bits that grow, least significant bit first, as Arrow has them.

    Parameters
    ----------
    capacity
        How many bits there is room for. They begin as zeros.
    """

    def __init__(self, capacity: int) -> None:
        self.bytes = np.zeros((capacity + 7) // 8, np.uint8)
        self.has_zero = False

    def write(self, start: int, bits: npt.NDArray[np.bool_]) -> None:
        """Write bits from position `start` on. The bits before it keep their values."""
        self.has_zero = self.has_zero or not bits.all()
        byte, lead = divmod(start, 8)
        if lead:
            before = np.unpackbits(self.bytes[byte : byte + 1], bitorder="little")[:lead]
            bits = np.concatenate([before.view(np.bool_), bits])
        packed = np.packbits(bits, bitorder="little")
        self.bytes[byte : byte + len(packed)] = packed

    def fill(self, start: int, stop: int, *, bit: bool) -> None:
        """Write one bit to all positions from `start` to before `stop`."""
        if not bit:
            self.has_zero = True  # the bits are zeros from the beginning
            return
        first, last = -(-start // 8), stop // 8
        if first >= last:
            self.write(start, np.ones(stop - start, np.bool_))
            return
        self.write(start, np.ones(8 * first - start, np.bool_))
        self.bytes[first:last] = _ALL_ONES
        self.write(8 * last, np.ones(stop - 8 * last, np.bool_))


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
        self._valid = {group: Bitmap(capacity) for group in _GROUP_FILLED}
        self._snapshot = Bitmap(capacity)
        self._batch = RecordBatch(
            _STORAGE,
            [
                self._snapshot.bytes if column == "is_snapshot" else self.columns[column]
                for column in _STORAGE
            ],
            [
                self._valid[_GROUP[column]].bytes if column in _GROUP else None
                for column in _STORAGE
            ],
        )

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return self.capacity - self.length

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
        if (codes == codes[0]).all():
            self._mark_alike(start, stop, codes[0])
        else:
            self._mark(start, stop, codes)
        if is_snapshot.any():
            self._snapshot.write(start, is_snapshot)
        self.length = stop

    def _mark_alike(self, start: int, stop: int, code: int) -> None:
        """Note the mode and the nulls of rows of one layout."""
        self.columns[MODE_CODE][start:stop] = _MODE_BY_LAYOUT[code]
        for group, filled in _GROUP_FILLED.items():
            valid = self._valid[group]
            if filled[code] and group in TIME_FIELDS:
                valid.write(start, self.columns[group][start:stop] != 0)
            else:
                valid.fill(start, stop, bit=bool(filled[code]))

    def _mark(self, start: int, stop: int, codes: npt.NDArray[np.uint8]) -> None:
        """Note the modes and the nulls of rows of several layouts."""
        self.columns[MODE_CODE][start:stop] = _MODE_BY_LAYOUT[codes]
        for group, filled in _GROUP_FILLED.items():
            valid = filled[codes]
            if group in TIME_FIELDS:
                valid &= self.columns[group][start:stop] != 0
            self._valid[group].write(start, valid)

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
        return _named(self._raw(stop).slice(start), symbols, modes)

    def last_rows(self, stop: int, slots: int) -> npt.NDArray[np.int64]:
        """Return, for each slot, its last row among the first `stop`, or -1. Any thread."""
        last = np.full(slots, -1, np.int64)
        last[self.columns[SLOT][:stop]] = np.arange(stop)  # of several, the last one stays
        return last

    def pick(
        self, rows: npt.NDArray[np.int64], stop: int, symbols: pl.Series, modes: pl.Series
    ) -> pl.DataFrame:
        """Return copies of some of the first `stop` rows. Any thread."""
        return _named(self._raw(stop)[rows], symbols, modes)

    def _raw(self, stop: int) -> pl.DataFrame:
        """Return the first rows with slots in place of symbols and codes in place of modes."""
        complete = [
            position
            for position, column in enumerate(_STORAGE)
            if column in _GROUP and not self._valid[_GROUP[column]].has_zero
        ]
        return self._batch.frame(stop, complete)


def _named(frame: pl.DataFrame, symbols: pl.Series, modes: pl.Series) -> pl.DataFrame:
    """Put symbols in the place of slots, and modes in that of their codes."""
    frame.replace_column(_SLOT_POSITION, symbols[frame[SLOT]].alias(SLOT))
    frame.replace_column(_MODE_POSITION, modes[frame[MODE_CODE]].alias(MODE_CODE))
    return frame


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
        for name, dtype in _STORAGE.items()
        if not isinstance(dtype, pl.Boolean)
    }
    sizes = [np.dtype(kind).itemsize * math.prod(shape) for kind, shape in shapes.values()]
    places = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)])
    slab = np.zeros(places[-1], np.uint8)
    return {
        name: slab[start : start + size].view(kind).reshape(shape)
        for (name, (kind, shape)), start, size in zip(shapes.items(), places, sizes, strict=False)
    }
