"""Binary messages → columns. Holds scratch memory only; one `Decoder` a thread.

Nothing here raises on what a server sends. Work is done on arrays, over many
messages at once: `scan.Scanner` finds the packets of a batch of messages, and
`Decoder.decode` writes a range of them into preallocated columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import (
    COUNT,
    DEFAULT_DIVISOR,
    DEPTH_ENTRY,
    DEPTH_LEVELS,
    LAYOUTS,
    PRICE_FIELDS,
    SEGMENT_MASK,
    SEGMENTS,
    TIME_FIELDS,
    segment_divisors,
    segment_signs,
)
from kitepolars.wire.scan import Packets, overlapping

BLOCK_ROWS: Final = 4_096
"""Packets that are decoded together: their bytes and their columns fit a core's cache."""

GATHER_ROWS: Final = 1_024
"""Packets that are gathered at once: NumPy's memory for them is small enough to be used again.

Larger pieces are given back to the system and fetched anew, a page fault every 4 KiB.
"""

MICROSECONDS: Final = 1_000_000
"""Microseconds a second: times leave the wire in seconds and enter columns in microseconds."""

_DIVISORS: Final = segment_divisors()
_SIGNED: Final = segment_signs()
_ODD_SEGMENT, _UNKNOWN_SEGMENT = 1, 2
_SPECIAL: Final = np.where((_DIVISORS == DEFAULT_DIVISOR) & _SIGNED, 0, _ODD_SEGMENT).astype("u1")
_SPECIAL[~np.isin(np.arange(SEGMENT_MASK + 1), list(SEGMENTS))] = _UNKNOWN_SEGMENT
_SEGMENT_BYTE: Final = 3  # the token's low byte, in big-endian order
_NONE: Final = np.empty(0, np.int64)

_RAW: Final = np.dtype(">u4")
_SIGNED_RAW: Final = np.dtype(">i4")
_HEAD_BYTES: Final = max(len(layout.fields) for layout in LAYOUTS) * _RAW.itemsize
_SIDE_BYTES: Final = DEPTH_LEVELS * DEPTH_ENTRY.itemsize

SIDES: Final = ("bid", "ask")
"""The sides of the book in wire order, as the depth columns' names begin."""

Columns = Mapping[str, npt.NDArray[Any]]


class Decoder:
    """Writes packets into columns. Not safe for use by two threads at once.

    Examples
    --------
    >>> from kitepolars.wire.scan import Scanner
    >>> packets = Scanner().scan([bytes.fromhex("0001 0008 00063a01 00026683")])
    >>> columns = {"instrument_token": np.zeros(1, "u4"), "last_price": np.zeros(1)}
    >>> Decoder().decode(packets, 0, 1, columns, 0)
    array([], dtype=int64)
    >>> columns["instrument_token"], columns["last_price"]
    (array([408065], dtype=uint32), array([1573.15]))
    """

    def __init__(self) -> None:
        self._head = np.empty(BLOCK_ROWS, f"V{_HEAD_BYTES}")
        self._side = np.empty(BLOCK_ROWS, f"V{_SIDE_BYTES}")

    def decode(
        self, packets: Packets, start: int, stop: int, columns: Columns, row: int
    ) -> npt.NDArray[np.int64]:
        """Write packets into columns, in rows `row` to ``row + stop - start``.

        Only the fields that a packet has are written. Prices are in rupees, divided by the
        segment's divisor exactly; times are microseconds since the epoch, UTC, 0 where absent.

        Parameters
        ----------
        packets
            What the last `scan` of a scanner returned.
        start, stop
            Which packets.
        columns
            Arrays by field name, C-contiguous, with room for the rows; depth columns
            (``bid_price``, ``bid_quantity``, ``bid_orders`` and the asks') have shape ``(n, 5)``.
            Fields without an array are left out.
        row
            Where the first packet goes.

        Returns
        -------
        numpy.ndarray
            The segment codes that `layouts.SEGMENTS` does not know, sorted.
        """
        unknown: set[int] = set()
        for low in range(start, stop, BLOCK_ROWS):
            high = min(low + BLOCK_ROWS, stop)
            codes = packets.codes[low:high]
            offsets = packets.offsets[low:high]
            base = row + low - start
            if (codes == codes[0]).all():
                rows = slice(base, base + high - low)
                unknown |= self._decode_block(packets.data, offsets, codes[0], columns, rows)
                continue
            for code in np.unique(codes).tolist():
                chosen = np.flatnonzero(codes == code)
                unknown |= self._decode_block(
                    packets.data, offsets[chosen], code, columns, base + chosen
                )
        return np.array(sorted(unknown), np.int64)

    def _decode_block(
        self,
        data: memoryview,
        offsets: npt.NDArray[np.int64],
        code: int,
        columns: Columns,
        rows: slice | npt.NDArray[np.int64],
    ) -> set[int]:
        """Decode packets of one layout into rows; return the unknown segment codes among them."""
        layout = LAYOUTS[code]
        size = len(layout.fields) * _RAW.itemsize
        head = _gather(data, offsets, self._head, 0, size).view(_RAW)
        segments = head.view(np.uint8)[:, _SEGMENT_BYTE]
        special = _SPECIAL[segments]
        is_plain = not special.any()
        block = _Block(
            rows,
            len(offsets),
            None if is_plain else _DIVISORS[segments],
            _NONE if is_plain else np.flatnonzero(~_SIGNED[segments]),
        )
        for position, name in enumerate(layout.fields):
            if name in columns:
                _STORE[name](block, columns[name], head[:, position])
        if layout.depth:
            for number, side in enumerate(SIDES):
                skip = size + number * _SIDE_BYTES
                levels = _gather(data, offsets, self._side, skip, _SIDE_BYTES)
                _decode_side(block, side, levels.view(_RAW), columns)
        return set() if is_plain else set(segments[special == _UNKNOWN_SEGMENT].tolist())


