"""The packets of a message as NumPy views of its bytes, neither copied nor scaled. Any thread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import COUNT, LAYOUT_BY_LENGTH, PREFIX_SIZE, Layout


class PacketRun(NamedTuple):
    """Consecutive packets of one kind in a message.

    Parameters
    ----------
    layout
        The kind.
    packets
        A read-only structured array on the bytes of the message, in wire order: big-endian
        integers, undivided prices, times in seconds; ``bids`` and ``asks`` of shape
        ``(n, 5)``.
    """

    layout: Layout
    packets: npt.NDArray[np.void]


def packets(message: bytes) -> list[PacketRun]:
    """Return the packets of a binary message as views of its bytes, run by run.

    Packets of unknown length are skipped, and so is the rest of a truncated message.

    Parameters
    ----------
    message
        The bytes of a message: ``data`` of what `Ticker.on_message` delivers.

    Returns
    -------
    list of PacketRun
        Runs of consecutive packets of one kind, in order; empty for a heartbeat.

    Examples
    --------
    >>> message = bytes.fromhex("0002 0008 00063a01 00026683 0008 000d8001 0000fde8")
    >>> run, = packets(message)
    >>> run.layout.name, run.packets["instrument_token"].tolist(), run.packets["last_price"] / 100
    ('ltp', [408065, 884737], array([1573.15,  650.  ]))
    """
    runs: list[PacketRun] = []
    for length, start, count in _runs(message):
        layout = LAYOUT_BY_LENGTH.get(length)
        if layout is not None:
            stride = (PREFIX_SIZE + length,)
            view = np.ndarray((count,), layout.dtype, message, start, stride)
            runs.append(PacketRun(layout, view))
    return runs


def _runs(message: bytes) -> list[tuple[int, int, int]]:
    """Return length, offset and number of packets for each run of packets of equal length."""
    if len(message) < PREFIX_SIZE:
        return []
    runs: list[tuple[int, int, int]] = []
    left = int.from_bytes(message[:PREFIX_SIZE])
    position = PREFIX_SIZE
    while left and position + PREFIX_SIZE <= len(message):
        length = int.from_bytes(message[position : position + PREFIX_SIZE])
        step = PREFIX_SIZE + length
        most = min(left, (len(message) - position) // step)
        if not most:
            break
        prefixes = np.ndarray((most,), COUNT, message, position, (step,))
        other = np.flatnonzero(prefixes != length)
        count = int(other[0]) if len(other) else most
        runs.append((length, position + PREFIX_SIZE, count))
        position += count * step
        left -= count
    return runs
