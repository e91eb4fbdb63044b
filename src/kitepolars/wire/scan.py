"""Where the packets of a batch of messages are. Holds scratch memory only; one `Scanner` a thread.

Nothing here raises on what a server sends: every packet is found or rejected,
and what is rejected is counted and described.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.wire.layouts import LAYOUTS, PREFIX_SIZE

HEAD_BYTES: Final = 16
"""How many of a rejected packet's first bytes are kept."""

MAX_REPORTS: Final = 16
"""How many rejections of one scan are described; all are counted."""

_UNKNOWN: Final = 255  # as in native.c

_SHORTEST: Final = PREFIX_SIZE + min(layout.length for layout in LAYOUTS)
"""The fewest bytes that a packet takes in a message."""

_CODE_BY_LENGTH: Final = np.full(2**16, _UNKNOWN, np.uint8)
for _layout in LAYOUTS:
    _CODE_BY_LENGTH[_layout.length] = _layout.code
_PINNED_CODES: Final = native.Pinned(_CODE_BY_LENGTH)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes that could not be read as a packet.

    Parameters
    ----------
    message
        The index of the message in the batch.
    offset
        Where in the message the packet (or, for a cut message, what is left of it) begins.
    length
        The packet's length prefix, or the bytes that are left.
    head
        The first bytes of it.
    reason
        ``"unknown length"``, ``"cut message"`` or ``"trailing bytes"``.
    """

    message: int
    offset: int
    length: int
    head: bytes
    reason: str

    def __str__(self) -> str:
        """Describe it for an event."""
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
        The messages, joined.
    offsets
        Where each packet begins, behind its length prefix.
    codes
        The code of each packet's layout.
    messages
        The index of each packet's message in the batch.
    rejected_packets, rejected_messages
        How many packets of unknown length, and how many malformed messages there were.
    rejections
        The first of them, described.
    """

    data: bytes
    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    messages: npt.NDArray[np.int64]
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: tuple[Rejection, ...] = ()

    def __len__(self) -> int:
        """Return the number of packets that can be decoded."""
        return len(self.offsets)


class _Found(NamedTuple):
    """Packets: where they begin, their layouts' codes, and their messages' indices."""

    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    messages: npt.NDArray[np.int64]


@dataclass(slots=True)
class _Scan:
    """Messages, joined, where each begins, its size, and what was wrong."""

    data: bytes
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def report(self, rejection: Rejection) -> None:
        if len(self.rejections) < MAX_REPORTS:
            self.rejections.append(rejection)


class Scanner:
    """Finds the packets of batches of messages. Not safe for use by two threads at once.

    Examples
    --------
    >>> scanner = Scanner()
    >>> packets = scanner.scan([bytes.fromhex("0001 0008 00063a01 00026683")])
    >>> packets.offsets, packets.messages
    (array([4]), array([0]))
    """

    def __init__(self) -> None:
        self._room = _Room(0)

    def scan(self, messages: Sequence[bytes]) -> Packets:
        """Find the packets of a batch of messages.

        Parameters
        ----------
        messages
            Binary messages as they came. Those of fewer than two bytes are heartbeats.

        Returns
        -------
        Packets
            Every packet is in it, as a row to decode or as a rejection.
        """
        sizes = np.fromiter(map(len, messages), np.int64, len(messages))
        ends = np.cumsum(sizes)
        scan = _Scan(b"".join(messages), ends - sizes, sizes)
        well_formed, malformed = self._split(scan)
        parts = [well_formed, *(_walk(scan, message) for message in malformed)]
        found = _in_order(parts) if malformed else well_formed
        return Packets(
            scan.data,
            found.offsets,
            found.codes,
            found.messages,
            scan.rejected_packets,
            scan.rejected_messages,
            tuple(scan.rejections),
        )

    def _split(self, scan: _Scan) -> tuple[_Found, list[int]]:
        """Find the packets of messages that are well-formed; return the others, too."""
        if len(scan.data) // _SHORTEST > self._room.packets:
            self._room = _Room(len(scan.data) // _SHORTEST)
        room, count = self._room, np.zeros(1, np.int64)
        malformed = np.empty(len(scan.sizes), np.int64)
        packets = native.split(
            scan.data,
            native.address(scan.sizes),
            len(scan.sizes),
            _PINNED_CODES,
            room.offsets,
            room.codes,
            room.messages,
            native.address(malformed),
            native.address(count),
        )
        return room.found(packets), malformed[: count[0]].tolist()


class _Room:
    """Memory for so many packets, used again and again."""

    def __init__(self, packets: int) -> None:
        self.packets = packets
        self.offsets = native.Pinned(np.empty(packets, np.int64))
        self.codes = native.Pinned(np.empty(packets, np.uint8))
        self.messages = native.Pinned(np.empty(packets, np.int64))

    def found(self, packets: int) -> _Found:
        """Return a copy of the first packets."""
        return _Found(
            self.offsets.array[:packets].copy(),
            self.codes.array[:packets].copy(),
            self.messages.array[:packets].copy(),
        )


def _in_order(parts: Sequence[_Found]) -> _Found:
    """Put together what was found, in the order in which it arrived."""
    offsets, codes, messages = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(offsets)
    return _Found(offsets[order], codes[order], messages[order])


def _walk(scan: _Scan, message: int) -> _Found:
    """Follow the length prefixes of one message; report what is unknown, cut or too much."""
    start, size = int(scan.starts[message]), int(scan.sizes[message])
    view = memoryview(scan.data)[start : start + size]
    count = view[0] << 8 | view[1]
    position = PREFIX_SIZE
    places: list[int] = []
    lengths: list[int] = []
    for _ in range(count):
        place = position + PREFIX_SIZE
        if place > size:
            break
        length = view[position] << 8 | view[position + 1]
        if place + length > size:
            break
        places.append(place)
        lengths.append(length)
        position = place + length
    cut = len(places) < count
    found = _sift(scan, message, np.array(places, np.int64), np.array(lengths, np.int64))
    if cut or position < size:
        scan.rejected_messages += 1
        reason = "cut message" if cut else "trailing bytes"
        head = bytes(view[position : position + HEAD_BYTES])
        scan.report(Rejection(message, position, size - position, head, reason))
    return found


def _sift(
    scan: _Scan, message: int, places: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> _Found:
    """Keep the packets of known length; count the others and describe the first."""
    offsets = places + scan.starts[message]
    codes = _CODE_BY_LENGTH[lengths]
    known = codes != _UNKNOWN
    unknown = np.flatnonzero(~known)
    scan.rejected_packets += len(unknown)
    for packet in unknown[:MAX_REPORTS].tolist():
        offset, length = int(offsets[packet]), int(lengths[packet])
        head = scan.data[offset : offset + min(length, HEAD_BYTES)]
        scan.report(
            Rejection(message, int(places[packet]) - PREFIX_SIZE, length, head, "unknown length")
        )
    return _Found(offsets[known], codes[known], np.full(np.count_nonzero(known), message))
