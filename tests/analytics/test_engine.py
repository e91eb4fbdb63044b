"""The pass reads the same ticks from a frame and from a buffer, wherever they are cut."""

from __future__ import annotations

import datetime as dt

import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from frames.ticks import push
from kitepolars import CandleBuilder
from kitepolars.frames import store as store_module
from kitepolars.frames.buffers import Rows
from kitepolars.frames.store import TickStore
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import FULL, LTP, QUOTE, Layout

OPENS = int(dt.datetime(2026, 11, 20, 3, 45, tzinfo=dt.UTC).timestamp())
NAMES = {408065: "NSE:INFY", 260105: "NSE:NIFTY BANK", 2953217: None, 128083204: "BFO:A"}
PARTS = "price", "quantity", "orders"

TICKS = st.lists(
    st.tuples(
        st.sampled_from([*NAMES]),
        st.sampled_from([FULL, QUOTE, LTP]),
        st.integers(1, 5_000),  # price
        st.integers(0, 400),  # volume
        st.integers(0, 90),  # seconds since the tick before
    ),
    min_size=1,
    max_size=60,
)


def message(layout: Layout, token: int, price: int, volume: int, time: int) -> bytes:
    columns: dict[str, npt.ArrayLike] = {name: [0] for name in layout.fields}
    columns |= {f"{side}_{part}": [[0] * 5] for side in ("bid", "ask") for part in PARTS}
    columns |= {"instrument_token": [token], "last_price": [price], "volume_traded": [volume]}
    columns |= {"exchange_timestamp": [time], "last_trade_time": [time]}
    return encode_message(encode_packets(layout, columns))


@pytest.mark.filterwarnings("ignore::kitepolars.ArrivalTimeWarning")
@settings(max_examples=60)
@given(TICKS, st.lists(st.integers(1, 20), max_size=8))
def test_rows_in_place_are_the_ticks_of_their_frame(
    ticks: list[tuple[int, Layout, int, int, int]], flushes: list[int]
) -> None:
    store = TickStore()
    store.name_instruments(lambda tokens: [NAMES[token] for token in tokens])
    in_place, from_frames = CandleBuilder("1m", hours="any"), CandleBuilder("1m", hours="any")
    taken, time, ways = 0, OPENS, set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "SMALLEST_CHUNK", 8)
        patch.setattr(store_module, "CHUNK_ROWS", 16)
        for number, (token, layout, price, volume, seconds) in enumerate(ticks):
            time += seconds
            push(store, [message(layout, token, price, volume, time)], at=time * 1_000_000)
            if number in flushes or number == len(ticks) - 1:
                rows = store.held.rows_since(taken)
                ways.add(type(rows))
                in_place.update(rows)
                from_frames.update(store.held.since(taken))
                taken = store.held.total
                assert_frame_equal(in_place.frame(), from_frames.frame())
    assert ways <= {Rows, pl.DataFrame}
    assert in_place.rows == len(ticks)
