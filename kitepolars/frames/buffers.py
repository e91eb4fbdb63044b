"""Append-only columnar buffers. Written by one thread; read by any, below the published length.

A buffer's columns are the arrays that Polars will share: a row that has been
published is never written again. What NumPy cannot express, nulls and bits,
is kept in bitmaps beside the values; which columns are null follows from a
row's packet layout, so a few bitmaps serve all columns.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
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

BLOCK_ROWS: Final = 32_768
"""Rows of a growing buffer that are made into a frame once and for all."""

_ALIGNMENT: Final = 64  # a cache line

_MODE_BY_LAYOUT: Final = native.Pinned(
    np.array([MODES.index(layout.mode) for layout in LAYOUTS], np.uint8)
)


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

_FILLED: Final = native.Pinned(np.array(list(_GROUP_FILLED.values()), np.uint8))
"""By group, then by layout code: whether packets of that layout fill the group's columns."""


class Slabs:
    """The memory of buffers, taken again once no frame shares it. One thread.

    A bounded history then goes on in memory that the process has already: what is new to a
    process costs the system a page fault, and zeros, wherever it is first written.

    Examples
    --------
    >>> slabs = Slabs()
    >>> first = slabs.take(64)
    >>> place = first.ctypes.data
    >>> slabs.take(64).ctypes.data == place
    False
    >>> del first
    >>> slabs.take(64).ctypes.data == place
    True
    """

    def __init__(self) -> None:
        self._leases: list[tuple[npt.NDArray[np.uint8], weakref.ref[npt.NDArray[np.uint8]]]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return so many bytes, zeros or what was in them before; free ones are kept no longer.

        Parameters
        ----------
        size
            Bytes.
        """
        free: list[npt.NDArray[np.uint8]] = []
        leases = []
        for slab, lease in self._leases:
            if lease() is None:
                free.append(slab)
            else:
                leases.append((slab, lease))
        fitting = [slab for slab in free if len(slab) == size]
        slab = fitting[0] if fitting else np.zeros(size, np.uint8)
        # Every view refers to this array: NumPy would pass over it, were it a view of the slab.
        leased = np.frombuffer(slab.data, np.uint8)
        self._leases = [*leases, (slab, weakref.ref(leased))]
        return leased


class TickBuffer:
    """Preallocated columns for a number of ticks.

    Parameters
    ----------
    capacity
        Rows.
    slabs
        Where its memory is from; new memory if not given.
    """

    def __init__(self, capacity: int, slabs: Slabs | None = None) -> None:
        self.capacity = capacity
        self.length = 0
        """Rows that are published. Only the writer changes it, after the rows are complete."""
        self.columns = _allocate(capacity, slabs or Slabs())
        self.target = Target(self.columns)
        """The columns, to decode into."""
        self.valid = {group: Bitmap(capacity) for group in _GROUP_FILLED}
        """By group of columns, the rows in which they are not null."""
        self.is_snapshot = Bitmap(capacity)
        places = {name: native.address(column) for name, column in self.columns.items()}
        bitmaps = [native.address(bitmap.bytes) for bitmap in self.bitmaps()]
        self.addresses = _pinned([*places.values(), *bitmaps])
        """Where the columns begin, then the bitmaps."""
        self._bitmaps = _pinned(bitmaps)
        self._times = _pinned(
            [places[group] if group in TIME_FIELDS else 0 for group in self.valid]
        )
        self._modes_column = native.Pinned(self.columns[MODE_CODE])
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

    @property
    def newest(self) -> int:
        """When the last tick arrived, in microseconds since the epoch, UTC."""
        return int(self.columns["received_at"][self.length - 1])

    def bitmaps(self) -> tuple[Bitmap, ...]:
        """Return all bitmaps, in an order of their own."""
        return (*self.valid.values(), self.is_snapshot)

    def close(self, has_zero: npt.NDArray[np.bool_]) -> None:
        """Publish all rows, when columns and bitmaps have been written by somebody else.

        Parameters
        ----------
        has_zero
            Which of the bitmaps hold a 0.
        """
        for bitmap, some in zip(self.bitmaps(), has_zero.tolist(), strict=True):
            bitmap.has_zero = some
        modes = np.flatnonzero(np.bincount(self.columns[MODE_CODE]))
        self._modes_seen = sum(1 << mode for mode in modes.tolist())
        self.length = self.capacity

    def stamp(
        self,
        reads: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        start: int,
        stop: int,
    ) -> None:
        """Note when and by which connection rows behind the published length were read.

        Parameters
        ----------
        reads
            Of each read of a socket its time in microseconds since the epoch, UTC, its connection
            and how many messages it brought; shape ``(n, 3)``.
        counts
            How many packets each message has.
        start, stop
            Which packets of all of those messages the rows are.
        """
        if stop - start > self.room:
            raise IndexError(f"{stop - start} rows are more than the {self.room} that fit")
        native.stamp(
            native.address(reads),
            len(reads),
            native.address(counts),
            start,
            stop,
            native.address(self.columns["received_at"][self.length :]),
            native.address(self.columns["connection"][self.length :]),
        )

    def publish(
        self, codes: npt.NDArray[np.uint8], is_snapshot: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Publish rows whose columns have been written behind the published length.

        Parameters
        ----------
        codes
            The layout code of each new row, which says what is null in it.
        is_snapshot
            Whether each is the server's cached value; none is, if not given.
        """
        start, stop = self.length, self.length + len(codes)
        if stop > self.capacity:
            raise IndexError(f"{len(codes)} rows are more than the {self.room} that fit")
        has_null = np.zeros(len(self.valid), np.uint8)
        modes = native.mark(
            native.address(codes),
            len(codes),
            start,
            _MODE_BY_LAYOUT,
            self._modes_column,
            len(LAYOUTS),
            len(self.valid),
            _FILLED,
            self._times,
            self._bitmaps,
            native.address(has_null),
        )
        self._modes_seen |= modes
        for bitmap, some in zip(self.valid.values(), has_null.tolist(), strict=True):
            bitmap.has_zero = bitmap.has_zero or some != 0
        if is_snapshot is not None:
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

        Naming the rows takes a while, and so does it that Polars takes in columns of arrays that
        have nulls. So both is done block by block, and only for the last one anew each time.

        Parameters
        ----------
        stop, symbols, modes
            As for `frame`.
        naming
            Changes when instruments get other names, not when there are more of them.
        """
        if stop <= BLOCK_ROWS:
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
        native.last_rows(native.address(self.columns[SLOT]), stop, native.address(last))
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
    rows = np.where(new >= 0, new, ~old)
    rows = rows[(new >= 0) | (old >= 0)]
    merged = TickBuffer(len(rows))
    has_zero = np.zeros(len(_WIDTHS.array), np.uint8)
    native.gather(
        len(has_zero),
        _WIDTHS,
        settled.addresses,
        live.addresses,
        native.address(rows),
        len(rows),
        merged.addresses,
        native.address(has_zero),
    )
    merged.close(has_zero[len(merged.columns) :] != 0)
    return merged


def _shape(dtype: pl.DataType, capacity: int) -> tuple[str, tuple[int, ...]]:
    """Return the NumPy dtype and shape of a column."""
    if isinstance(dtype, pl.Array):
        inner: Any = dtype.inner
        return _NUMPY[inner], (capacity, DEPTH_LEVELS)
    return _NUMPY[type(dtype)], (capacity,)


def _allocate(capacity: int, slabs: Slabs) -> dict[str, npt.NDArray[Any]]:
    """Allocate the columns in one piece.

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
    slab = slabs.take(int(places[-1]))
    shared = {
        name: slab[start : start + size].view(kind).reshape(shape)
        for (name, (kind, shape)), start, size in zip(shapes.items(), places, sizes, strict=False)
    }
    return shared | {name: np.zeros(capacity, dtype) for name, dtype in _NAMES.items()}


def _pinned(words: Sequence[int]) -> native.Pinned:
    return native.Pinned(np.array(words, np.int64))


_WIDTHS: Final = _pinned(
    [
        *(column.strides[0] for column in _allocate(1, Slabs()).values()),
        *([0] * len(_GROUP_FILLED)),
        0,  # is_snapshot
    ]
)
"""Bytes a row of a buffer's columns, then 0 for its bitmaps."""
