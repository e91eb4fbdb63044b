from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import filling
import messages
import official
from kitepolars.wire.layouts import SEGMENT_MASK
from kitepolars.wire.scan import Scanner


def received(sent: list[bytes]) -> pl.DataFrame:
    pipeline = filling.new_pipeline()
    filling.within_loop(lambda: filling.feed(pipeline, sent))
    assert pipeline.stats().rejected_packets == pipeline.stats().rejected_messages == 0
    return pipeline.store.held.frame()


def test_packets_are_numbered_through_all_rounds() -> None:
    instruments = list(range(257, 257 + 256 * 40, 256))
    source = messages.FullMessages(instruments, packets=7, messages=3)
    frame = received([*source.round(), *source.round()])
    assert source.sent == frame.height == 42
    assert frame[messages.COUNTER].to_list() == list(range(42))
    assert frame["instrument_token"].to_list() == [*instruments, *instruments[:2]]
    assert set(frame["mode"]) == {"full"}


def test_a_round_may_say_when_it_is() -> None:
    frame = received(messages.FullMessages([408065], packets=2, messages=1).round(1_795_146_300))
    assert set(frame["exchange_timestamp"].dt.strftime("%F %R")) == {"2026-11-20 09:15"}


def test_a_stamp_comes_back() -> None:
    at = 1_795_146_300_123_456
    frame = received([messages.FullMessages([408065], packets=1, messages=1).stamped(at)])
    assert messages.stamp_of(frame).tolist() == [at]


def test_tokens_are_distinct_and_tradable_unless_indices_are_asked_for() -> None:
    tokens = messages.tokens()
    assert len(set(tokens)) == messages.INSTRUMENTS
    assert 9 not in {token & SEGMENT_MASK for token in tokens}
    everything = messages.tokens(100_000, indices=True)
    assert 9 in {token & SEGMENT_MASK for token in everything}


def test_mixed_messages_hold_every_mode_and_all_packets() -> None:
    sent = messages.mixed_messages(packets=50, messages=20)
    assert len(Scanner().scan(sent)) == 1_000
    counts = dict(received(sent)["mode"].value_counts().iter_rows())
    assert set(counts) == {"ltp", "quote", "full"}
    assert min(counts.values()) > 200


def test_the_official_client_reads_the_same_values() -> None:
    sent = [*messages.FullMessages(messages.tokens()).round()[:2], *messages.mixed_messages()[:3]]
    parse = official.parser()
    ticks = [tick for message in sent for tick in parse(message)]
    assert len(ticks) == 500
    assert official.differences(received(sent), ticks) == []


@pytest.mark.parametrize("column", ["last_price", "ask_price", "last_trade_time", "volume_traded"])
def test_a_difference_is_noticed(column: str) -> None:
    sent = messages.FullMessages([408065], packets=3, messages=1).round()
    frame = received(sent)
    wrong = frame.with_columns(pl.col(column).reverse())
    assert wrong.height == 3
    changed = wrong.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(column).alias(column))
    found = official.differences(changed, official.parser()(sent[0]))
    assert found
    assert all(column in difference for difference in found)
    assert official.differences(frame[:2], official.parser()(sent[0])) == ["2 rows against 3 dicts"]


def test_both_ways_to_make_frames_of_dicts_keep_all_rows() -> None:
    ticks = official.parser()(messages.FullMessages(messages.tokens()).round()[0])
    flat, nested = official.flat_frame(ticks), official.nested_frame(ticks)
    assert flat.height == nested.height == 100
    assert flat["bid_price"][3].to_list() == [level["price"] for level in ticks[3]["depth"]["buy"]]


def test_filling_stops_where_it_should() -> None:
    pipeline = filling.new_pipeline()
    source = filling.within_loop(lambda: filling.fill(pipeline, 10_050))
    frame = pipeline.store.held.frame()
    assert 10_050 <= frame.height < 10_050 + messages.PACKETS
    numbers = frame[messages.COUNTER].to_numpy()
    assert np.array_equal(numbers, np.arange(frame.height))
    assert source.sent >= frame.height
