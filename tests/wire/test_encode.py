"""Arrays → bytes, anchored by packets whose bytes are stated here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.wire.encode import (
    MAX_PACKETS,
    encode_message,
    encode_messages,
    encode_packets,
    join_packets,
    scale_prices,
)
from kitepolars.wire.layouts import (
    DEPTH_LEVELS,
    FULL,
    INDEX_FULL,
    LAYOUTS,
    LTP,
    PRICE_FIELDS,
    QUOTE,
    SEGMENTS,
    Layout,
)

INFY_QUOTE = bytes.fromhex(
    "00063a01"  # instrument_token 408065
    "000266ba"  # last_price 1573.70
    "00000007"  # last_traded_quantity 7
    "0002656d"  # average_traded_price 1570.37
    "00123217"  # volume_traded 1192471
    "0003e9bb"  # total_buy_quantity 256443
    "00058a01"  # total_sell_quantity 363009
    "000264f3"  # open 1569.15
    "0002673c"  # high 1575.00
    "000261c9"  # low 1561.05
    "0002646c"  # close 1567.80
)
INFY_FULL = INFY_QUOTE + bytes.fromhex(
    "60e2947f"  # last_trade_time 2021-07-05 10:41:27 IST
    "000000000000000000000000"  # oi, oi_day_high, oi_day_low
    "60e2947f"  # exchange_timestamp
    "000000050002669c00010000"  # 5 at 1573.40, 1 order
    "0000008c0002667400020000"
    "000000020002666f00010000"
    "000000db0002666a00070000"
    "000000320002666500010000"
    "000000ac000266ba00030000"  # 172 at 1573.70, 3 orders
    "0000002c000266bf00030000"
    "0000012e000266c900030000"
    "0000008d000266ce00020000"
    "000002d4000266d300050000"
)
INFY: dict[str, Any] = {
    "instrument_token": [408065],
    "last_price": [157370],
    "last_traded_quantity": [7],
    "average_traded_price": [157037],
    "volume_traded": [1192471],
    "total_buy_quantity": [256443],
    "total_sell_quantity": [363009],
    "open": [156915],
    "high": [157500],
    "low": [156105],
    "close": [156780],
    "last_trade_time": [1625461887],
    "oi": [0],
    "oi_day_high": [0],
    "oi_day_low": [0],
    "exchange_timestamp": [1625461887],
    "bid_price": [[157340, 157300, 157295, 157290, 157285]],
    "bid_quantity": [[5, 140, 2, 219, 50]],
    "bid_orders": [[1, 2, 1, 7, 1]],
    "ask_price": [[157370, 157375, 157385, 157390, 157395]],
    "ask_quantity": [[172, 44, 302, 141, 724]],
    "ask_orders": [[3, 3, 3, 2, 5]],
}


@pytest.mark.parametrize(
    ("layout", "packet"), [(LTP, INFY_QUOTE[:8]), (QUOTE, INFY_QUOTE), (FULL, INFY_FULL)]
)
def test_a_known_packet_has_its_known_bytes(layout: Layout, packet: bytes) -> None:
    framed = encode_packets(layout, INFY)

    assert framed.tobytes() == len(packet).to_bytes(2, "big") + packet
    assert encode_message(framed) == join_packets([packet])


def test_an_index_has_its_fields_in_the_order_of_an_index() -> None:
    fields = {field: [number] for number, field in enumerate(INDEX_FULL.fields, start=1)}

    packet = encode_packets(INDEX_FULL, fields).tobytes()[2:]

    assert INDEX_FULL.fields[2:6] == ("high", "low", "open", "close")
    assert packet == b"".join(number.to_bytes(4, "big") for number in range(1, 9))


@pytest.mark.parametrize(
    ("rupees", "token", "raw"),
    [
        (1573.70, 408065, 157370),
        (0.125, 1 << 8 | 1, 12),  # half: to the even neighbour
        (0.375, 1 << 8 | 1, 38),
        (-2884.0, 1 << 8 | 7, -288400),  # MCX crude, April 2020
        (88.7075, 1 << 8 | 3, 887075000),
        (300_000.0, 1 << 8 | 12, 3_000_000_000),  # NCO: above 2³¹
        (1.0, 1 << 8 | 250, 100),  # an unknown segment
    ],
)
def test_rupees_are_scaled_by_segment(rupees: float, token: int, raw: int) -> None:
    assert scale_prices([rupees], [token]).tolist() == [raw]


def test_depth_is_scaled_level_by_level() -> None:
    prices = [[1.0, 2.0], [1.0, 2.0]]

    assert scale_prices(prices, [1 << 8 | 1, 1 << 8 | 6]).tolist() == [[100, 200], [10000, 20000]]


@pytest.mark.parametrize(
    ("rupees", "segment"),
    [
        (21_474_836.48, 1),
        (-21_474_836.49, 1),
        (-0.01, 3),
        (429.4967296, 3),
        (float("nan"), 1),
        (float("inf"), 1),
        (1e308, 1),
    ],
)
def test_a_price_without_a_place_is_refused(rupees: float, segment: int) -> None:
    with pytest.raises(ValueError, match="does not fit into 32 bits"):
        scale_prices([rupees], [1 << 8 | segment])


@given(st.data())
def test_scaling_undoes_the_division(data: st.DataObject) -> None:
    segment = data.draw(st.sampled_from(sorted(SEGMENTS.values(), key=lambda known: known.code)))
    low, high = (-(1 << 31), (1 << 31) - 1) if segment.signed else (0, (1 << 32) - 1)
    raw = np.array(data.draw(st.lists(st.integers(low, high), min_size=1)))

    scaled = scale_prices(raw / segment.divisor, np.full(len(raw), 77 << 8 | segment.code))

    assert scaled.tolist() == raw.tolist()


@given(st.sampled_from(LAYOUTS), st.integers(0, 5), st.randoms(use_true_random=False))
def test_what_is_written_can_be_read_field_by_field(layout: Layout, count: int, rng: Any) -> None:
    columns: dict[str, Any] = {
        field: np.array([rng.randrange(1 << 31) for _ in range(count)], np.int64)
        for field in layout.fields
    }
    for part in ("price", "quantity", "orders"):
        for side in ("bid", "ask"):
            levels = [[rng.randrange(1 << 16) for _ in range(DEPTH_LEVELS)] for _ in range(count)]
            columns[f"{side}_{part}"] = np.array(levels, np.int64).reshape(count, DEPTH_LEVELS)

    message = encode_message(encode_packets(layout, columns))
    read = np.frombuffer(message, layout.framed_dtype, offset=2)

    assert message[:2] == count.to_bytes(2, "big")
    assert len(message) == 2 + count * (2 + layout.length)
    assert (read["length"] == layout.length).all()
    for field in layout.fields:
        assert read["packet"][field].tolist() == columns[field].tolist()
    if layout.depth:
        for side in ("bid", "ask"):
            for part in ("price", "quantity", "orders"):
                written = columns[f"{side}_{part}"].tolist()
                assert read["packet"][f"{side}s"][part].tolist() == written


@pytest.mark.parametrize("field", sorted({*QUOTE.fields} - PRICE_FIELDS))
@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_an_integer_that_does_not_fit_is_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=field):
        encode_packets(QUOTE, INFY | {field: [value]})


@pytest.mark.parametrize("value", [-(1 << 31) - 1, 1 << 32])
def test_a_raw_price_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="last_price"):
        encode_packets(LTP, INFY | {"last_price": [value]})


def test_a_raw_price_may_use_all_32_bits() -> None:
    packet = encode_packets(LTP, INFY | {"last_price": [3_000_000_000]}).tobytes()

    assert packet[-4:] == (3_000_000_000).to_bytes(4, "big")


def test_rupees_are_not_taken_for_integers_of_the_wire() -> None:
    with pytest.raises(ValueError, match="last_price must be integers"):
        encode_packets(LTP, INFY | {"last_price": [1573.7]})


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(KeyError, match="last_trade_time"):
        encode_packets(FULL, {field: INFY[field] for field in QUOTE.fields})


def test_messages_are_split_at_their_packet_count_and_keep_the_order() -> None:
    tokens = np.arange(1, 8)
    quotes = encode_packets(LTP, {"instrument_token": tokens[:5], "last_price": tokens[:5]})
    others = encode_packets(LTP, {"instrument_token": tokens[5:], "last_price": tokens[5:]})

    messages = encode_messages([quotes, others], max_packets=3)

    assert [count for count, _ in messages] == [3, 3, 1]
    assert [len(message) for _, message in messages] == [32, 32, 12]
    read = [np.frombuffer(message, LTP.framed_dtype, offset=2) for _, message in messages]
    assert np.concatenate(read)["packet"]["instrument_token"].tolist() == tokens.tolist()
    assert encode_messages([quotes[:0]]) == []


def test_a_message_cannot_announce_more_packets_than_its_count_can_hold() -> None:
    tokens = np.arange(MAX_PACKETS + 1)
    packets = encode_packets(LTP, {"instrument_token": tokens, "last_price": tokens})

    with pytest.raises(ValueError, match="65536 packets"):
        encode_message(packets)
    assert [count for count, _ in encode_messages([packets])] == [MAX_PACKETS, 1]


@pytest.mark.parametrize("wrong", [0, MAX_PACKETS + 1])
def test_the_split_has_limits(wrong: int) -> None:
    with pytest.raises(ValueError, match="max_packets"):
        encode_messages([], max_packets=wrong)


def test_packets_of_any_length_can_be_joined() -> None:
    assert join_packets([b"", b"abc"]) == b"\x00\x02\x00\x00\x00\x03abc"
