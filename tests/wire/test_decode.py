"""Bytes → columns: packets whose values stand here, a plain reference, and arbitrary bytes."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars import native
from kitepolars.wire import scan
from kitepolars.wire.decode import Target, decode
from kitepolars.wire.layouts import (
    DEPTH_LEVELS,
    FULL,
    INDEX_FULL,
    INDEX_QUOTE,
    LAYOUT_BY_LENGTH,
    LAYOUTS,
    LTP,
    PREFIX_SIZE,
    PRICE_FIELDS,
    QUOTE,
    SEGMENTS,
    TIME_FIELDS,
    Layout,
)
from kitepolars.wire.scan import Packets, Scanner

INFY_FULL = base64.b64decode(
    "AAY6AQACZroAAAAHAAJlbQASMhcAA+m7AAWKAQACZPMAAmc8AAJhyQACZGxg4pR/AAAAAAAAAAAAAAAAYOKUfwAAAAUA"
    "AmacAAEAAAAAAIwAAmZ0AAIAAAAAAAIAAmZvAAEAAAAAANsAAmZqAAcAAAAAADIAAmZlAAEAAAAAAKwAAma6AAMAAAAA"
    "ACwAAma/AAMAAAAAAS4AAmbJAAMAAAAAAI0AAmbOAAIAAAAAAtQAAmbTAAUAAA=="
)
INFY_QUOTE = base64.b64decode("AAY6AQACZoMAAAABAAJlaQAR8bIAA+n/AAWANwACZPMAAmc8AAJhyQACZGw=")
DEPTH_COLUMNS = {
    f"{side}_{name}": dtype
    for side in ("bid", "ask")
    for name, dtype in (("price", "f8"), ("quantity", "u4"), ("orders", "u2"))
}


@pytest.fixture(params=range(native.WAYS), scope="module", autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run every test with each of the ways to store packets that this processor has."""
    limit = request.param
    if native.use_way(limit) < limit:
        pytest.skip("this processor has no such instructions")
    yield
    native.use_way(native.WAYS - 1)


def empty_columns(rows: int) -> dict[str, npt.NDArray[Any]]:
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in {name for layout in LAYOUTS for name in layout.fields}:
        dtype = "f8" if name in PRICE_FIELDS else "i8" if name in TIME_FIELDS else "u4"
        columns[name] = np.zeros(rows, dtype)
    for name, dtype in DEPTH_COLUMNS.items():
        columns[name] = np.zeros((rows, DEPTH_LEVELS), dtype)
    return columns


def message(*packets: bytes) -> bytes:
    framed = b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
    return struct.pack(">H", len(packets)) + framed


def decoded(messages: Sequence[bytes]) -> tuple[Packets, dict[str, npt.NDArray[Any]]]:
    packets = Scanner().scan(list(messages))
    columns = empty_columns(len(packets))
    decode(packets, 0, len(packets), Target(columns), 0)
    return packets, columns


def row(columns: dict[str, npt.NDArray[Any]], number: int) -> dict[str, Any]:
    return {name: column[number].tolist() for name, column in columns.items()}


def reference(packet: bytes) -> dict[str, Any]:
    """Decode one packet field by field with `struct`."""
    layout = LAYOUT_BY_LENGTH[len(packet)]
    (token,) = struct.unpack_from(">I", packet)
    segment = SEGMENTS.get(token & 0xFF)
    divisor = segment.divisor if segment else 100
    price_format = ">i" if segment is None or segment.signed else ">I"
    values: dict[str, Any] = {}
    for position, name in enumerate(layout.fields):
        number_format = price_format if name in PRICE_FIELDS else ">I"
        (raw,) = struct.unpack_from(number_format, packet, 4 * position)
        scale = divisor if name in PRICE_FIELDS else None
        values[name] = raw / scale if scale else raw * 1_000_000 if name in TIME_FIELDS else raw
    if layout.depth:
        for number, side in enumerate(("bid", "ask")):
            entries = [
                struct.unpack_from(
                    ">I" + price_format[1] + "H", packet, 64 + 60 * number + 12 * level
                )
                for level in range(DEPTH_LEVELS)
            ]
            values[f"{side}_quantity"] = [entry[0] for entry in entries]
            values[f"{side}_price"] = [entry[1] / divisor for entry in entries]
            values[f"{side}_orders"] = [entry[2] for entry in entries]
    return values


