"""Packets → columns. Pure functions on arrays; any thread, but one thread per target.

No input from the server raises an error. The positions of fields in a packet are derived from
`layouts`; the loop over the packets is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.wire.layouts import (
    BOOK_SIDES,
    DEPTH_ENTRY,
    DEPTH_LEVELS,
    LAYOUTS,
    PRICE_FIELDS,
    SEGMENT_MASK,
    SEGMENTS,
    TIME_FIELDS,
    Layout,
    segment_divisors,
    segment_signs,
)
from kitepolars.wire.scan import Packets

MICROSECONDS: Final = 1_000_000
"""Microseconds per second: times are seconds on the wire and microseconds in columns."""

MANY_PACKETS: Final = 4_096
"""Packets from which on other threads may run while they are decoded: about 0.2 ms."""

Columns = Mapping[str, npt.NDArray[Any]]

_UINT32, _UINT16, _TIME_FIELD, _PRICE_FIELD = range(4)  # as in native.c
_DTYPES: Final = {_UINT32: "u4", _UINT16: "u2", _TIME_FIELD: "i8", _PRICE_FIELD: "f8"}
_WORD_BYTES: Final = 4


def _kind(name: str) -> int:
    if name in PRICE_FIELDS:
        return _PRICE_FIELD
    if name in TIME_FIELDS:
        return _TIME_FIELD
    return _UINT16 if name.endswith("_orders") else _UINT32


def _places(layout: Layout) -> dict[str, tuple[int, int]]:
    """Return column → its offset in a packet, and the distance of its levels (0: no levels)."""
    places = {name: (_WORD_BYTES * number, 0) for number, name in enumerate(layout.fields)}
    if layout.depth:
        for number, side in enumerate(BOOK_SIDES):
            start = _WORD_BYTES * len(layout.fields) + number * DEPTH_LEVELS * DEPTH_ENTRY.itemsize
            for name, (_, offset) in _entry_fields().items():
                places[f"{side}_{name}"] = (start + offset, DEPTH_ENTRY.itemsize)
    return places


def _entry_fields() -> dict[str, tuple[Any, int]]:
    fields = DEPTH_ENTRY.fields
    assert fields is not None  # noqa: S101 - a structured dtype has fields
    return {name: (field[0], field[1]) for name, field in fields.items()}


_FIELD_PLACES: Final = [_places(layout) for layout in LAYOUTS]
_NAMES: Final = list(dict.fromkeys(name for places in _FIELD_PLACES for name in places))
_LEVELS: Final = {
    name: DEPTH_LEVELS if stride else 0
    for places in _FIELD_PLACES
    for name, (_, stride) in places.items()
}

_FIELD_TABLE: Final = np.array(
    [
        (_kind(name), offset, stride, _NAMES.index(name))
        for places in _FIELD_PLACES
        for name, (offset, stride) in places.items()
    ],
    np.int32,
)
"""Every field of every layout, as ``struct field`` of native.c."""

_STARTS: Final = np.cumsum([0, *map(len, _FIELD_PLACES)]).astype(np.int32)
"""By code of the layout: the index of its first field."""

_SEGMENT_ENTRIES: Final = np.zeros(
    SEGMENT_MASK + 1,
    np.dtype([("divisor", "f8"), ("inverse", "f8"), ("bias", "u4"), ("is_known", "u4")]),
)
_SEGMENT_ENTRIES["divisor"] = segment_divisors()
_SEGMENT_ENTRIES["inverse"] = 1.0 / _SEGMENT_ENTRIES["divisor"]
_SEGMENT_ENTRIES["bias"] = np.where(segment_signs(), 2**31, 0)
_SEGMENT_ENTRIES["is_known"][list(SEGMENTS)] = 1

TABLES: Final = tuple(map(native.Pinned, (_FIELD_TABLE, _STARTS, _SEGMENT_ENTRIES)))
"""The fields of every layout, where those of each begin, and the segments, for compiled loops."""


class Target:
    """Columns that packets are decoded into, validated once.

    Parameters
    ----------
    columns
        Arrays by field name, C-contiguous: prices as float64, times as int64 and others as
        uint32, of shape ``(n,)``; depth columns (``bid_price``, ``bid_quantity``, ``bid_orders``
        as uint16, and the asks') of shape ``(n, 5)``. Fields without an array are not decoded,
        and arrays that are not fields are ignored.

    Raises
    ------
    ValueError
        An array has another dtype, shape or order.

    Examples
    --------
    >>> Target({"instrument_token": np.zeros(7, "u4"), "last_price": np.zeros(9)}).rows
    7
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = {name: columns[name] for name in _NAMES if name in columns}
        for name, column in self._columns.items():
            _check(name, column)
        self.rows = min(map(len, self._columns.values()), default=0)
        """The number of rows that fit."""
        addresses = [
            native.address(self._columns[name]) if name in self._columns else 0 for name in _NAMES
        ]
        self.addresses = native.Pinned(np.array(addresses, np.uint64))


def _check(name: str, column: npt.NDArray[Any]) -> None:
    """Raise `ValueError` unless compiled code may write into an array."""
    dtype, levels = np.dtype(_DTYPES[_kind(name)]), _LEVELS[name]
    if (
        column.dtype != dtype
        or column.shape[1:] != ((levels,) if levels else ())
        or not (column.flags.c_contiguous and column.flags.writeable and column.flags.aligned)
    ):
        shape = f"(n, {levels})" if levels else "(n,)"
        raise ValueError(f"{name} must be a contiguous array of {dtype} of shape {shape}")


def decode(
    packets: Packets, start: int, stop: int, target: Target, row: int
) -> npt.NDArray[np.int64]:
    """Write packets into columns, into the rows from `row` on.

    Only the fields that a packet has are written. Prices are in rupees, divided by the
    segment's divisor exactly; times are microseconds since the epoch, UTC, 0 where absent.

    Parameters
    ----------
    packets
        The result of `Scanner.scan`.
    start, stop
        The range of packets.
    target
        The columns.
    row
        The row of the first packet.

    Returns
    -------
    numpy.ndarray
        The segment codes that are not in `layouts.SEGMENTS`, sorted.

    Raises
    ------
    IndexError
        The range exceeds the packets, or the rows of the target.

    Examples
    --------
    >>> from kitepolars.wire.scan import Scanner
    >>> packets = Scanner().scan([bytes.fromhex("0001 0008 00063a01 00026683")])
    >>> columns = {"instrument_token": np.zeros(1, "u4"), "last_price": np.zeros(1)}
    >>> decode(packets, 0, 1, Target(columns), 0)
    array([], dtype=int64)
    >>> columns["instrument_token"], columns["last_price"]
    (array([408065], dtype=uint32), array([1573.15]))
    """
    if not (0 <= start <= stop <= len(packets) and 0 <= row <= target.rows - (stop - start)):
        raise IndexError(f"packets {start} to {stop} into row {row}: out of range")
    fields, starts, segments = TABLES
    unknown = np.zeros(SEGMENT_MASK + 1, np.uint8)
    loop = native.decode if stop - start < MANY_PACKETS else native.decode_unlocked
    any_unknown = loop(
        native.address(packets.addresses[start:]),
        native.address(packets.codes[start:]),
        stop - start,
        row,
        fields,
        starts,
        len(LAYOUTS),
        segments,
        target.addresses,
        native.address(unknown),
    )
    return np.flatnonzero(unknown) if any_unknown else unknown[:0].astype(np.int64)
