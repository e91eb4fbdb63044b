"""Binary messages → columns. Holds scratch memory only; one `Decoder` a thread.

Nothing here raises on what a server sends. Work is done on arrays, over many
messages at once: `Decoder.scan` finds the packets of a batch of messages, and
`Decoder.decode` writes a range of them into preallocated columns.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import (
    COUNT,
    DEFAULT_DIVISOR,
    DEPTH_ENTRY,
    DEPTH_LEVELS,
    LAYOUTS,
    PREFIX_SIZE,
    PRICE_FIELDS,
    SEGMENT_MASK,
    SEGMENTS,
    TIME_FIELDS,
    Layout,
    segment_divisors,
    segment_signs,
)

BLOCK_ROWS: Final = 2_000
"""Packets that are decoded together: their bytes and their columns fit a core's cache."""

MICROSECONDS: Final = 1_000_000
"""Microseconds a second: times leave the wire in seconds and enter columns in microseconds."""

HEAD_BYTES: Final = 16
"""How many of a rejected packet's first bytes are kept."""

MAX_REPORTS: Final = 16
"""How many rejections of one scan are described; all are counted."""

_UNKNOWN: Final = len(LAYOUTS)

_CODE_BY_LENGTH: Final = np.full(2**16, _UNKNOWN, np.uint8)
for _layout in LAYOUTS:
    _CODE_BY_LENGTH[_layout.length] = _layout.code

_DIVISORS: Final = segment_divisors()
_SIGNED: Final = segment_signs()
_PLAIN: Final = (_DIVISORS == DEFAULT_DIVISOR) & _SIGNED
_KNOWN_SEGMENT: Final = np.isin(np.arange(SEGMENT_MASK + 1), list(SEGMENTS))

_RAW: Final = np.dtype(">u4")
_SIGNED_RAW: Final = np.dtype(">i4")

SIDES: Final = ("bid", "ask")
"""The sides of the book in wire order, as the depth columns' names begin."""

Columns = Mapping[str, npt.NDArray[Any]]


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
        The messages, joined. The memory is the decoder's: valid until its next scan.
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


@dataclass(slots=True)
class _Findings:
    """What a scan found wrong."""

    packets: int = 0
    messages: int = 0
    reports: list[Rejection] = field(default_factory=list)

    def report(self, rejection: Rejection) -> None:
        if len(self.reports) < MAX_REPORTS:
            self.reports.append(rejection)