def test_the_compiled_loops_have_room_for_the_table() -> None:
    source = (Path(__file__).parents[2] / "kitepolars" / "native.c").read_text("utf-8")
    limits = {name: int(value) for name, value in re.findall(r"\b([A-Z_]+) = (\d+)", source)}
    assert len(LAYOUTS) <= limits["MAX_LAYOUTS"]
    assert limits["LEVELS"] == DEPTH_LEVELS
    assert limits["PREFIX"] == PREFIX_SIZE
    assert max(layout.length for layout in LAYOUTS) < 2**16
    assert [layout.code for layout in LAYOUTS] == list(range(len(LAYOUTS)))


def test_full_packet_has_the_values_of_the_exchange() -> None:
    packets, columns = decoded([message(INFY_FULL)])
    assert len(packets) == 1
    assert row(columns, 0) == {
        "instrument_token": 408065,
        "last_price": 1573.70,
        "last_traded_quantity": 7,
        "average_traded_price": 1570.37,
        "volume_traded": 1_192_471,
        "total_buy_quantity": 256_443,
        "total_sell_quantity": 363_009,
        "open": 1569.15,
        "high": 1575.00,
        "low": 1561.05,
        "close": 1567.80,
        "price_change": 0.0,
        "last_trade_time": 1_625_461_887_000_000,
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "exchange_timestamp": 1_625_461_887_000_000,
        "bid_price": [1573.40, 1573.00, 1572.95, 1572.90, 1572.85],
        "ask_price": [1573.70, 1573.75, 1573.85, 1573.90, 1573.95],
        "bid_quantity": [5, 140, 2, 219, 50],
        "ask_quantity": [172, 44, 302, 141, 724],
        "bid_orders": [1, 2, 1, 7, 1],
        "ask_orders": [3, 3, 3, 2, 5],
    }


def test_quote_packet_has_the_values_of_the_exchange() -> None:
    _, columns = decoded([message(INFY_QUOTE)])
    values = row(columns, 0)
    assert values["instrument_token"] == 408065
    assert values["last_price"] == 1573.15
    assert values["average_traded_price"] == 1570.33
    assert (values["volume_traded"], values["total_buy_quantity"]) == (1_175_986, 256_511)
    assert [values[name] for name in ("open", "high", "low", "close")] == [
        1569.15,
        1575.0,
        1561.05,
        1567.8,
    ]


def test_index_packets_have_high_low_open_close_in_that_order() -> None:
    token = 256265
    fields = [token, 2_438_510, 2_441_000, 2_430_025, 2_433_050, 2_436_085, -2_425]
    packet = struct.pack(">IiiiiiiI", *fields, 1_625_461_887)
    packets, columns = decoded([message(packet[:28], packet)])
    assert packets.codes.tolist() == [INDEX_QUOTE.code, INDEX_FULL.code]
    for number in (0, 1):
        values = row(columns, number)
        assert (values["high"], values["low"]) == (24410.00, 24300.25)
        assert (values["open"], values["close"]) == (24330.50, 24360.85)
        assert values["price_change"] == -24.25
    assert columns["exchange_timestamp"].tolist() == [0, 1_625_461_887_000_000]


@pytest.mark.parametrize(
    ("segment", "raw", "price"),
    [
        (1, 157_370, 1573.70),
        (7, 2**32 - 288_400, -2884.00),  # MCX crude, April 2020
        (3, 833_125_000, 83.3125),
        (3, 4_000_000_000, 400.0),  # unsigned
        (6, 833_125, 83.3125),
        (12, 3_000_000_000, 300_000.0),  # above what 32 signed bits hold
        (200, 157_370, 1573.70),  # unknown
    ],
)
def test_prices_follow_their_segment(segment: int, raw: int, price: float) -> None:
    packet = struct.pack(">II", 1000 << 8 | segment, raw)
    _, columns = decoded([message(packet)])
    assert columns["last_price"].tolist() == [price]


@pytest.mark.parametrize("segment", [1, 3, 6])
@pytest.mark.parametrize("together", [True, False])
def test_every_price_is_the_nearest_to_its_quotient(segment: int, *, together: bool) -> None:
    """In packets that lie evenly, and in those between which others lie."""
    edges = np.array([0, 1, 99, 100, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1])
    raw = np.concatenate([edges, np.random.default_rng(1).integers(0, 2**32, 59_992)])
    layouts = (LTP,) if together else (LTP, QUOTE)
    framed = np.zeros(len(raw), [(layout.name, layout.framed_dtype) for layout in layouts])
    for layout in layouts:
        framed[layout.name]["length"] = layout.length
        framed[layout.name]["packet"]["instrument_token"] = 1000 << 8 | segment
        framed[layout.name]["packet"]["last_price"] = raw.astype("u4").view("i4")
    halves = np.array_split(framed, 2)  # a message counts its packets in 16 bits
    messages = [struct.pack(">H", len(half) * len(layouts)) + half.tobytes() for half in halves]
    _, columns = decoded(messages)
    signed = raw.astype("u4").view("i4") if SEGMENTS[segment].signed else raw
    expected = np.repeat(signed / SEGMENTS[segment].divisor, len(layouts))
    assert np.array_equal(columns["last_price"], expected)


