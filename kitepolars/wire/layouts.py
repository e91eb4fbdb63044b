"""Kite's wire format as tables: packet length → fields; modes; segments.

Decoder, encoder and simulator are derived from these tables, so a new kind of packet is one new
row of `LAYOUTS`. Source: Kite Connect v3, "WebSocket streaming", and the official clients. Pure
data; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

DEPTH_LEVELS: Final = 5
"""Levels of the order book per side."""

BOOK_SIDES: Final = ("bid", "ask")
"""The sides of the order book, in the order of the wire."""

COUNT: Final = np.dtype(">u2")
"""The dtype of the packet count that starts a message, and of the length prefix of a packet."""

PREFIX_SIZE: Final = COUNT.itemsize
"""Bytes of the count and of a length prefix."""


class Mode(StrEnum):
    """How much Kite sends about an instrument; the strings ``"ltp"`` … ``"full"`` work, too.

    Attributes
    ----------
    LTP
        The last price.
    QUOTE
        Also the day's prices, volume, and total quantities.
    FULL
        Also open interest, times, and five levels of the order book.
    """

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
"""The fields that are divided by the divisor of the segment to give rupees."""

TIME_FIELDS: Final = frozenset({"exchange_timestamp", "last_trade_time"})
"""The fields that are UTC epoch seconds, 0 where absent."""

_INTEGER: Final = ">u4"
_PRICE: Final = ">i4"  # some segments have unsigned prices

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
    """One kind of packet. Its length on the wire identifies it.

    Parameters
    ----------
    name
        The name of the kind in events and statistics.
    mode
        The mode of its ticks.
    fields
        The 4-byte fields in wire order.
    depth
        Whether five bids and five asks follow the fields.
    index
        Whether Kite sends it for indices (True), for tradable instruments (False), or for both
        (None).
    """

    name: str
    mode: Mode
    fields: tuple[str, ...]
    depth: bool = False
    index: bool | None = False

    @cached_property
    def code(self) -> int:
        """The position in `LAYOUTS`, used as an array index."""
        return LAYOUTS.index(self)

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
        """The packet with its length prefix; a message contains them back to back."""
        return np.dtype([("length", COUNT), ("packet", self.dtype)])

    @property
    def length(self) -> int:
        """Bytes of the packet, without its length prefix."""
        return self.dtype.itemsize


LAYOUTS: Final = (
    Layout(name="ltp", mode=Mode.LTP, fields=_HEAD, index=None),
    Layout(name="quote", mode=Mode.QUOTE, fields=_QUOTE),
    Layout(name="full", mode=Mode.FULL, fields=_FULL, depth=True),
    Layout(name="index_quote", mode=Mode.QUOTE, fields=_INDEX, index=True),
    Layout(name="index_full", mode=Mode.FULL, fields=(*_INDEX, "exchange_timestamp"), index=True),
)
"""Every kind of packet, in the order of their codes. Append new kinds.

A later row replaces an earlier one for the same mode and instruments in what the simulator
sends; the decoder reads all of them.
"""

LTP, QUOTE, FULL, INDEX_QUOTE, INDEX_FULL = LAYOUTS[:5]

LAYOUT_BY_LENGTH: Final = {layout.length: layout for layout in LAYOUTS}
"""The kinds by their length on the wire: 8, 28, 32, 44 and 184 bytes."""

DEPTH_FIELDS: Final = tuple(
    f"{side}_{part}" for side in BOOK_SIDES for part in ("price", "quantity", "orders")
)
"""The columns of the book; each has `DEPTH_LEVELS` values per packet."""


@cache
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
    return next(
        layout
        for layout in reversed(LAYOUTS)
        if layout.mode is mode and layout.index in (index, None)
    )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment of the market, and how the wire represents its prices.

    Parameters
    ----------
    code
        The low byte of an instrument token.
    name
        The name of the segment.
    divisor
        The integer price divided by it is the price in rupees.
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
"""The segments by their code. Unknown codes are read with a divisor of 100, signed."""

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
