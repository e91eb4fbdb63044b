"""The decoder against the official client's parser, on the same random bytes.

Where the two disagree the decision is ours and stated: the official client
reads prices as unsigned and NCO's with a divisor of 100.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from kiteconnect import KiteTicker

from kitepolars.wire.decode import Target, decode
from kitepolars.wire.encode import encode_message
from kitepolars.wire.layouts import LAYOUTS, PRICE_FIELDS, Layout
from kitepolars.wire.scan import Scanner

from wire.test_decode import empty_columns  # isort: skip

AGREED_SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8)
INDICES = 9
OFFICIAL_NAMES = {
    "last_traded_quantity": "last_traded_quantity",
    "average_traded_price": "average_traded_price",
    "volume_traded": "volume_traded",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "oi": "oi",
    "oi_day_high": "oi_day_high",
    "oi_day_low": "oi_day_low",
}


def random_packets(layout: Layout, rows: int, seed: int) -> np.ndarray[Any, np.dtype[np.void]]:
    rng = np.random.default_rng(seed)
    framed = np.zeros(rows, layout.framed_dtype)
    framed["length"] = layout.length
    packet = framed["packet"]
    for field in layout.fields:
        high = 2**31 if field in PRICE_FIELDS else 2**32
        packet[field] = rng.integers(1, high, rows)
    segments = [INDICES] if layout.index else AGREED_SEGMENTS
    packet["instrument_token"] = rng.integers(1, 2**24, rows) << 8 | rng.choice(segments, rows)
    if layout.depth:
        for side in ("bids", "asks"):
            packet[side]["quantity"] = rng.integers(0, 2**32, (rows, 5))
            packet[side]["price"] = rng.integers(0, 2**31, (rows, 5))
            packet[side]["orders"] = rng.integers(0, 2**16, (rows, 5))
    return framed


def microseconds(time: datetime | None) -> int:
    return 0 if time is None else round(time.timestamp()) * 1_000_000


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("seed", range(3))
def test_values_agree(layout: Layout, seed: int) -> None:
    message = encode_message(random_packets(layout, 200, seed))
    official = KiteTicker("key", "token")._parse_binary(message)
    packets = Scanner().scan([message])
    columns = empty_columns(len(packets))
    decode(packets, 0, len(packets), Target(columns), 0)
    assert len(official) == len(packets) == 200
    for row, tick in enumerate(official):
        assert columns["instrument_token"][row] == tick["instrument_token"]
        assert columns["last_price"][row] == tick["last_price"]
        for ours, theirs in OFFICIAL_NAMES.items():
            if theirs in tick:
                assert columns[ours][row] == tick[theirs], ours
        for side, theirs in (("bid", "buy"), ("ask", "sell")):
            for level, entry in enumerate(tick.get("depth", {}).get(theirs, [])):
                for name in ("price", "quantity", "orders"):
                    assert columns[f"{side}_{name}"][row, level] == entry[name]
        for name, value in tick.get("ohlc", {}).items():
            assert columns[name][row] == value, name
        for name in ("exchange_timestamp", "last_trade_time"):
            if name in tick:
                assert columns[name][row] == microseconds(tick[name])
