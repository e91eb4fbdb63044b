"""The one table of Kite's wire: packet length → fields; modes; segments.

Decoder, encoder, simulator, schema and documentation derive from the rows
here, so a new kind of packet is one new `Layout`. Source: Kite Connect v3,
"WebSocket streaming", and the official clients. Pure data, no I/O; safe to
read from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

DEPTH_LEVELS: Final = 5
"""Levels of the order book on each side."""

COUNT: Final = np.dtype(">u2")
"""The packet count that opens a binary message, and each packet's length prefix."""

PREFIX_SIZE: Final = COUNT.itemsize
"""Bytes of the count and of a length prefix."""


class Mode(StrEnum):
    """How much of an instrument Kite sends. ``"ltp"``, ``"quote"`` and ``"full"`` work too."""

    LTP = "ltp"
    QUOTE = "quote"
    FULL = "full"


MODES: Final = tuple(Mode)
"""The modes in the order of their codes 0, 1, 2."""

PRICE_FIELDS: Final = frozenset(
    {
        "last_price",
        "average_traded_price",
        "open",
        "high",
        "low",
        "close",
        "price_change",
        "bid_price",
        "ask_price",
    }
)
"""The fields that are scaled by the segment's divisor (rupees after the division)."""

TIME_FIELDS: Final = frozenset({"exchange_timestamp", "last_trade_time"})
"""The fields that are UTC epoch seconds, 0 where absent."""

_INTEGER: Final = ">u4"
_PRICE: Final = ">i4"  # signed, but for the segments that say otherwise

_HEAD: Final = ("instrument_token", "last_price")
_TRADED: Final = (
    "last_traded_quantity",
    "average_traded_price",
    "volume_traded",
    "total_buy_quantity",
    "total_sell_quantity",
)
_OPEN_INTEREST: Final = ("oi", "oi_day_high", "oi_day_low")
_INDEX: Final = (*_HEAD, "high", "low", "open", "close", "price_change")
_QUOTE: Final = (*_HEAD, *_TRADED, "open", "high", "low", "close")
_FULL: Final = (*_QUOTE, "last_trade_time", *_OPEN_INTEREST, "exchange_timestamp")

DEPTH_ENTRY: Final = np.dtype(
    {
        "names": ["quantity", "price", "orders"],
        "formats": [_INTEGER, _PRICE, ">u2"],
        "offsets": [0, 4, 8],
        "itemsize": 12,
    }
)
"""One level of one side of the book: 4 + 4 + 2 bytes and 2 of padding."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One kind of packet. Its length on the wire is its type.

    Parameters
    ----------
    name
        What the kind is called in events and statistics.
    code
        A dense number of the kind, used as an array index.
    mode
        The mode of the ticks that it yields.
    fields
        The 4-byte fields in wire order.
    depth
        Whether five bids and five asks follow the fields.
    index
        Whether it carries an index, which is not tradable.
    """

    name: str
    code: int
    mode: Mode
    fields: tuple[str, ...]
    depth: bool = False
    index: bool = False

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The packet as a packed big-endian structured dtype."""
        scalars: list[Any] = [
            (field, _PRICE if field in PRICE_FIELDS else _INTEGER) for field in self.fields
        ]
        book: list[Any] = [(side, DEPTH_ENTRY, (DEPTH_LEVELS,)) for side in ("bids", "asks")]
        return np.dtype(scalars + (book if self.depth else []))

    @cached_property
    def framed_dtype(self) -> np.dtype[np.void]:
        """The packet with its length prefix: what stands in a message, back to back."""
        return np.dtype([("length", COUNT), ("packet", self.dtype)])

    @property
    def length(self) -> int:
        """Bytes of the packet, without its length prefix."""
        return self.dtype.itemsize


LTP: Final = Layout(name="ltp", code=0, mode=Mode.LTP, fields=_HEAD)
QUOTE: Final = Layout(name="quote", code=1, mode=Mode.QUOTE, fields=_QUOTE)
FULL: Final = Layout(name="full", code=2, mode=Mode.FULL, fields=_FULL, depth=True)
INDEX_QUOTE: Final = Layout(name="index_quote", code=3, mode=Mode.QUOTE, fields=_INDEX, index=True)
INDEX_FULL: Final = Layout(
    name="index_full",
    code=4,
    mode=Mode.FULL,
    fields=(*_INDEX, "exchange_timestamp"),
    index=True,
)

LAYOUTS: Final = (LTP, QUOTE, FULL, INDEX_QUOTE, INDEX_FULL)
"""Every kind of packet, in the order of their codes."""

LAYOUT_BY_LENGTH: Final = {layout.length: layout for layout in LAYOUTS}
"""The kinds by their length on the wire: 8, 28, 32, 44 and 184 bytes."""


def layout_for(mode: Mode, *, index: bool) -> Layout:
    """Return the kind of packet that Kite sends for an instrument in a mode.

    Parameters
    ----------
    mode
        The subscribed mode.
    index
        Whether the instrument is an index (segment code 9).

    Examples
    --------
    >>> layout_for(Mode.FULL, index=True).name
    'index_full'
    """
    if mode is Mode.LTP:
        return LTP
    if index:
        return INDEX_QUOTE if mode is Mode.QUOTE else INDEX_FULL
    return QUOTE if mode is Mode.QUOTE else FULL


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment of the market and how its prices are written on the wire.

    Parameters
    ----------
    code
        The low byte of an instrument token.
    name
        The exchange segment's name.
    divisor
        Integer prices are divided by this to give rupees.
    signed
        Whether prices are signed 32-bit integers.
    tradable
        False for indices.
    """

    code: int
    name: str
    divisor: int = 100
    signed: bool = True
    tradable: bool = True


SEGMENTS: Final = {
    segment.code: segment
    for segment in (
        Segment(code=1, name="NSE"),
        Segment(code=2, name="NFO"),
        Segment(code=3, name="CDS", divisor=10_000_000, signed=False),
        Segment(code=4, name="BSE"),
        Segment(code=5, name="BFO"),
        Segment(code=6, name="BCD", divisor=10_000, signed=False),
        Segment(code=7, name="MCX"),
        Segment(code=8, name="MCXSX"),
        Segment(code=9, name="INDICES", tradable=False),
        Segment(code=12, name="NCO", divisor=10_000, signed=False),
    )
}
"""The segments by their code. A code that is not here is read as a divisor of 100, signed."""

DEFAULT_DIVISOR: Final = 100
"""The divisor of most segments, and of unknown ones."""

SEGMENT_MASK: Final = 0xFF
"""``instrument_token & SEGMENT_MASK`` is the segment code."""


def segment_divisors() -> npt.NDArray[np.float64]:
    """Return the 256 price divisors, by segment code."""
    divisors = np.full(SEGMENT_MASK + 1, DEFAULT_DIVISOR, np.float64)
    for segment in SEGMENTS.values():
        divisors[segment.code] = segment.divisor
    return divisors


def segment_signs() -> npt.NDArray[np.bool_]:
    """Return, by segment code, whether prices are signed."""
    signed = np.ones(SEGMENT_MASK + 1, np.bool_)
    for segment in SEGMENTS.values():
        signed[segment.code] = segment.signed
    return signed