def test_a_range_is_written_to_the_given_folder() -> None:
    packets = Scanner().scan([message(*(struct.pack(">II", 257, n) for n in range(200)))])
    columns = empty_columns(90)
    decode(packets, 100, 180, Target(columns), 7)
    prices = [0.0] * 7 + [n / 100 for n in range(100, 180)] + [0.0] * 3
    assert columns["last_price"].tolist() == prices


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 63, 64, 65, 200])
@pytest.mark.parametrize("layout", [FULL, QUOTE, INDEX_FULL])
def test_any_number_of_packets_fills_its_rows_and_no_others(rows: int, layout: Layout) -> None:
    """Of arbitrary bytes, but for the segments; between rows of zeros."""
    rng = np.random.default_rng(rows)
    raw = rng.integers(0, 256, (rows, layout.length), np.uint8)
    raw[:, 3] = rng.choice(list(SEGMENTS), rows)
    sent = [packet.tobytes() for packet in raw]
    packets = Scanner().scan([message(*sent[:10]), message(*sent[10:])])
    columns = empty_columns(rows + 20)
    decode(packets, 0, rows, Target(columns), 9)
    for name in columns:
        values = columns[name].tolist()
        written = values[9 : 9 + rows]
        assert not np.any(values[:9]), name
        assert not np.any(values[9 + rows :]), name
        empty = [0.0] * DEPTH_LEVELS if name in DEPTH_COLUMNS else 0
        assert written == [reference(packet).get(name, empty) for packet in sent], name


