"""Append-only columnar buffers. One thread writes; any thread reads the published rows.

Polars shares the columns of a buffer, so a row is never written again once it is published. Nulls
are in bitmaps beside the values. The layout of a packet determines which columns of its row are
null, so most columns share a few bitmaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.calendar import EARLIEST_TIME
from kitepolars.frames.arrow import BatchSchema, RecordBatch
from kitepolars.frames.index import TokenIndex, is_among
from kitepolars.frames.memory import Bitmap, Slabs, allocate, prepare
from kitepolars.frames.schema import FILLS, SCHEMA
from kitepolars.wire.decode import MANY_PACKETS, TABLES, Target
from kitepolars.wire.layouts import (
    DEPTH_FIELDS,
    LAYOUTS,
    MODES,
    SEGMENT_MASK,
    TIME_FIELDS,
    Layout,
)
from kitepolars.wire.scan import Packets

SLOT: Final = "symbol"
"""This column contains the slot of the instrument until a frame is made."""

MODE_CODE: Final = "mode"
"""This column contains the code of the mode until a frame is made."""

IS_SNAPSHOT: Final = "is_snapshot"
"""This column is a bitmap."""

_CODES: Final = {SLOT: np.dtype(np.uint32), MODE_CODE: np.dtype(np.uint8)}
"""Columns that frames replace by names; they are not shared with frames."""

_SHARED: Final = {name: dtype for name, dtype in SCHEMA.items() if name not in _CODES}
"""Columns whose memory frames share."""

_ARRAYS: Final = {name: dtype for name, dtype in _SHARED.items() if name != IS_SNAPSHOT}
"""Those of them that are arrays."""

_ALL: Final = tuple(SCHEMA)

BLOCK_ROWS: Final = 32_768
"""Rows of a growing buffer that are converted together, once."""

_MODE_BY_LAYOUT: Final = native.Pinned(
    np.array([MODES.index(layout.mode) for layout in LAYOUTS], np.uint8)
)


def _has_field(layout: Layout, column: str) -> bool:
    return column in layout.fields or (layout.depth and column in DEPTH_FIELDS)


def _filled_by(column: str) -> tuple[bool, ...]:
    """Return, by code of the layout, whether its packets fill a column."""
    return tuple(_has_field(layout, column) for layout in LAYOUTS)


_OPTIONAL: Final = {
    column: filled
    for column in SCHEMA
    if any(filled := _filled_by(column)) and (column in TIME_FIELDS or not all(filled))
}
"""The columns that may be null → which layouts fill them."""

_GROUP: Final = {
    column: column if column in TIME_FIELDS else f"{filled}" for column, filled in _OPTIONAL.items()
}
"""Column → its bitmap. Columns that are null together share one; each time has its own."""

_GROUP_FILLED: Final = {group: _OPTIONAL[column] for column, group in _GROUP.items()}

_FILLED: Final = native.Pinned(np.array(list(_GROUP_FILLED.values()), np.uint8))
"""By group, then by code of the layout: whether its packets fill the columns of the group."""


HAS_TIME: Final = {
    name: native.Pinned(np.array(_GROUP_FILLED[name], np.uint8)) for name in sorted(TIME_FIELDS)
}
"""Times of a packet → which layouts have them."""

# As in native.c:
NEW_SEGMENT, NEW_TOKEN, WRONG_TIME = 1, 2, 4
"""What is unusual about rows: a segment code is not known, an instrument has no slot yet, a time
cannot be true."""


@lru_cache(maxsize=256)
def _batch_schema(columns: tuple[str, ...]) -> BatchSchema:
    """Return what the batches of some shared columns share."""
    return BatchSchema({column: _SHARED[column] for column in columns})


class TickBuffer:
    """Preallocated columns for a number of ticks.

    Parameters
    ----------
    capacity
        Rows.
    slabs
        Provides the memory; new memory by default.

    Raises
    ------
    TypeError
        A column of the schema has a dtype without a fixed width.
    """

    def __init__(self, capacity: int, slabs: Slabs | None = None) -> None:
        self.capacity = capacity
        self.length = 0
        """Rows that are published. The writer increases it once rows are complete."""
        self.columns = _allocate(capacity, slabs or Slabs())
        self.target = Target(self.columns)
        """The columns, to decode into."""
        self.valid = {group: Bitmap(capacity) for group in _GROUP_FILLED}
        """By group of columns: the rows in which they are not null."""
        self.is_snapshot = Bitmap(capacity)
        places = {name: native.address(column) for name, column in self.columns.items()}
        bitmaps = [native.address(bitmap.bytes) for bitmap in self.bitmaps()]
        self.addresses = _pinned([*places.values(), *bitmaps])
        """The addresses of the columns, then of the bitmaps."""
        self._bitmaps = _pinned(bitmaps)
        self._times = _pinned(
            [places[group] if group in TIME_FIELDS else 0 for group in self.valid]
        )
        self._modes_column = native.Pinned(self.columns[MODE_CODE])
        self._sheet = _sheet(self.target, places)
        self._unknown = native.Pinned(np.zeros(SEGMENT_MASK + 1, np.uint8))
        self._has_null = native.Pinned(np.zeros(len(self.valid), np.uint8))
        self._modes_seen = 0  # one bit per mode
        self._blocks: tuple[int, tuple[pl.DataFrame, ...]] = (0, ())
        self._batches: dict[tuple[str, ...], RecordBatch] = {}

    @staticmethod
    def prepare(capacity: int, slabs: Slabs) -> None:
        """Prepare the memory of the next buffer of a capacity; see `Slabs.prepare`."""
        prepare(_ARRAYS, capacity, slabs)

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return self.capacity - self.length

    @property
    def newest(self) -> int:
        """When the last tick arrived, in microseconds since the epoch, UTC."""
        return int(self.columns["received_at"][self.length - 1])

    def buffers_of(self, column: str) -> tuple[int, int]:
        """Return the addresses of a column's bitmap, or 0 where it has no null, and values."""
        if column == IS_SNAPSHOT:
            return 0, native.address(self.is_snapshot.bytes)
        valid = self.valid[_GROUP[column]] if column in _GROUP else None
        bitmap = native.address(valid.bytes) if valid is not None and valid.has_zero else 0
        return bitmap, native.address(self.columns[column])

    def bitmaps(self) -> tuple[Bitmap, ...]:
        """Return all bitmaps, always in the same order."""
        return (*self.valid.values(), self.is_snapshot)

    def close(self, has_zero: npt.NDArray[np.bool_]) -> None:
        """Publish all rows at once, after `merge_latest` has written columns and bitmaps.

        Parameters
        ----------
        has_zero
            Which of the bitmaps contain a 0.
        """
        for bitmap, some in zip(self.bitmaps(), has_zero.tolist(), strict=True):
            bitmap.has_zero = some
        modes = np.flatnonzero(np.bincount(self.columns[MODE_CODE]))
        self._modes_seen = sum(1 << mode for mode in modes.tolist())
        self.length = self.capacity

    def write(
        self,
        packets: Packets,
        start: int,
        stop: int,
        *,
        reads: npt.NDArray[np.int64],
        index: TokenIndex,
        ahead: int,
    ) -> int:
        """Write packets into the rows that follow the published ones.

        Parameters
        ----------
        packets
            The packets in the items of `reads`.
        start, stop
            The range of packets.
        reads
            For each read of a socket: time in microseconds since the epoch, UTC; connection;
            number of items. Shape ``(n, 3)``.
        index
            The slots of the instruments.
        ahead
            Microseconds by which a time may be later than its arrival.

        Returns
        -------
        int
            What is unusual about them: `NEW_SEGMENT`, `NEW_TOKEN` and `WRONG_TIME`, combined.

        Raises
        ------
        IndexError
            The range exceeds the packets, or the rows that are left.
        """
        count = stop - start
        if not 0 <= start <= stop <= len(packets):
            raise IndexError(f"packets {start} to {stop} of {len(packets)}")
        if count > self.room:
            raise IndexError(f"{count} rows are more than the {self.room} that fit")
        loop = native.write_rows if count < MANY_PACKETS else native.write_rows_unlocked
        found: int = loop(
            self._sheet,
            self.length,
            native.address(packets.addresses) + packets.addresses.itemsize * start,
            native.address(packets.codes) + start,
            count,
            native.address(reads),
            len(reads),
            native.address(packets.counts),
            start,
            *index.table,
            EARLIEST_TIME,
            ahead,
            self._unknown,
        )
        return found

    def take_unknown_segments(self) -> list[int]:
        """Return the unknown segment codes that were written since the last call, sorted."""
        unknown = self._unknown.array
        codes: list[int] = np.flatnonzero(unknown).tolist()
        unknown[:] = 0
        return codes

    def publish(
        self, codes: npt.NDArray[np.uint8], is_snapshot: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Publish the rows that have been written after the published ones.

        Parameters
        ----------
        codes
            The code of the layout of each row, which determines its nulls.
        is_snapshot
            Whether each row is a cached value of the server; by default none is.
        """
        start, stop = self.length, self.length + len(codes)
        if stop > self.capacity:
            raise IndexError(f"{len(codes)} rows are more than the {self.room} that fit")
        # One pass over the rows: modes, nulls by layout, and times that are 0, which means null.
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
            self._has_null,
        )
        self._modes_seen |= modes
        # Frames pass no bitmap for columns without nulls, because queries are then faster.
        for bitmap, some in zip(self.valid.values(), self._has_null.array.tolist(), strict=True):
            bitmap.has_zero = bitmap.has_zero or some != 0
        if is_snapshot is not None:
            self.is_snapshot.write(start, is_snapshot)
        if FILLS:
            new = {name: column[start:stop] for name, column in self.columns.items()}
            for name, fill in FILLS.items():
                new[name][:] = fill(new)
        # Last, because readers on other threads see every row below the length.
        self.length = stop

    def frame(
        self,
        start: int,
        stop: int,
        symbols: pl.Series,
        modes: pl.Series,
        columns: tuple[str, ...] = _ALL,
    ) -> pl.DataFrame:
        """Return rows as a DataFrame that shares the memory of the buffer. Any thread.

        Parameters
        ----------
        start, stop
            The rows, at most up to the published length.
        symbols
            The Categorical symbol of each slot.
        modes
            The Enum value of each code of a mode.
        columns
            The columns of the frame; few are faster than all.
        """
        shared = tuple(column for column in columns if column in _SHARED)
        complete = [
            position
            for position, column in enumerate(shared)
            if column in _GROUP and not self.valid[_GROUP[column]].has_zero
        ]
        begin = start // 8 * 8
        frame = self._batch(shared).frame(begin, stop, complete).slice(start - begin)
        for place, column in enumerate(columns):
            if column == SLOT:
                slots = pl.Series(self.columns[SLOT][start:stop])
                frame.insert_column(place, symbols[slots].alias(SLOT))
            elif column == MODE_CODE:
                frame.insert_column(place, self._modes(start, stop, modes).alias(MODE_CODE))
        return frame

    def _batch(self, columns: tuple[str, ...]) -> RecordBatch:
        """Return the batch of some of the shared columns."""
        batch = self._batches.get(columns)
        if batch is None:
            batch = self._batches[columns] = RecordBatch(
                _batch_schema(columns),
                [
                    self.is_snapshot.bytes if column == IS_SNAPSHOT else self.columns[column]
                    for column in columns
                ],
                [
                    self.valid[_GROUP[column]].bytes if column in _GROUP else None
                    for column in columns
                ],
            )
        return batch

    def growing(self, stop: int, symbols: pl.Series, modes: pl.Series, naming: int) -> pl.DataFrame:
        """Return the first rows of a buffer that is still growing. Any thread.

        Looking up symbols takes long, and so does the import of arrays with nulls into Polars. So
        complete blocks are converted once and cached; only the last block is converted each time.

        Parameters
        ----------
        stop, symbols, modes
            As for `frame`.
        naming
            A number that changes when instruments are renamed, but not when there are new ones.
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
        """Return for each slot its last row among the first `stop`, or -1. Any thread."""
        last = np.full(slots, -1, np.int64)
        native.last_rows(native.address(self.columns[SLOT]), stop, native.address(last))
        return last


class Rows(NamedTuple):
    """Published rows of a buffer, to be read in place. Any thread."""

    buffer: TickBuffer
    start: int
    stop: int
    symbols: pl.Series
    """The Categorical symbol of each slot."""

    @property
    def height(self) -> int:
        """Return how many."""
        return self.stop - self.start

    def column(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """Return a column's values, and where they are not null, or None if they are nowhere.

        Times are microseconds since the epoch, UTC. Where a value is null it may be anything.
        """
        buffer = self.buffer
        if name == IS_SNAPSHOT:
            return buffer.is_snapshot.read(self.start, self.stop), None
        valid = buffer.valid[_GROUP[name]] if name in _GROUP else None
        some = valid.read(self.start, self.stop) if valid is not None and valid.has_zero else None
        return buffer.columns[name][self.start : self.stop], some


def merge_latest(
    parts: Sequence[tuple[TickBuffer, int]],
    slots: int,
    tokens: npt.NDArray[np.uint32] | None = None,
) -> TickBuffer:
    """Return a buffer with the last tick of each instrument, in the order of slots. Any thread.

    Parameters
    ----------
    parts
        Buffers in the order of their ticks, each with the number of its rows to consider.
    slots
        The number of instruments.
    tokens
        Only these instruments; all by default.
    """
    rows = np.full(slots, -1, np.int64)
    origins = np.zeros(slots, np.int32)
    for number, (buffer, stop) in enumerate(parts):
        last = buffer.last_rows(stop, slots)
        is_newer = last >= 0
        np.copyto(rows, last, where=is_newer)
        origins[is_newer] = number
    seen = np.flatnonzero(rows >= 0)
    if tokens is not None:
        found = np.empty(len(seen), np.uint32)
        for number, (buffer, _) in enumerate(parts):
            there = np.flatnonzero(origins[seen] == number)
            found[there] = buffer.columns["instrument_token"][rows[seen[there]]]
        seen = seen[is_among(found, tokens)]
    rows, origins = rows[seen], origins[seen]
    merged = TickBuffer(len(rows))
    has_zero = np.zeros(len(_WIDTHS.array), np.uint8)
    sources = np.concatenate([buffer.addresses.array for buffer, _ in parts])
    native.gather(
        len(has_zero),
        _WIDTHS,
        native.address(sources),
        native.address(origins),
        native.address(rows),
        len(rows),
        merged.addresses,
        native.address(has_zero),
    )
    merged.close(has_zero[len(merged.columns) :] != 0)
    return merged


def _allocate(capacity: int, slabs: Slabs) -> dict[str, npt.NDArray[Any]]:
    codes = {name: np.zeros(capacity, dtype) for name, dtype in _CODES.items()}
    return allocate(_ARRAYS, capacity, slabs) | codes


def _pinned(words: Sequence[int]) -> native.Pinned:
    return native.Pinned(np.array(words, np.int64))


def _sheet(target: Target, places: Mapping[str, int]) -> native.Pinned:
    """Return what compiled loops write of new rows, as ``struct sheet`` of native.c."""
    fields, starts, segments = (native.address(table.array) for table in TABLES)
    return _pinned(
        [
            *(fields, starts, len(LAYOUTS), segments, native.address(target.addresses.array)),
            *(places[name] for name in ("instrument_token", SLOT, "received_at", "connection")),
            *(places[name] for name in HAS_TIME),
            *(native.address(has_time.array) for has_time in HAS_TIME.values()),
        ]
    )


_WIDTHS: Final = _pinned(
    [
        *(column.strides[0] for column in _allocate(1, Slabs()).values()),
        *([0] * len(_GROUP_FILLED)),
        0,  # that of is_snapshot
    ]
)
"""Bytes per row of each column of a buffer, then 0 for each bitmap."""
