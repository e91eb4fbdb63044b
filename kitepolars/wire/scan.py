"""Where the packets of a batch of messages are. One `Scanner` a thread.

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

_SMALLEST_ROOM: Final = 4_096
"""Packets that a scanner has room for at first; it doubles as needed."""

_CODE_BY_LENGTH: Final = native.Pinned(np.full(2**16, _UNKNOWN, np.uint8))
for _layout in LAYOUTS:
    _CODE_BY_LENGTH.array[_layout.length] = _layout.code


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
        The messages, which hold the packets' bytes.
    addresses
        Where in memory each packet begins, behind its length prefix.
    codes
        The code of each packet's layout.
    counts
        How many of them each message of the batch has.
    rejected_packets, rejected_messages
        How many packets of unknown length, and how many malformed messages there were.
    rejections
        The first of them, described.
    """

    data: Sequence[bytes]
    addresses: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int64]
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: tuple[Rejection, ...] = ()

    def __len__(self) -> int:
        """Return the number of packets that can be decoded."""
        return len(self.addresses)


class _Found(NamedTuple):
    """Packets: where they are in memory, and their layouts' codes."""

    addresses: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.uint8]


@dataclass(slots=True)
class _Faults:
    """What was wrong with the messages of a batch."""

    packets: int = 0
    messages: int = 0
    described: list[Rejection] = field(default_factory=list)

    def describe(self, rejection: Rejection) -> None:
        if len(self.described) < MAX_REPORTS:
            self.described.append(rejection)


class Scanner:
    """Finds the packets of batches of messages; it learns how much room they take.

    Not safe for use by two threads at once.

    Examples
    --------
    >>> scanner = Scanner()
    >>> packets = scanner.scan([bytes.fromhex("0001 0008 00063a01 00026683")])
    >>> packets.codes, packets.counts
    (array([0], dtype=uint8), array([1]))
    """

    def __init__(self) -> None:
        self._room = _SMALLEST_ROOM

    def scan(self, messages: list[bytes]) -> Packets:
        """Find the packets of a batch of messages.

        Parameters
        ----------
        messages
            Binary messages as they came. Those of fewer than two bytes are heartbeats. The
            list must not change while the packets are used.

        Returns
        -------
        Packets
            Every packet is in it, as a row to decode or as a rejection.
        """
        found, counts, malformed = self._split(messages)
        faults = _Faults()
        if malformed:
            walked = [_walk(messages[number], number, faults) for number in malformed]
            found, counts = _in_order(found, counts, malformed, walked)
        return Packets(
            messages,
            found.addresses,
            found.codes,
            counts,
            faults.packets,
            faults.messages,
            tuple(faults.described),
        )

    def _split(self, messages: list[bytes]) -> tuple[_Found, npt.NDArray[np.int64], list[int]]:
        """Find the packets of messages that are well-formed; count them; return the others."""
        counts, malformed = np.empty((2, len(messages)), np.int64)
        wrong = np.zeros(1, np.int64)
        while True:
            addresses, codes = np.empty(self._room, np.uint64), np.empty(self._room, np.uint8)
            packets = native.split(
                messages,
                len(messages),
                _CODE_BY_LENGTH,
                self._room,
                native.address(addresses),
                native.address(codes),
                native.address(counts),
                native.address(malformed),
                native.address(wrong),
            )
            if packets >= 0:
                found = _Found(addresses[:packets], codes[:packets])
                return found, counts, malformed[: wrong[0]].tolist()
            self._room *= 2


def _in_order(
    found: _Found, counts: npt.NDArray[np.int64], malformed: list[int], walked: list[_Found]
) -> tuple[_Found, npt.NDArray[np.int64]]:
    """Put together what was found in all messages, in the order in which it arrived."""
    owners = np.concatenate(
        [
            np.repeat(np.arange(len(counts)), counts),
            np.repeat(malformed, [len(part.codes) for part in walked]),
        ]
    )
    order = np.argsort(owners, kind="stable")  # those of one message are in order
    addresses, codes = (np.concatenate(part) for part in zip(found, *walked, strict=True))
    return _Found(addresses[order], codes[order]), np.bincount(owners, minlength=len(counts))


def _walk(data: bytes, message: int, faults: _Faults) -> _Found:
    """Follow the length prefixes of one message; note what is unknown, cut or too much."""
    count, size = data[0] << 8 | data[1], len(data)
    position = PREFIX_SIZE
    places: list[int] = []
    lengths: list[int] = []
    for _ in range(count):
        place = position + PREFIX_SIZE
        if place > size:
            break
        length = data[position] << 8 | data[position + 1]
        if place + length > size:
            break
        places.append(place)
        lengths.append(length)
        position = place + length
    cut = len(places) < count
    found = _sift(data, message, np.array(places, np.int64), np.array(lengths, np.int64), faults)
    if cut or position < size:
        faults.messages += 1
        reason = "cut message" if cut else "trailing bytes"
        head = data[position : position + HEAD_BYTES]
        faults.describe(Rejection(message, position, size - position, head, reason))
    return found


def _sift(
    data: bytes,
    message: int,
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    faults: _Faults,
) -> _Found:
    """Keep the packets of known length; count the others and describe the first."""
    codes = _CODE_BY_LENGTH.array[lengths]
    known = codes != _UNKNOWN
    unknown = np.flatnonzero(~known)
    faults.packets += len(unknown)
    for packet in unknown[:MAX_REPORTS].tolist():
        place, length = int(places[packet]), int(lengths[packet])
        head = data[place : place + min(length, HEAD_BYTES)]
        faults.describe(Rejection(message, place - PREFIX_SIZE, length, head, "unknown length"))
    begin = native.address(np.frombuffer(data, np.uint8))
    addresses = (begin + places[known]).astype(np.uint64)
    return _Found(addresses, codes[known])
