"""Ticks held: columns and nulls, immutability, chunks, retention, the latest of each."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from frames.ticks import packet_message, push
from kitepolars.errors import ConfigError
from kitepolars.frames import buffers as buffers_module
from kitepolars.frames import memory as memory_module
from kitepolars.frames import store as store_module
from kitepolars.frames.buffers import TickBuffer
from kitepolars.frames.held import Held
from kitepolars.frames.schema import FILLS, SCHEMA
from kitepolars.frames.store import TICK_BYTES, Bounds, Retention, TickStore
from kitepolars.wire.layouts import FULL, INDEX_FULL, INDEX_QUOTE, LAYOUTS, LTP, QUOTE, Layout
from script import run_script

INFY = 408065
NIFTY = 256265


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers_module, "BLOCK_ROWS", 8)
    monkeypatch.setattr(store_module, "SMALLEST_CHUNK", 8)
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 32)


def test_an_empty_store_has_the_contracts_columns() -> None:
    frame = TickStore().held.frame()
    assert frame.height == 0
    assert frame.schema == SCHEMA
    assert TickStore().held.latest().schema == SCHEMA


@pytest.mark.usefixtures("small_chunks")
def test_the_next_buffers_memory_is_prepared_when_half_of_this_one_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_module, "PREPARED_FROM", 1)
    store = TickStore()
    for row in range(200):
        prepared = store._slabs._prepared
        buffer, length = store.held.buffer, store.held.length
        assert (prepared is not None) == (length >= buffer.capacity // 2), row
        push(store, [packet_message([INFY], [float(row)])])
        if store.held.buffer is not buffer:
            assert prepared is not None
            prices = store.held.buffer.columns["last_price"]
            assert np.shares_memory(prices, prepared)
    assert store.held.frame()["last_price"].to_list() == [float(row) for row in range(200)]


@pytest.mark.usefixtures("small_chunks")
def test_no_memory_is_prepared_where_that_of_a_dropped_chunk_is_reused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_module, "PREPARED_FROM", 1)
    store = TickStore(Retention(max_rows=160))
    prepared = []
    for row in range(480):
        push(store, [packet_message([INFY], [float(row)])])
        prepared.append(store._slabs._prepared is not None)
    assert any(prepared[:160])
    assert not any(prepared[160:])


def test_polars_knows_numpy_before_two_threads_can_race_for_it() -> None:
    script = """
