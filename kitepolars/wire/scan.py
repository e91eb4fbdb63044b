"""Finds the packets in batches of messages. One `Scanner` per thread.

No input from the server raises an error: every packet is either found, or rejected and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.wire.layouts import LAYOUTS, PREFIX_SIZE
from kitepolars.wire.stream import RawMessages

HEAD_BYTES: Final = 16
"""Bytes of a rejected packet that are kept."""

MAX_REPORTS: Final = 16
"""Rejections that are described per scan; all are counted."""

# As in native.c:
_UNKNOWN_LENGTH: Final = 255
_SPLIT_ALL, _SPLIT_FULL = 0, 2
_PLACE, _PACKETS = 1, 3  # of the cursor

_SMALLEST_ROOM: Final = 4_096
"""The initial capacity of a scanner, in packets; it doubles as needed."""

_CODE_BY_LENGTH: Final = native.Pinned(np.full(2**16, _UNKNOWN_LENGTH, np.uint8))
for _layout in LAYOUTS:
    _CODE_BY_LENGTH.array[_layout.length] = _layout.code


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes that are not a valid packet.

    Parameters
    ----------
    item
        The index in the batch of the message, or of the read that contains it.
    offset
        The offset of the packet in its message; of the rest of a truncated message.
    length
        The length prefix of the packet, or the number of remaining bytes.
    head
        Its first bytes.
    reason
        ``"unknown length"``, ``"cut message"`` or ``"trailing bytes"``.
    """

    item: int
    offset: int
    length: int
    head: bytes
    reason: str

    def __str__(self) -> str:
        """Return the text for an event."""
        return (
            f"{self.reason}: length {self.length}, offset {self.offset}, "
            f"first bytes {self.head.hex(' ') or 'none'}"
        )


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of a batch of messages, in arrival order.

    Parameters
    ----------
    data
        The bytes that contain the packets; keeps them alive.
    addresses
        The address of each packet in memory, after its length prefix.
    codes
        The code of the layout of each packet.
    counts
        The number of packets in each item of the batch.
    rejected_packets, rejected_messages
        The numbers of packets of unknown length, and of malformed messages.
    rejections
        Descriptions of the first of them.
    """

    data: Sequence[bytes]
    addresses: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int64]
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: tuple[Rejection, ...] = ()

    def __len__(self) -> int:
        """Return the number of valid packets."""
        return len(self.addresses)


@dataclass(slots=True)
class _Rejected:
    """The rejected parts of a batch."""

    packets: int = 0
    messages: int = 0
    described: list[Rejection] = field(default_factory=list)

    def describe(self, rejection: Rejection) -> None:
        if len(self.described) < MAX_REPORTS:
            self.described.append(rejection)


class _Room:
    """Arrays for the packets found; they grow as needed."""

    def __init__(self, rows: int) -> None:
        self.addresses = np.empty(rows, np.uint64)
        self.codes = np.empty(rows, np.uint8)

    def __len__(self) -> int:
        return len(self.codes)

    def grow(self, rows: int) -> None:
        """Make room for at least `rows` packets."""
        while len(self) < rows:
            self.addresses = np.concatenate([self.addresses, np.empty_like(self.addresses)])
            self.codes = np.concatenate([self.codes, np.empty_like(self.codes)])


class Scanner:
    """Finds the packets in batches of messages. Not thread-safe.

    Examples
    --------
    >>> scanner = Scanner()
    >>> packets = scanner.scan([bytes.fromhex("0001 0008 00063a01 00026683")])
    >>> packets.codes, packets.counts
    (array([0], dtype=uint8), array([1]))
    """

    def __init__(self) -> None:
        self._room = _SMALLEST_ROOM

    def scan(self, batch: Sequence[bytes | RawMessages]) -> Packets:
        """Find the packets in a batch of messages.

        Parameters
        ----------
        batch
            Each item is a binary message, or all messages of one read, in place. Messages of
            fewer than two bytes are heartbeats.

        Returns
        -------
        Packets
            Every packet is in it, either as valid or as rejected.
        """
        return self.scan_parts(*_located(batch))

    def scan_parts(self, items: list[bytes], bounds: npt.NDArray[np.int64]) -> Packets:
        """Find the packets in parts of streams.

        Parameters
        ----------
        items
            The bytes that each part lies in.
        bounds
            Where the steady frames of each part start and stop, shape ``(n, 2)``; ``(0, -1)`` if
            the item is a single message.

        Returns
        -------
        Packets
            As for `scan`.
        """
        cursor = np.array([0, -1, 0, 0], np.int64)  # item, place, end, packets
        counts = np.zeros(len(items), np.int64)
        room = _Room(self._room)
        faults = _Rejected()
        while (state := self._split(items, bounds, room, counts, cursor)) != _SPLIT_ALL:
            if state == _SPLIT_FULL:
                room.grow(2 * len(room))
            else:
                _walk(items, room, counts, cursor, faults)
        self._room = len(room)
        found = int(cursor[_PACKETS])
        return Packets(
            items,
            room.addresses[:found],
            room.codes[:found],
            counts,
            faults.packets,
            faults.messages,
            tuple(faults.described),
        )

    @staticmethod
    def _split(
        items: list[bytes],
        bounds: npt.NDArray[np.int64],
        room: _Room,
        counts: npt.NDArray[np.int64],
        cursor: npt.NDArray[np.int64],
    ) -> int:
        """Find the packets of valid messages from the cursor on; return why the search stopped."""
        state: int = native.split(
            items,
            len(items),
            native.address(bounds),
            _CODE_BY_LENGTH,
            len(room),
            native.address(room.addresses),
            native.address(room.codes),
            native.address(counts),
            native.address(cursor),
        )
        return state


def _located(batch: Sequence[bytes | RawMessages]) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Return the bytes of each item, and the range of its messages; (0, -1) is a single message."""
    limits = np.empty((len(batch), 2), np.int64)
    limits[:] = 0, -1
    # Checking every item of a batch of small messages takes longer than finding their packets.
    if set(map(type, batch)) <= {bytes}:
        return cast("list[bytes]", list(batch)), limits
    items = []
    for number, item in enumerate(batch):
        if isinstance(item, RawMessages):
            limits[number] = item.start, item.stop
            items.append(item.data)
        else:
            items.append(item)
    return items, limits


