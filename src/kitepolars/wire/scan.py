"""Where the packets of a batch of messages are. Holds scratch memory only; one `Scanner` a thread.

Nothing here raises on what a server sends: every packet is found or rejected,
and what is rejected is counted and described.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import COUNT, LAYOUTS, PREFIX_SIZE

HEAD_BYTES: Final = 16
"""How many of a rejected packet's first bytes are kept."""

MAX_REPORTS: Final = 16
"""How many rejections of one scan are described; all are counted."""

_UNKNOWN: Final = len(LAYOUTS)

_CODE_BY_LENGTH: Final = np.full(2**16, _UNKNOWN, np.uint8)
for _layout in LAYOUTS:
    _CODE_BY_LENGTH[_layout.length] = _layout.code


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
        The messages, joined. The memory is the scanner's: valid until its next scan.
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

    data: memoryview
    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    messages: npt.NDArray[np.int64]
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: tuple[Rejection, ...] = ()

    def __len__(self) -> int:
        """Return the number of packets that can be decoded."""
        return len(self.offsets)


_FAR: Final = 2**31
_HOPS: Final = [_FAR] * 2**16
for _layout in LAYOUTS:
    _prefix = int.from_bytes(_layout.length.to_bytes(PREFIX_SIZE, "big"), sys.byteorder)
    _HOPS[_prefix] = (PREFIX_SIZE + _layout.length) // PREFIX_SIZE


class _Found(NamedTuple):
    """Packets: where they begin, their layouts' codes, and their messages' indices."""

    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    messages: npt.NDArray[np.int64]


_NOTHING: Final = _Found(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64))


@dataclass(slots=True)
class _Scan:
    """A batch of messages, joined, where each begins, its size, and what was wrong."""

    messages: Sequence[bytes]
    data: memoryview
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    irregular: list[int] = field(default_factory=list)
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def report(self, rejection: Rejection) -> None:
        if len(self.rejections) < MAX_REPORTS:
            self.rejections.append(rejection)