def _overlapping(data: memoryview, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """View the bytes as one item at every byte offset, so that indexing copies unaligned items."""
    kind = np.dtype(dtype)
    items = max(0, len(data) - kind.itemsize + 1)
    return np.ndarray((items,), kind, data, strides=(1,))


def _ranges(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 0, 1, …, n - 1 for each n of `counts`, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - counts, counts)


class Decoder:
    """Scans and decodes batches of messages. Not safe for use by two threads at once.

    Examples
    --------
    >>> decoder = Decoder()
    >>> message = bytes.fromhex("0001 0008 00063a01 00026683")
    >>> packets = decoder.scan([message])
    >>> columns = {"instrument_token": np.zeros(1, "u4"), "last_price": np.zeros(1)}
    >>> decoder.decode(packets, 0, 1, columns, 0)
    array([], dtype=int64)
    >>> columns["instrument_token"], columns["last_price"]
    (array([408065], dtype=uint32), array([1573.15]))
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
        starts = ends - sizes
        data = self._join(messages, int(ends[-1]) if len(ends) else 0)
        findings = _Findings()
        offsets = self._find(data, starts, sizes, findings)
        lengths = _overlapping(data, COUNT)[offsets - PREFIX_SIZE] if len(offsets) else offsets
        codes = _CODE_BY_LENGTH[lengths]
        owners = np.searchsorted(starts, offsets, "right") - 1
        known = codes != _UNKNOWN
        if not known.all():
            rejected = np.flatnonzero(~known)
            findings.packets += len(rejected)
            for packet in rejected[:MAX_REPORTS]:
                owner = int(owners[packet])
                start = int(starts[owner])
                findings.report(_describe_unknown(data, int(offsets[packet]), owner, start))
            offsets, codes, owners = offsets[known], codes[known], owners[known]
        return Packets(
            data,
            offsets,
            codes,
            owners,
            findings.packets,
            findings.messages,
            tuple(findings.reports),
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

    def _find(
        self,
        data: memoryview,
        starts: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        findings: _Findings,
    ) -> npt.NDArray[np.int64]:
        """Return where every packet of the batch begins, in ascending order.

        Most messages hold packets of one length, so that all positions are known from the first;
        they are checked together, and only the others are walked.
        """
        full = np.flatnonzero(sizes >= PREFIX_SIZE)
        if not len(full):
            return np.empty(0, np.int64)
        shorts = _overlapping(data, COUNT)
        first = starts[full]
        counts = shorts[first].astype(np.int64)
        has_packet = np.flatnonzero(sizes[full] >= 2 * PREFIX_SIZE)
        lengths = np.zeros(len(full), np.int64)
        lengths[has_packet] = shorts[first[has_packet] + PREFIX_SIZE]
        uniform = PREFIX_SIZE + counts * (PREFIX_SIZE + lengths) == sizes[full]
        regular = np.flatnonzero(uniform)
        within = _ranges(counts[regular])
        owner = np.repeat(regular, counts[regular])
        prefixes = first[owner] + PREFIX_SIZE + within * (PREFIX_SIZE + lengths[owner])
        wrong = shorts[prefixes] != lengths[owner]
        if wrong.any():
            uniform[owner[wrong]] = False
            prefixes = prefixes[uniform[owner]]
        offsets = prefixes + PREFIX_SIZE
        if uniform.all():
            return offsets
        walked = [
            _walk(data, int(message), int(starts[message]), int(sizes[message]), findings)
            for message in full[~uniform]
        ]
        return np.sort(np.concatenate([offsets, *walked]))

    def decode(
        self, packets: Packets, start: int, stop: int, columns: Columns, row: int
    ) -> npt.NDArray[np.int64]:
        """Write packets into columns, in rows `row` to ``row + stop - start``.

        Only the fields that a packet has are written. Prices are in rupees, divided by the
        segment's divisor exactly; times are microseconds since the epoch, UTC, 0 where absent.

        Parameters
        ----------
        packets
            What the last `scan` of this decoder returned.
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
            base = row + low - start
            if (codes == codes[0]).all():
                where: slice | npt.NDArray[np.int64] = slice(base, base + high - low)
                layout = LAYOUTS[codes[0]]
                unknown |= _decode_block(
                    packets.data, packets.offsets[low:high], layout, columns, where
                )
                continue
            for layout in LAYOUTS:
                chosen = np.flatnonzero(codes == layout.code)
                if len(chosen):
                    unknown |= _decode_block(
                        packets.data, packets.offsets[low + chosen], layout, columns, base + chosen
                    )
        return np.array(sorted(unknown), np.int64)


def _walk(
    data: memoryview, message: int, start: int, size: int, findings: _Findings
) -> npt.NDArray[np.int64]:
    """Follow the length prefixes of one message; report where it is cut or goes on too long."""
    view = data[start : start + size]
    count = view[0] << 8 | view[1]
    position = PREFIX_SIZE
    offsets: list[int] = []
    for _ in range(count):
        begin = position + PREFIX_SIZE
        if begin > size:
            break
        position = begin + (view[begin - 2] << 8 | view[begin - 1])
        if position > size:
            position = begin - PREFIX_SIZE
            break
        offsets.append(begin)
    cut = len(offsets) < count
    if cut or position < size:
        findings.messages += 1
        reason = "cut message" if cut else "trailing bytes"
        head = bytes(view[position : position + HEAD_BYTES])
        findings.report(Rejection(message, position, size - position, head, reason))
    return np.array(offsets, np.int64) + start


def _describe_unknown(data: memoryview, offset: int, owner: int, start: int) -> Rejection:
    """Describe a packet whose length is in no layout."""
    length = data[offset - 2] << 8 | data[offset - 1]
    head = bytes(data[offset : offset + min(length, HEAD_BYTES)])
    return Rejection(owner, offset - PREFIX_SIZE - start, length, head, "unknown length")


@dataclass(frozen=True, slots=True)
class _Block:
    """Packets of one layout and the rows that they become.

    `odd` are the packets whose segment has another divisor or unsigned prices, and
    `odd_segments` their segment codes: everything is read as the plain segments are, and these
    few are then read again.
    """

    data: memoryview
    offsets: npt.NDArray[np.int64]
    rows: slice | npt.NDArray[np.int64]
    odd: npt.NDArray[np.int64]
    odd_segments: npt.NDArray[np.uint8]

    def gather(self, skip: int, size: int) -> npt.NDArray[np.uint32]:
        """Copy `size` bytes of each packet, from byte `skip` on, as rows of big-endian words."""
        return _gather(self.data, self.offsets, skip, size)

    def target(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the block's rows of a column, or scratch memory for scattered ones."""
        if isinstance(self.rows, slice):
            return column[self.rows]
        return np.empty((len(self.rows), *column.shape[1:]), column.dtype)

    def settle(self, column: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
        """Put what was written into scratch memory where it belongs."""
        if not isinstance(self.rows, slice):
            column[self.rows] = values


def _gather(
    data: memoryview, offsets: npt.NDArray[np.int64], skip: int, size: int
) -> npt.NDArray[np.uint32]:
    items: npt.NDArray[Any] = _overlapping(data[skip:], f"V{size}")[offsets]
    words: npt.NDArray[np.uint32] = items.view(_RAW).reshape(len(offsets), size // _RAW.itemsize)
    return words


def _decode_block(
    data: memoryview,
    offsets: npt.NDArray[np.int64],
    layout: Layout,
    columns: Columns,
    rows: slice | npt.NDArray[np.int64],
) -> set[int]:
    """Decode packets of one layout into rows; return the unknown segment codes among them."""
    head = _gather(data, offsets, 0, len(layout.fields) * _RAW.itemsize)
    segments = (head[:, 0] & SEGMENT_MASK).astype(np.uint8)
    odd = np.flatnonzero(~_PLAIN[segments])
    block = _Block(data, offsets, rows, odd, segments[odd])
    for position, name in enumerate(layout.fields):
        if name in columns:
            _STORE[name](block, columns[name], head[:, position])
    if layout.depth:
        _decode_depth(block, layout, columns)
    return set(segments[~_KNOWN_SEGMENT[segments]].tolist())


def _decode_depth(block: _Block, layout: Layout, columns: Columns) -> None:
    """Decode both sides of the book.

    All levels of all packets of a side are one strided run, since loops over five items are slow.
    """
    size = DEPTH_LEVELS * DEPTH_ENTRY.itemsize
    for number, side in enumerate(SIDES):
        skip = len(layout.fields) * _RAW.itemsize + number * size
        words = block.gather(skip, size).reshape(-1, DEPTH_ENTRY.itemsize // _RAW.itemsize)
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
    flat /= DEFAULT_DIVISOR
    if len(block.odd):
        packets = len(block.offsets)
        again = raw.reshape(packets, -1)[block.odd].astype(np.int64)
        signed = _SIGNED[block.odd_segments]
        again[signed] = again[signed].astype(np.uint32).view(np.int32)
        divisors = _DIVISORS[block.odd_segments]
        values.reshape(packets, -1)[block.odd] = again / divisors[:, np.newaxis]
    block.settle(column, values)


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
