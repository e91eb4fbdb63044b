"""Arrays → Kite's binary messages: the inverse of the decoder, for the simulator and tests.

Packets are written through the structured dtypes of `wire.layouts`. Pure functions; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import (
    BOOK_SIDES,
    COUNT,
    PRICE_FIELDS,
    SEGMENT_MASK,
    Layout,
    segment_divisors,
    segment_signs,
)

__all__ = [
    "MAX_PACKETS",
    "encode_message",
    "encode_messages",
    "encode_packets",
    "join_packets",
    "scale_prices",
]

MAX_PACKETS: Final = int(np.iinfo(COUNT).max)
"""The most packets per message: 65,535."""

_DIVISORS: Final = segment_divisors()
_SIGNED: Final = segment_signs()
_LOW_32: Final = 0xFFFF_FFFF
_INT32: Final = np.iinfo(np.int32)


def scale_prices(rupees: npt.ArrayLike, instrument_tokens: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Convert rupees to the integers that Kite sends in the segments of the tokens.

    The product with the divisor of the segment is rounded to the nearest integer, halves to even.

    Parameters
    ----------
    rupees
        Prices of shape ``(n, …)``.
    instrument_tokens
        Tokens of shape ``(n,)``; their low byte is the segment code.

    Raises
    ------
    ValueError
        A price is not finite, or does not fit into 32 bits (signed in most segments, unsigned in
        CDS, BCD and NCO).

    Examples
    --------
    >>> scale_prices([1573.7, 88.4125], [408065, 1027 << 8 | 3]).tolist()
    [157370, 884125000]
    """
    prices = np.asarray(rupees, np.float64)
    segments = np.asarray(instrument_tokens, np.int64) & SEGMENT_MASK
    scalar_axes = (...,) + (np.newaxis,) * (prices.ndim - segments.ndim)
    with np.errstate(over="ignore"):  # infinity is rejected below
        scaled = np.rint(prices * _DIVISORS[segments][scalar_axes])
    signed = _SIGNED[segments][scalar_axes]
    low = np.where(signed, _INT32.min, 0)
    high = np.where(signed, _INT32.max, _LOW_32)
    fits = (scaled >= low) & (scaled <= high)
    if not fits.all():
        worst = float(prices[~fits].flat[0])
        raise ValueError(f"a price of {worst!r} rupees does not fit into 32 bits in its segment")
    integers: npt.NDArray[np.int64] = scaled.astype(np.int64)
    return integers


def encode_packets(layout: Layout, columns: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.void]:
    """Encode packets of one kind, each with its length prefix.

    Parameters
    ----------
    layout
        The kind.
    columns
        The integers of the wire by field name: every field of the layout with
        shape ``(n,)`` and, where it has depth, ``bid_price``, ``ask_price``,
        ``bid_quantity``, ``ask_quantity``, ``bid_orders`` and ``ask_orders``
        with shape ``(n, 5)``, best first. Further columns are ignored.

    Returns
    -------
    NDArray
        ``n`` packets with prefix (``layout.framed_dtype``), ready for a message.

    Raises
    ------
    KeyError
        A field of the layout is missing.
    ValueError
        A value does not fit into its field. A price may be any signed or unsigned 32-bit integer.

    Examples
    --------
    >>> from kitepolars.wire.layouts import LTP
    >>> packets = encode_packets(LTP, {"instrument_token": [408065], "last_price": [157370]})
    >>> packets.tobytes().hex(" ", 2)
    '0008 0006 3a01 0002 66ba'
    """
    tokens = np.asarray(columns["instrument_token"])
    framed: npt.NDArray[np.void] = np.zeros(len(tokens), layout.framed_dtype)
    framed["length"] = layout.length
    packet = framed["packet"]
    for field in layout.fields:
        packet[field] = _fit(field, columns[field], packet.dtype[field])
    for side in BOOK_SIDES if layout.depth else ():
        book = packet[f"{side}s"]
        for part in ("quantity", "price", "orders"):
            field = f"{side}_{part}"
            book[part] = _fit(field, columns[field], book.dtype[part])
    return framed


def _fit(field: str, values: npt.ArrayLike, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Check that integers fit into a field, and convert them to its dtype."""
    integers = np.asarray(values)
    if integers.dtype.kind not in "iu":
        raise ValueError(f"{field} must be integers, not {integers.dtype}")
    info = np.iinfo(dtype)
    is_price = field in PRICE_FIELDS
    low, high = int(info.min), _LOW_32 if is_price else int(info.max)
    if integers.size and (integers.min() < low or integers.max() > high):
        raise ValueError(f"{field} must be within {low} … {high}")
    # An unsigned price of 2³¹ or more keeps its bits: the cast wraps.
    return integers.astype(dtype)


def encode_message(*framed: npt.NDArray[np.void]) -> bytes:
    """Join encoded packets of any kinds into one binary message.

    Raises
    ------
    ValueError
        There are more than 65,535 packets; `encode_messages` splits them.

    Examples
    --------
    >>> encode_message().hex()
    '0000'
    """
    count = sum(map(len, framed))
    if count > MAX_PACKETS:
        raise ValueError(
            f"{count} packets are more than the {MAX_PACKETS} that fit into one message"
        )
    return _with_count(count, (packets.tobytes() for packets in framed))


def encode_messages(
    framed: Sequence[npt.NDArray[np.void]], *, max_packets: int = MAX_PACKETS
) -> list[tuple[int, bytes]]:
    """Join encoded packets of any kinds into as few messages as possible.

    Parameters
    ----------
    framed
        Arrays from `encode_packets`; their order is preserved.
    max_packets
        The most packets per message, 1 … 65,535.

    Returns
    -------
    list of (int, bytes)
        Number of packets and bytes of each message; empty without packets.

    Raises
    ------
    ValueError
        ``max_packets`` is out of range.
    """
    if not 1 <= max_packets <= MAX_PACKETS:
        raise ValueError(f"max_packets must be 1 … {MAX_PACKETS}, not {max_packets}")
    messages = []
    waiting: list[npt.NDArray[np.void]] = []
    room = max_packets
    for packets in framed:
        start = 0
        while start < len(packets):
            # An array may span several messages, and a message several arrays.
            part = packets[start : start + room]
            waiting.append(part)
            start += len(part)
            room -= len(part)
            if not room:
                messages.append((max_packets, encode_message(*waiting)))
                waiting, room = [], max_packets
    if waiting:
        messages.append((max_packets - room, encode_message(*waiting)))
    return messages


def join_packets(packets: Iterable[bytes]) -> bytes:
    """Join packets of any length, valid or not, into one message.

    Examples
    --------
    >>> join_packets([b"ab", b"c"]).hex(" ", 2)
    '00 0200 0261 6200 0163'
    """
    bodies = list(packets)
    return _with_count(
        len(bodies), (len(body).to_bytes(COUNT.itemsize, "big") + body for body in bodies)
    )


def _with_count(count: int, parts: Iterable[bytes]) -> bytes:
    return b"".join((count.to_bytes(COUNT.itemsize, "big"), *parts))