def overlapping(data: memoryview, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """View the bytes as one item at every byte offset, so that indexing copies unaligned items."""
    kind = np.dtype(dtype)
    items = max(0, len(data) - kind.itemsize + 1)
    return np.ndarray((items,), kind, data, strides=(1,))


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
        self._scratch = io.BytesIO()

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
        data = self._join(messages, int(ends[-1]) if len(ends) else 0)
        scan = _Scan(messages, data, ends - sizes, sizes)
        found = _merge(_find_regular(scan), scan)
        return Packets(
            data,
            found.offsets,
            found.codes,
            found.messages,
            scan.rejected_packets,
            scan.rejected_messages,
            tuple(scan.rejections),
        )

    def _join(self, messages: Sequence[bytes], size: int) -> memoryview:
        """Copy the messages into memory that is used again and again.

        Fresh memory for each batch would cost a page fault every 4 KiB, which is more than the
        decoding itself.
        """
        try:
            self._scratch.seek(0)
            self._scratch.writelines(messages)
        except BufferError:  # somebody still holds the packets of the last scan
            self._scratch = io.BytesIO()
            self._scratch.writelines(messages)
        return self._scratch.getbuffer()[:size]


def _find_regular(scan: _Scan) -> _Found:
    """Find the packets of messages in which all have one known length, and note the others.

    Most messages are so: the first prefix then tells where all the others are, and they are
    checked together.
    """
    data = np.frombuffer(scan.data, np.uint8)  # by bytes: NumPy gathers unaligned words slowly
    full = np.flatnonzero(scan.sizes >= 2 * PREFIX_SIZE)
    if not len(full):
        _note_short(scan)
        return _NOTHING
    first = scan.starts[full]
    counts = _short(data, first)
    lengths = _short(data, first + PREFIX_SIZE)
    steps = lengths + PREFIX_SIZE
    codes = _CODE_BY_LENGTH[lengths]
    regular = (PREFIX_SIZE + counts * steps == scan.sizes[full]) & (codes != _UNKNOWN)
    places = first + 2 * PREFIX_SIZE
    offsets, expected = _expect(places, lengths, counts, regular)
    wrong = (data[offsets - 1] != expected) | (data[offsets - PREFIX_SIZE] != 0)
    if wrong.any():
        owners = np.repeat(np.flatnonzero(regular), counts[regular])
        regular[owners[wrong]] = False
        offsets, _ = _expect(places, lengths, counts, regular)
    scan.irregular = full[~regular].tolist()
    _note_short(scan)
    counts = counts[regular]
    return _Found(offsets, np.repeat(codes[regular], counts), np.repeat(full[regular], counts))


def _short(data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Read a big-endian 16-bit number at each place."""
    return data[places].astype(np.int64) << 8 | data[places + 1]


def _expect(
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return where the packets of the chosen messages must be, and the low byte of each prefix."""
    counts, lengths = counts[chosen], lengths[chosen]
    low = np.repeat(lengths.astype(np.uint8), counts)  # the known lengths are below 256
    return _positions(places[chosen], lengths + PREFIX_SIZE, counts), low


def _note_short(scan: _Scan) -> None:
    """Note messages that have a count, but no room for a packet."""
    short = np.flatnonzero((scan.sizes >= PREFIX_SIZE) & (scan.sizes < 2 * PREFIX_SIZE))
    if len(short):
        scan.irregular = sorted([*scan.irregular, *short.tolist()])


def _positions(
    starts: npt.NDArray[np.int64], steps: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return start, start + step, … for `count` items of each message, one after the other."""
    if not len(starts):
        return np.empty(0, np.int64)
    ends = np.cumsum(counts)
    begins = starts - (ends - counts) * steps
    total = int(ends[-1])
    if (steps == steps[0]).all():
        step = int(steps[0])
        offsets = np.arange(0, total * step, step)
    else:
        offsets = np.arange(total) * np.repeat(steps, counts)
    offsets += np.repeat(begins, counts)
    return offsets


def _merge(regular: _Found, scan: _Scan) -> _Found:
    """Find the packets of the other messages and put them in their places."""
    if not scan.irregular:
        return regular
    mixed, broken = _hop(scan)
    parts = [regular, mixed, *(_walk(scan, message) for message in broken)]
    offsets = np.concatenate([part.offsets for part in parts])
    codes = np.concatenate([part.codes for part in parts])
    messages = np.concatenate([part.messages for part in parts])
    order = np.argsort(offsets)
    return _Found(offsets[order], codes[order], messages[order])


def _hop(scan: _Scan) -> tuple[_Found, list[int]]:
    """Find the packets of messages that mix known lengths; return the other messages, too."""
    places: list[int] = []
    whole: list[int] = []
    counts: list[int] = []
    broken: list[int] = []
    for number in scan.irregular:
        found = _hop_through(scan.messages[number])
        if found is None:
            broken.append(number)
        else:
            whole.append(number)
            counts.append(len(found))
            places += found
    if not whole:
        return _NOTHING, broken
    messages = np.repeat(np.array(whole), counts)
    offsets = np.array(places, np.int64) * PREFIX_SIZE + PREFIX_SIZE + scan.starts[messages]
    lengths = np.frombuffer(scan.data, np.uint8)[offsets - 1]  # the known ones are below 256
    return _Found(offsets, _CODE_BY_LENGTH[lengths], messages), broken


def _hop_through(message: bytes) -> list[int] | None:
    """Return the place of each length prefix, counted in shorts; None unless all is well.

    The only loop over packets, for messages whose packets differ in length: one look-up each.
    """
    if len(message) % PREFIX_SIZE:
        return None
    shorts = memoryview(message).cast("H")
    place = 1
    places: list[int] = []
    try:
        for _ in range(message[0] << 8 | message[1]):
            places.append(place)
            place += _HOPS[shorts[place]]
    except IndexError:
        return None
    return places if place == len(shorts) else None


def _walk(scan: _Scan, message: int) -> _Found:
    """Follow the length prefixes of one message; report what is unknown, cut or too much."""
    start, size = int(scan.starts[message]), int(scan.sizes[message])
    view = scan.data[start : start + size]
    count = view[0] << 8 | view[1]
    position = PREFIX_SIZE
    offsets: list[int] = []
    for _ in range(count):
        begin = position + PREFIX_SIZE
        if begin > size:
            break
        end = begin + (view[position] << 8 | view[position + 1])
        if end > size:
            break
        offsets.append(begin)
        position = end
    cut = len(offsets) < count
    places = np.array(offsets, np.int64)
    found = _sift(scan, message, view, places)
    if cut or position < size:
        scan.rejected_messages += 1
        reason = "cut message" if cut else "trailing bytes"
        head = bytes(view[position : position + HEAD_BYTES])
        scan.report(Rejection(message, position, size - position, head, reason))
    return found


def _sift(scan: _Scan, message: int, view: memoryview, places: npt.NDArray[np.int64]) -> _Found:
    """Keep the packets of known length; count the others and describe the first."""
    lengths = overlapping(view, COUNT)[places - PREFIX_SIZE] if len(places) else places
    codes = _CODE_BY_LENGTH[lengths]
    known = codes != _UNKNOWN
    unknown = np.flatnonzero(~known)
    scan.rejected_packets += len(unknown)
    for packet in unknown[:MAX_REPORTS].tolist():
        place, length = int(places[packet]), int(lengths[packet])
        head = bytes(view[place : place + min(length, HEAD_BYTES)])
        scan.report(Rejection(message, place - PREFIX_SIZE, length, head, "unknown length"))
    offsets = places[known] + scan.starts[message]
    return _Found(offsets, codes[known], np.full(len(offsets), message))