@dataclass(frozen=True, slots=True)
class _Block:
    """Packets of one layout and the rows that they become.

    `divisors` are the packets' price divisors, None where all have the default; `unsigned` are
    the packets whose prices are unsigned.
    """

    rows: slice | npt.NDArray[np.int64]
    packets: int
    divisors: npt.NDArray[np.float64] | None
    unsigned: npt.NDArray[np.int64]

    def target(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the block's rows of a column, or other memory for scattered ones."""
        if isinstance(self.rows, slice):
            return column[self.rows]
        return np.empty((self.packets, *column.shape[1:]), column.dtype)

    def settle(self, column: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
        """Put what was written into other memory where it belongs."""
        if not isinstance(self.rows, slice):
            column[self.rows] = values


def _gather(
    data: memoryview,
    offsets: npt.NDArray[np.int64],
    scratch: npt.NDArray[Any],
    skip: int,
    size: int,
) -> npt.NDArray[np.uint8]:
    """Copy `size` bytes of each packet, from byte `skip` on, into rows of scratch memory."""
    items = overlapping(data[skip:], f"V{size}")
    rows = scratch.view(np.uint8)[: len(offsets) * size].view(f"V{size}")
    for low in range(0, len(offsets), GATHER_ROWS):
        rows[low : low + GATHER_ROWS] = items[offsets[low : low + GATHER_ROWS]]
    return rows.view(np.uint8).reshape(len(offsets), size)


def _decode_side(
    block: _Block, side: str, levels: npt.NDArray[np.uint32], columns: Columns
) -> None:
    """Decode one side of the book.

    All levels of all packets are one strided run, since loops over five items are slow.
    """
    words = levels.reshape(-1, DEPTH_ENTRY.itemsize // _RAW.itemsize)
    raw: dict[str, npt.NDArray[Any]] = {
        "quantity": words[:, 0],
        "price": words[:, 1],
        "orders": words.view(COUNT)[:, 4],  # the upper half of the third word
    }
    for name, store in _STORE_DEPTH.items():
        if f"{side}_{name}" in columns:
            store(block, columns[f"{side}_{name}"], raw[name])


def _store_integer(block: _Block, column: npt.NDArray[Any], raw: npt.NDArray[Any]) -> None:
    values = block.target(column)
    values.reshape(-1)[...] = raw
    block.settle(column, values)


def _store_time(block: _Block, column: npt.NDArray[Any], raw: npt.NDArray[Any]) -> None:
    values = block.target(column)
    values[...] = raw
    values *= MICROSECONDS
    block.settle(column, values)


def _store_price(block: _Block, column: npt.NDArray[Any], raw: npt.NDArray[Any]) -> None:
    values = block.target(column)
    flat = values.reshape(-1)
    flat[...] = raw.view(_SIGNED_RAW)
    if block.divisors is None:
        flat /= DEFAULT_DIVISOR
    else:
        _make_unsigned(values.reshape(block.packets, -1), block.unsigned)
        width = len(flat) // block.packets
        flat /= block.divisors if width == 1 else np.repeat(block.divisors, width)
    block.settle(column, values)


def _make_unsigned(values: npt.NDArray[np.float64], packets: npt.NDArray[np.int64]) -> None:
    """Mend prices of unsigned segments that were read as negative numbers."""
    prices = values[packets]
    if (prices < 0).any():
        values[packets] = np.where(prices < 0, prices + 2.0**32, prices)


_Store = Callable[[_Block, npt.NDArray[Any], npt.NDArray[Any]], None]

_STORE: Final[Mapping[str, _Store]] = {
    name: _store_price
    if name in PRICE_FIELDS
    else _store_time
    if name in TIME_FIELDS
    else _store_integer
    for layout in LAYOUTS
    for name in layout.fields
}
_STORE_DEPTH: Final[Mapping[str, _Store]] = {
    "quantity": _store_integer,
    "price": _store_price,
    "orders": _store_integer,
}
