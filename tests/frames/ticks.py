"""Fills a store from messages, as the pipeline does, without a loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kitepolars.frames.store import TickStore
from kitepolars.wire.layouts import FULL, Layout
from kitepolars.wire.scan import Scanner


def packet_message(
    tokens: Sequence[int],
    prices: Sequence[float],
    layout: Layout = FULL,
    second: int = 1_625_461_887,
) -> bytes:
    """One message of packets of one layout; prices in rupees, everything else derived."""
    packets = np.zeros(len(tokens), layout.framed_dtype)
    packets["length"] = layout.length
    for name in layout.fields[1:]:
        packets["packet"][name] = np.round(np.asarray(prices) * 100)
    packets["packet"]["instrument_token"] = tokens
    if "exchange_timestamp" in layout.fields:
        packets["packet"]["exchange_timestamp"] = second
    if layout.depth:
        packets["packet"]["last_trade_time"] = 0
        for side in ("bids", "asks"):
            packets["packet"][side]["price"] = np.round(np.asarray(prices) * 100)[:, None]
            packets["packet"][side]["quantity"] = np.arange(5)
            packets["packet"][side]["orders"] = np.arange(5) + 1
    return np.array(len(tokens), ">u2").tobytes() + packets.tobytes()


def push(store: TickStore, messages: Sequence[bytes], at: int = 1_700_000_000_000_000) -> None:
    """Append the ticks of messages to a store."""
    packets = Scanner().scan(list(messages))
    store.write(packets, np.array([(at, 0, len(messages))], np.int64), lambda _: None)
