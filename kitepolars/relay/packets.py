"""The last packet of each instrument, and what a client gets of packets. Loop thread only.

A packet of a lower mode is the beginning of the packet of a higher one, so that a client's part is
a copy of its first bytes: nothing is decoded but the instrument tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.frames.index import TokenIndex
from kitepolars.source import Messages
from kitepolars.wire.decode import Target, decode
from kitepolars.wire.layouts import COUNT, LAYOUTS, MODES, PREFIX_SIZE, Mode, layout_for
from kitepolars.wire.scan import Packets, Scanner
from kitepolars.wire.stream import RawMessages, frame_head, frames_of

Levels = npt.NDArray[np.uint8]
"""By slot, how much of an instrument is wanted: 0 for nothing, else 1 + the mode's code."""

PACKETS_PER_MESSAGE: Final = 3_000
"""The most packets of a message that is put together here: the instruments of a connection."""

_NONE: Final = 255  # no packet yet
_LONGEST_PACKET: Final = max(layout.length for layout in LAYOUTS)
_LENGTHS: Final = native.Pinned(np.array([layout.length for layout in LAYOUTS], np.uint16))
_PARTS: Final = native.Pinned(
    np.array(
        [
            [
                0,
                *(
                    layout_for(
                        min(mode, layout.mode, key=MODES.index), index=bool(layout.index)
                    ).length
                    for mode in MODES
                ),
            ]
            for layout in LAYOUTS
        ],
        np.uint16,
    )
)
"""By the code of a layout and a level: the bytes that are sent."""


def level_of(mode: Mode) -> int:
    """Return the level of a mode; see `Levels`."""
    return MODES.index(mode) + 1


def mode_of(level: int) -> Mode:
    """Return the mode of a level above 0."""
    return MODES[level - 1]


def bytes_of(received: Sequence[bytes]) -> int:
    """Return the bytes of messages, which are not copied for that."""
    return received.size if isinstance(received, RawMessages) else sum(map(len, received))


@dataclass(frozen=True, slots=True)
class SlottedPackets:
    """Packets and their slots.

    Parameters
    ----------
    addresses, codes
        As in `Packets`.
    slots
        The slot of each packet's instrument.
    """

    addresses: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.uint8]
    slots: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def wanted(self, levels: Levels) -> Iterator[tuple[int, bytes]]:
        """Yield how many packets are wanted and their bytes, one message after the other.

        Parameters
        ----------
        levels
            How much is wanted, with a value for every slot.
        """
        out = np.empty(
            min(len(self), PACKETS_PER_MESSAGE) * (PREFIX_SIZE + _LONGEST_PACKET), np.uint8
        )
        found = np.empty(1, np.int64)
        for start in range(0, len(self), PACKETS_PER_MESSAGE):
            stop = min(start + PACKETS_PER_MESSAGE, len(self))
            size = native.select_packets(
                native.address(self.addresses[start:]),
                native.address(self.codes[start:]),
                native.address(self.slots[start:]),
                stop - start,
                native.address(levels),
                _PARTS,
                len(MODES) + 1,
                native.address(out),
                native.address(found),
            )
            if size:
                yield int(found[0]), out[:size].tobytes()

    def frames(self, levels: Levels) -> tuple[int, bytes]:
        """Return how many packets are wanted, and messages of them as WebSocket frames."""
        total, parts = 0, []
        for found, body in self.wanted(levels):
            total += found
            parts += [frame_head(PREFIX_SIZE + len(body)), found.to_bytes(COUNT.itemsize), body]
        return total, b"".join(parts)


class ReceivedPackets:
    """The packets of some records, for any number of clients.

    Parameters
    ----------
    records
        The records, in order.
    packets
        Their packets.
    slots
        The slot of each packet's instrument.
    """

    def __init__(
        self, records: Sequence[Messages], packets: Packets, slots: npt.NDArray[np.int32]
    ) -> None:
        self._records = records
        self._packets = packets
        self.selection = SlottedPackets(packets.addresses, packets.codes, slots)

    def frames(self, levels: Levels) -> tuple[int, bytes]:
        """Return what is wanted, as `SlottedPackets.frames`, if possible the bytes that came.

        Where a part of them is not valid they are not passed on.
        """
        is_valid = not (self._packets.rejected_packets or self._packets.rejected_messages)
        if is_valid and self._is_whole(levels):
            return len(self.selection), self._as_received
        return self.selection.frames(levels)

    def _is_whole(self, levels: Levels) -> bool:
        """Return whether every packet is wanted whole."""
        parts = _PARTS.array[self.selection.codes, levels[self.selection.slots]]
        return bool((parts == _LENGTHS.array[self.selection.codes]).all())

    @cached_property
    def _as_received(self) -> bytes:
        return b"".join(frames_of(record.messages) for record in self._records)


class LastPackets:
    """The last packet of each instrument, by slot.

    Examples
    --------
    >>> last = LastPackets()
    >>> message = bytes.fromhex("0001 0008 00063a01 00026683")
    >>> batch = last.read([Messages(0, 0, [message])])
    >>> last.keep(batch)
    >>> slots = last.index.slots(np.array([408065], "u4"))
    >>> last.of(slots).frames(np.array([1], "u1"))[1].hex(" ", 2)
    '820c 0001 0008 0006 3a01 0002 6683'
    """

    def __init__(self) -> None:
        self.index = TokenIndex()
        self._scanner = Scanner()
        self._kept = np.zeros((0, _LONGEST_PACKET), np.uint8)
        self._codes = np.zeros(0, np.uint8)

    def read(self, records: Sequence[Messages]) -> ReceivedPackets:
        """Find the packets of records, and the slots of their instruments."""
        items: list[bytes | RawMessages] = []
        for record in records:
            if isinstance(record.messages, RawMessages):
                items.append(record.messages)
            else:
                items += record.messages
        packets = self._scanner.scan(items)
        tokens = np.empty(len(packets), np.uint32)
        decode(packets, 0, len(packets), Target({"instrument_token": tokens}), 0)
        return ReceivedPackets(records, packets, self.index.slots(tokens))

    def keep(self, batch: ReceivedPackets) -> None:
        """Keep the last packet of each instrument."""
        self._grow()
        chosen = batch.selection
        native.keep_last(
            native.address(chosen.addresses),
            native.address(chosen.codes),
            native.address(chosen.slots),
            len(chosen),
            _LENGTHS,
            _LONGEST_PACKET,
            native.address(self._kept),
            native.address(self._codes),
        )

    def forget(self, slots: npt.NDArray[np.int32]) -> None:
        """Forget the packets of instruments: they are not up to date any more."""
        self._grow()
        self._codes[slots] = _NONE

    def of(self, slots: npt.NDArray[np.int32]) -> SlottedPackets:
        """Return the last packets of those instruments that have one. Use it before `keep`."""
        self._grow()
        have = slots[self._codes[slots] != _NONE]
        addresses = native.address(self._kept) + have.astype(np.uint64) * np.uint64(_LONGEST_PACKET)
        return SlottedPackets(addresses, self._codes[have], have)

    def _grow(self) -> None:
        """Make room for every instrument of the index."""
        if (missing := len(self.index) - len(self._codes)) > 0:
            room = max(missing, len(self._codes))
            self._kept = np.concatenate([self._kept, np.zeros((room, _LONGEST_PACKET), np.uint8)])
            self._codes = np.concatenate([self._codes, np.full(room, _NONE, np.uint8)])