import polars
from polars import _dependencies
before = type(_dependencies.numpy).__name__
import kitepolars.frames
print(before, type(_dependencies.numpy).__name__)
"""
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("_LazyModule module\n", "")


def test_only_instruments_that_are_new_are_named() -> None:
    asked: list[list[int]] = []

    def name(tokens: Sequence[int]) -> list[str]:
        asked.append(list(tokens))
        return [f"T{token}" for token in tokens]

    store = TickStore()
    push(store, [packet_message([INFY, NIFTY], [1.0, 2.0])])
    before = store.held
    store.name_instruments(name)
    push(store, [packet_message([5], [3.0])])
    push(store, [packet_message([INFY, 5], [4.0, 5.0])])
    assert asked == [[INFY, NIFTY], [5]]
    assert before.frame()["symbol"].to_list() == [None, None]
    symbols = [f"T{token}" for token in (INFY, NIFTY, 5, INFY, 5)]
    assert store.held.frame()["symbol"].to_list() == symbols
    store.name_instruments(lambda tokens: ["other"] * len(tokens))
    assert store.held.frame()["symbol"].to_list() == symbols  # names are history


def test_a_full_tick_fills_every_column_but_an_indexs() -> None:
    store = TickStore()
    store.name_instruments(lambda tokens: ["NSE:INFY" if t == INFY else None for t in tokens])
    push(store, [packet_message([INFY], [1573.7])])
    frame = store.held.frame()
    assert frame.schema == SCHEMA
    values = frame.row(0, named=True)
    assert {name for name, value in values.items() if value is None} == {
        "price_change",
        "last_trade_time",  # 0 on the wire
    }
    assert values["symbol"] == "NSE:INFY"
    assert values["mode"] == "full"
    assert values["last_price"] == 1573.7
    assert values["bid_price"] == [1573.7] * 5
    assert values["ask_orders"] == [1, 2, 3, 4, 5]
    assert str(values["exchange_timestamp"]) == "2021-07-05 10:41:27+05:30"


NULLS = {
    LTP: set(SCHEMA)
    - {"received_at", "instrument_token", "connection", "mode", "is_snapshot", "last_price"}
    - set(FILLS),
    QUOTE: {
        "symbol",
        "exchange_timestamp",
        "price_change",
        "last_trade_time",
        "oi",
        "oi_day_high",
        "oi_day_low",
        "bid_price",
        "ask_price",
        "bid_quantity",
        "ask_quantity",
        "bid_orders",
        "ask_orders",
    },
    FULL: {"symbol", "price_change", "last_trade_time"},
}
NULLS[INDEX_QUOTE] = NULLS[QUOTE] - {"price_change"} | {
    "last_traded_quantity", "average_traded_price", "volume_traded", "total_buy_quantity",
    "total_sell_quantity",
}  # fmt: skip
NULLS[INDEX_FULL] = NULLS[INDEX_QUOTE] - {"exchange_timestamp"}


@pytest.mark.parametrize("layout", NULLS, ids=lambda layout: layout.name)
def test_what_a_mode_has_not_is_null(layout: Layout) -> None:
    store = TickStore()
    push(store, [packet_message([NIFTY], [24000.05], layout)])
    values = store.held.frame().row(0, named=True)
    assert {name for name, value in values.items() if value is None} == NULLS[layout]


ticks = st.lists(
    st.tuples(
        st.sampled_from([n << 8 | 1 for n in range(1, 7)]),
        st.integers(1, 10_000),
        st.sampled_from(LAYOUTS),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(st.lists(ticks, max_size=6))
def test_rows_are_in_arrival_order_whatever_the_chunks(
    batches: list[list[tuple[int, int, Layout]]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers_module, "BLOCK_ROWS", 8)
        patch.setattr(store_module, "SMALLEST_CHUNK", 8)
        patch.setattr(store_module, "CHUNK_ROWS", 32)
        store = TickStore()
        taken = []
        for batch in batches:
            push(store, [packet_message([token], [price], kind) for token, price, kind in batch])
            taken.append((store.held.frame(), store.held.frame().rows()))
    rows = [tick for batch in batches for tick in batch]
    frame = store.held.frame()
    assert frame["instrument_token"].to_list() == [token for token, _, _ in rows]
    assert frame["last_price"].to_list() == [float(price) for _, price, _ in rows]
    assert frame["mode"].to_list() == [kind.mode.value for _, _, kind in rows]
    assert frame["bid_price"].is_null().to_list() == [kind is not FULL for _, _, kind in rows]
    assert frame["high"].is_null().to_list() == [kind is LTP for _, _, kind in rows]
    assert frame["price_change"].is_null().to_list() == [not kind.index for _, _, kind in rows]
    for earlier, its_rows in taken:
        assert earlier.rows() == its_rows
    last = {token: price for token, price, _ in rows}
    latest = store.held.latest()
    assert dict(latest.select("instrument_token", "last_price").rows()) == last


@pytest.mark.usefixtures("small_chunks")
def test_since_gives_what_is_new() -> None:
    store = TickStore()
    push(store, [packet_message([INFY] * 20, range(20))])
    seen = store.held.total
    push(store, [packet_message([INFY] * 30, range(100, 130))])
    assert store.held.since(seen)["last_price"].to_list() == [float(n) for n in range(100, 130)]
    assert store.held.since(0).height == 50
    assert store.held.since(store.held.total).height == 0


@pytest.mark.usefixtures("small_chunks")
def test_retention_by_rows_never_holds_more_and_forgets_no_instrument() -> None:
    store = TickStore(Retention(max_rows=160))
    push(store, [packet_message([NIFTY], [24000.0], INDEX_FULL)])
    for number in range(1_000):
        push(store, [packet_message([INFY], [number])])
        assert store.held.height <= 160
    assert store.held.height >= 150 - 8
    assert store.held.total == 1_001
    kept = store.held.frame()["last_price"].to_list()
    assert kept == [float(n) for n in range(1_000 - len(kept), 1_000)]
    latest = store.held.latest()
    assert latest.select("instrument_token", "last_price").rows() == [
        (NIFTY, 24000.0),
        (INFY, 999.0),
    ]
    push(store, [packet_message([NIFTY], [24001.0], INDEX_FULL)])
    assert sorted(store.held.latest()["last_price"]) == [999.0, 24001.0]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "retention",
    [
        Retention(),
        Retention(max_rows=64),
        Retention(max_rows=160),
        Retention(max_age=dt.timedelta(seconds=5)),
    ],
)
def test_the_latest_ticks_are_the_last_ones_ever_whatever_was_dropped(
    retention: Retention,
) -> None:
    rng = random.Random(5)
    expected: dict[int, float] = {}
    store = TickStore(retention)
    tokens = [256 * number + 1 for number in range(1, 30)]
    at = 0
    for number in range(300):
        at += rng.choice((1, 500_000))
        # Some instruments tick all the time, others hardly ever; some pushes are large.
        chosen = [rng.choice(tokens[: rng.choice((3, 29))]) for _ in range(rng.choice((1, 3, 40)))]
        prices = [float(100 * number + place) for place in range(len(chosen))]
        push(store, [packet_message(chosen, prices)], at=at)
        expected.update(zip(chosen, prices, strict=True))
        if rng.random() < 0.3:
            latest = store.held.latest()
            assert dict(latest.select("instrument_token", "last_price").iter_rows()) == expected
            some = np.array([rng.choice(tokens), rng.choice(tokens), 5], np.uint32)
            own = latest.filter(pl.col("instrument_token").is_in(some.tolist()))
            assert_frame_equal(store.held.latest(some), own)
    assert store.held.total > 3_000
    assert len(store.held.chunks) > 2


def test_few_seals_of_small_chunks_merge_the_latest_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    merges: list[int] = []
    merge = Held.merge_latest

    def counted(held: Held) -> Any:
        merges.append(held.total)
        return merge(held)

    monkeypatch.setattr(Held, "merge_latest", counted)
    store = TickStore(Retention(max_rows=1_600))
    for _ in range(1_000):
        push(store, [packet_message([INFY] * 10, [1.0] * 10)])
    assert len(merges) <= 10_000 // 100 // store_module.SETTLING_CHUNKS + 1


@pytest.mark.usefixtures("small_chunks")
def test_retention_by_age_drops_old_chunks() -> None:
    store = TickStore(Retention(max_age=dt.timedelta(seconds=60)))
    for second in range(600):
        push(store, [packet_message([INFY], [second])], at=second * 1_000_000)
    kept = store.held.frame()["last_price"]
    assert kept[-1] == 599.0
    assert 60 <= len(kept) <= 60 + 2 * 32


@pytest.mark.usefixtures("small_chunks")
def test_a_clock_that_jumps_an_hour_makes_no_tick_older() -> None:
    store = TickStore(Retention(max_age=dt.timedelta(seconds=600)))
    for second in range(300):
        push(store, [packet_message([INFY], [second])], at=second * 1_000_000)
    store.move_clock(3_600 * 1_000_000)
    for second in range(3_900, 4_100):
        push(store, [packet_message([INFY], [second])], at=second * 1_000_000)
    assert store.held.frame().height == 500
    for second in range(4_100, 5_100):
        push(store, [packet_message([INFY], [second])], at=second * 1_000_000)
    assert 600 <= store.held.frame().height <= 600 + 2 * 32


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_rows", 0), ("max_rows", -5), ("max_age", 0), ("max_age", dt.timedelta(0))],
)
def test_wrong_retention_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field) as caught:
        Retention(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)


def test_names_given_later_show_in_the_live_rows() -> None:
    store = TickStore()
    push(store, [packet_message([INFY, 5633], [1.0, 2.0])])
    assert store.held.frame()["symbol"].to_list() == [None, None]

    def name(tokens: Sequence[int]) -> list[str | None]:
        return [{INFY: "NSE:INFY"}.get(token) for token in tokens]

    store.name_instruments(name)
    assert store.held.frame()["symbol"].to_list() == ["NSE:INFY", None]


@pytest.mark.usefixtures("small_chunks")
def test_chunks_and_tail_query_as_one_frame() -> None:
    store = TickStore()
    push(store, [packet_message([INFY, 5633] * 50, range(100))])
    frame = store.held.frame()
    assert frame["last_price"].n_chunks() > 1
    by_token = pl.col("last_price").sum().over("instrument_token")
    assert_frame_equal(frame.with_columns(by_token), frame.rechunk().with_columns(by_token))


@pytest.mark.usefixtures("small_chunks")
def test_memory_is_used_again_only_when_no_frame_shares_it() -> None:
    store = TickStore(Retention(max_rows=160))
    places: list[int] = []
    frames: list[tuple[pl.DataFrame, list[float]]] = []
    for number in range(2_000):
        push(store, [packet_message([INFY], [number])])
        places.append(store.held.buffer.columns["last_price"].ctypes.data)
        if 500 <= number < 1_000 and number % 37 == 0:
            frame = store.held.frame().select("last_price", "bid_price").slice(3)
            frames.append((frame, frame["last_price"].to_list()))
    assert len(set(places[:500])) <= 20, "a bounded history reuses its memory"
    for frame, prices in frames:
        assert frame["last_price"].to_list() == prices
        assert frame["bid_price"].arr.first().to_list() == prices
    assert len(set(places[1_500:])) <= 20


def named(store: TickStore, names: dict[int, str]) -> None:
    store.name_instruments(lambda tokens: [names.get(token) for token in tokens])


def symbols(frame: pl.DataFrame) -> list[tuple[int, str | None]]:
    return frame.select("instrument_token", pl.col("symbol").cast(pl.String)).rows()


def test_a_token_given_to_another_instrument_keeps_the_names_of_its_ticks() -> None:
    store = TickStore(Retention(max_rows=64))  # chunks of four rows
    named(store, {1: "NFO:OLD", 2: "NSE:INFY"})
    push(store, [packet_message([1, 2, 1, 2, 1, 2], [1, 2, 3, 4, 5, 6])])
    before = store.held.frame()
    named(store, {1: "NFO:NEW", 2: "NSE:INFY"})
    assert symbols(store.held.frame()) == symbols(before)
    assert symbols(store.held.latest()) == [(1, "NFO:OLD"), (2, "NSE:INFY")]
    push(store, [packet_message([1, 2, 3], [7, 8, 9])])
    expected = [*symbols(before), (1, "NFO:NEW"), (2, "NSE:INFY"), (3, None)]
    assert symbols(store.held.frame()) == expected
    assert symbols(store.held.latest()) == [(2, "NSE:INFY"), (1, "NFO:NEW"), (3, None)]
    named(store, {1: "NFO:OLD", 2: "NSE:INFY", 3: "NSE:SBIN"})  # it may come back
    push(store, [packet_message([1], [10])])
    assert symbols(store.held.frame())[-2:] == [(3, "NSE:SBIN"), (1, "NFO:OLD")]
    assert symbols(store.held.frame())[:9] == [*expected[:8], (3, "NSE:SBIN")]


HELD = [n * 256 + 1 for n in range(1, 7)]  # of NSE: prices in paise
HOLDERS = st.dictionaries(st.sampled_from(HELD), st.sampled_from(["A", "B", "C"]), max_size=6)
TICKS = st.lists(st.sampled_from([*HELD, 1_793, 2_049]), min_size=1, max_size=12)


@given(st.lists(st.tuples(HOLDERS, st.lists(TICKS, max_size=4)), min_size=1, max_size=8))
def test_each_tick_keeps_the_name_under_which_it_came_however_tokens_change_hands(
    days: list[tuple[dict[int, str], list[list[int]]]],
) -> None:
    store = TickStore(Retention(max_rows=64))  # chunks of four rows
    names = dict.fromkeys(HELD, "first")  # the other two never have a name
    expected: list[tuple[int, str | None, float]] = []
    for holders, messages in days:
        names |= holders  # a token that is not in the new list keeps its name
        named(store, names)
        for tokens in messages:
            prices = [float(len(expected) + n) for n in range(len(tokens))]
            push(store, [packet_message(tokens, prices)])
            ticks = zip(tokens, prices, strict=True)
            expected += [(token, names.get(token), price) for token, price in ticks]
        columns = (pl.col("instrument_token"), pl.col("symbol").cast(pl.String), "last_price")
        rows = store.held.frame().select(columns).rows()
        assert rows == expected[len(expected) - len(rows) :]
        last = {token: (token, name, price) for token, name, price in expected}
        assert sorted(store.held.latest().select(columns).rows()) == sorted(last.values())


def test_many_tokens_change_hands_while_the_table_grows() -> None:
    store, tokens = TickStore(), list(range(1, 3_001))
    for day in range(4):
        names = {token: f"NFO:{token}-{day}" for token in tokens[day::2]}
        named(store, names)
        push(store, [packet_message(tokens, [1.0] * len(tokens))])
        rows = symbols(store.held.frame())[-len(tokens) :]
        assert rows == [(token, names.get(token)) for token in tokens]
        assert store.held.latest().height == len(tokens)


def test_a_history_is_bounded_in_bytes() -> None:
    retention = Retention(max_bytes=160 * TICK_BYTES)
    assert Bounds.of(retention).rows == 160
    both = Retention(max_bytes=160 * TICK_BYTES, max_rows=64)
    assert Bounds.of(both).rows == 64
    buffer = TickBuffer(1_000)
    held = sum(column.nbytes for column in buffer.columns.values())
    assert held <= 1_000 * TICK_BYTES <= 1.01 * held
    with pytest.raises(ConfigError, match="max_bytes"):
        Retention(max_bytes=15 * TICK_BYTES)