@pytest.mark.parametrize(
    ("start", "stop", "row"), [(-1, 2, 0), (0, 5, 0), (3, 2, 0), (0, 4, 7), (0, 4, -1)]
)
def test_nothing_is_written_where_there_is_no_room(start: int, stop: int, row: int) -> None:
    packets = Scanner().scan([message(*[INFY_FULL] * 4)])
    columns = empty_columns(10)
    with pytest.raises(IndexError, match="out of range"):
        decode(packets, start, stop, Target(columns), row)
    assert not columns["last_price"].any()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("last_price", np.zeros(9, "f4")),
        ("last_price", np.zeros(18)[::2]),
        ("bid_price", np.zeros(9)),
        ("bid_orders", np.zeros((9, 5), "u4")),
        ("exchange_timestamp", np.zeros(9, "u4")),
        ("ask_quantity", np.zeros((9, 4), "u4")),
        ("oi", np.broadcast_to(np.uint32(0), 9)),
        ("last_price", np.zeros(9, ">f8")),
    ],
)
def test_only_columns_of_the_right_kind_are_written(name: str, column: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a contiguous"):
        Target({name: column})


def test_unknown_segments_are_named() -> None:
    packets = Scanner().scan([message(*(struct.pack(">II", n, 1) for n in (200, 1, 11, 200)))])
    unknown = decode(packets, 0, 4, Target(empty_columns(4)), 0)
    assert unknown.tolist() == [11, 200]


def test_heartbeats_and_empty_messages_yield_nothing() -> None:
    packets = Scanner().scan([b"\x00", b"", b"\x00\x00"])
    assert (len(packets), packets.rejected_packets, packets.rejected_messages) == (0, 0, 0)
    assert len(Scanner().scan([])) == 0


def test_unknown_length_is_skipped_and_described() -> None:
    ltpc = struct.pack(">III", 408065, 157_370, 156_780)
    packets, columns = decoded([b"\x00", message(INFY_QUOTE, ltpc, INFY_FULL)])
    assert columns["last_price"].tolist() == [1573.15, 1573.70]
    assert (packets.rejected_packets, packets.rejected_messages) == (1, 0)
    (rejection,) = packets.rejections
    assert (rejection.item, rejection.offset, rejection.length) == (1, 48, 12)
    assert rejection.head == ltpc
    assert str(rejection).startswith("unknown length: length 12, offset 48, first bytes 00 06 3a")


def test_a_cut_message_yields_the_packets_before_the_cut() -> None:
    whole = message(INFY_FULL, INFY_FULL, INFY_FULL)
    packets, columns = decoded([whole[:-1], whole])
    assert len(columns["last_price"]) == 5
    assert (packets.rejected_packets, packets.rejected_messages) == (0, 1)
    assert packets.rejections[0].reason == "cut message"
    assert packets.counts.tolist() == [2, 3]


def test_trailing_bytes_are_reported() -> None:
    packets, _ = decoded([message(INFY_QUOTE) + b"\x01\x02\x03"])
    assert (len(packets), packets.rejected_messages) == (1, 1)
    assert packets.rejections[0].reason == "trailing bytes"
    assert packets.rejections[0].head == b"\x01\x02\x03"


def test_a_wrong_prefix_inside_a_uniform_message_is_found() -> None:
    body = bytearray(message(*[INFY_QUOTE] * 4))
    struct.pack_into(">H", body, 2 + 46, 8)  # the second prefix lies
    packets, _ = decoded([bytes(body)])
    assert packets.rejected_messages + packets.rejected_packets > 0


def test_all_rejections_are_counted_and_some_described() -> None:
    packets, _ = decoded([message(*[b"abc"] * 1000)])
    assert packets.rejected_packets == 1000
    assert len(packets.rejections) == scan.MAX_REPORTS


def test_a_scan_survives_a_scan_before_it() -> None:
    scanner = Scanner()
    first = scanner.scan([message(INFY_FULL)])
    second = scanner.scan([message(INFY_QUOTE)] * 2)
    columns = empty_columns(2)
    decode(second, 0, 2, Target(columns), 0)
    assert columns["last_price"].tolist() == [1573.15] * 2
    decode(first, 0, 1, Target(columns), 0)
    assert columns["last_price"][0] == 1573.70


packet_bodies = st.one_of(
    st.sampled_from(LAYOUTS).flatmap(
        lambda layout: st.binary(min_size=layout.length, max_size=layout.length)
    ),
    st.tuples(
        st.sampled_from([LTP, QUOTE, FULL]),
        st.integers(0, 2**24 - 1),
        st.sampled_from([*SEGMENTS, 0, 10, 255]),
        st.binary(min_size=184, max_size=184),
    ).map(lambda t: (struct.pack(">I", t[1] << 8 | t[2]) + t[3])[: t[0].length]),
)


@given(st.lists(st.lists(packet_bodies, max_size=6), max_size=6), st.integers(1, 30))
def test_any_packets_decode_as_the_reference_says(
    batches: list[list[bytes]], repeated: int
) -> None:
    batches = batches * repeated  # more than are decoded together
    packets, columns = decoded([message(*batch) for batch in batches])
    bodies = [packet for batch in batches for packet in batch]
    assert len(packets) == len(bodies)
    assert packets.counts.tolist() == [len(batch) for batch in batches]
    for number, body in enumerate(bodies):
        expected = reference(body)
        assert {name: columns[name][number].tolist() for name in expected} == expected


def walk(data: bytes) -> tuple[int, int, bool]:
    """Count the rows, the rejected packets, and whether a message is malformed, one by one."""
    if len(data) < 2:
        return 0, 0, False
    (count,) = struct.unpack_from(">H", data)
    position, rows, rejected = 2, 0, 0
    for _ in range(count):
        if position + 2 > len(data):
            return rows, rejected, True
        (length,) = struct.unpack_from(">H", data, position)
        if position + 2 + length > len(data):
            return rows, rejected, True
        position += 2 + length
        rows += length in LAYOUT_BY_LENGTH
        rejected += length not in LAYOUT_BY_LENGTH
    return rows, rejected, position != len(data)


def corrupted(body: tuple[list[bytes], list[tuple[int, int]], int]) -> bytes:
    packets, changes, cut = body
    data = bytearray(message(*packets))
    for place, value in changes:
        data[place % len(data)] = value
    return bytes(data[: max(0, len(data) - cut)])


hostile = st.one_of(
    st.binary(max_size=64),
    st.tuples(
        st.lists(packet_bodies, max_size=5),
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
        st.integers(0, 40),
    ).map(corrupted),
)


@given(st.lists(hostile, max_size=8))
def test_arbitrary_bytes_are_accounted_for_as_rows_or_rejections(messages: list[bytes]) -> None:
    packets, columns = decoded(messages)
    counts = [walk(data) for data in messages]
    assert len(packets) == len(columns["last_price"]) == sum(rows for rows, _, _ in counts)
    assert packets.rejected_packets == sum(rejected for _, rejected, _ in counts)
    assert packets.rejected_messages == sum(malformed for _, _, malformed in counts)
    described = packets.rejected_packets + packets.rejected_messages
    assert len(packets.rejections) == min(described, scan.MAX_REPORTS)
    for rejection in packets.rejections:
        data = messages[rejection.item]
        assert 0 < rejection.offset <= len(data)
        assert rejection.head in data