def _walk(
    items: list[bytes],
    room: _Room,
    counts: npt.NDArray[np.int64],
    cursor: npt.NDArray[np.int64],
    faults: _Rejected,
) -> None:
    """Find the valid packets of the malformed message at the cursor, and advance past it.

    Packets of unknown length, truncation and trailing bytes are counted and described.
    """
    item, begin, end, before = cursor.tolist()
    data = items[item]
    places, lengths, position = _follow(data, begin, end)
    codes = _CODE_BY_LENGTH.array[lengths]
    known = codes != _UNKNOWN_LENGTH
    known_count = int(np.count_nonzero(known))
    for packet in np.flatnonzero(~known)[:MAX_REPORTS].tolist():
        place, length = int(places[packet]), int(lengths[packet])
        first = data[place : place + min(length, HEAD_BYTES)]
        offset = place - PREFIX_SIZE - begin
        faults.describe(Rejection(item, offset, length, first, "unknown length"))
    faults.packets += len(codes) - known_count
    is_cut = len(places) < int.from_bytes(data[begin : begin + PREFIX_SIZE])
    if is_cut or position < end:
        faults.messages += 1
        reason = "cut message" if is_cut else "trailing bytes"
        first = data[position : min(end, position + HEAD_BYTES)]
        faults.describe(Rejection(item, position - begin, end - position, first, reason))
    found = before + known_count
    # The packets before a fault are valid, so they are kept.
    room.grow(found)
    room.addresses[before:found] = native.address(np.frombuffer(data, np.uint8)) + places[known]
    room.codes[before:found] = codes[known]
    counts[item] += found - before
    cursor[_PLACE], cursor[_PACKETS] = end, found


def _follow(
    data: bytes, begin: int, end: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return offsets and lengths of the complete packets of a message, and the end of the last."""
    places: list[int] = []
    lengths: list[int] = []
    position = begin + PREFIX_SIZE
    for _ in range(int.from_bytes(data[begin:position])):
        place = position + PREFIX_SIZE
        length = int.from_bytes(data[position:place])
        if place > end or place + length > end:
            break
        places.append(place)
        lengths.append(length)
        position = place + length
    return np.array(places, np.int64), np.array(lengths, np.int64), position
