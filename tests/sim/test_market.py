"""What must hold of the market whatever its seed and however long it runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.market import MarketModel
from kitepolars.sim.master import InstrumentMaster, Kind
from kitepolars.wire.encode import encode_packets
from kitepolars.wire.layouts import FULL, INDEX_FULL, SEGMENT_MASK, SEGMENTS, segment_divisors

NOW = 1_795_494_600.0  # 2026-11-24 10:00 IST, an expiry day
SEEDS = st.integers(0, 1_000)
STEPS = st.lists(st.sampled_from([0.1, 1.0, 5.0]), min_size=1, max_size=4)
FEW = settings(max_examples=5, deadline=None)
Columns = Mapping[str, np.ndarray[Any, Any]]


@cache
def master() -> InstrumentMaster:
    return generate_instruments(on=date(2026, 11, 24), seed=0)


def run(seed: int, steps: list[float]) -> tuple[MarketModel, list[dict[str, np.ndarray[Any, Any]]]]:
    """Return a market that ran, and its columns before and after each step."""
    market = MarketModel(master(), now=NOW, seed=seed)
    history = [copy(market.columns)]
    rows = np.arange(len(master()))
    now = NOW
    for seconds in steps:
        now += seconds
        market.advance(seconds)
        market.tick(rows, now)
        history.append(copy(market.columns))
    return market, history


def copy(columns: Columns) -> dict[str, np.ndarray[Any, Any]]:
    return {field: column.copy() for field, column in columns.items()}


def segment_codes() -> np.ndarray[Any, Any]:
    codes: np.ndarray[Any, Any] = master().instrument_token & SEGMENT_MASK
    return codes


def tradable() -> np.ndarray[Any, Any]:
    return np.array([SEGMENTS[code].tradable for code in segment_codes().tolist()])


def tick_sizes() -> np.ndarray[Any, Any]:
    ticks: np.ndarray[Any, Any] = np.rint(master().tick_size * segment_divisors()[segment_codes()])
    return ticks.clip(min=1).astype(np.int64)


@FEW
@given(SEEDS, STEPS)
def test_prices_are_whole_ticks(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    for columns in history:
        for field in ("last_price", "open", "high", "low", "close"):
            assert not (columns[field] % tick_sizes())[tradable()].any()


@FEW
@given(SEEDS, STEPS)
def test_prices_stay_in_the_range_of_the_day(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    traded = tradable()

    for columns in history:
        assert (columns["last_price"] > 0).all()
        assert (columns["low"] <= columns["last_price"]).all()
        assert (columns["last_price"] <= columns["high"]).all()
        assert (columns["low"] <= columns["open"]).all()
        assert (columns["open"] <= columns["high"]).all()
        assert (columns["low"] <= columns["average_traded_price"])[traded].all()
        assert (columns["average_traded_price"] <= columns["high"])[traded].all()


@FEW
@given(SEEDS, STEPS)
def test_the_range_of_the_day_only_widens(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    for before, after in pairwise(history):
        assert (after["open"] == before["open"]).all()
        assert (after["close"] == before["close"]).all()
        assert (after["high"] >= before["high"]).all()
        assert (after["low"] <= before["low"]).all()


@FEW
@given(SEEDS, STEPS)
def test_bids_stay_below_asks_and_get_worse_by_level(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    traded = tradable()

    for columns in history:
        bid, ask = columns["bid_price"][traded], columns["ask_price"][traded]
        assert (bid[:, 0] < ask[:, 0]).all()
        assert (np.diff(ask) > 0).all()
        assert ((np.diff(bid) < 0) | (bid[:, 1:] == 0)).all()
        assert not (bid % tick_sizes()[traded, None]).any()
        assert not (ask % tick_sizes()[traded, None]).any()
        for side, total in (("bid", "total_buy_quantity"), ("ask", "total_sell_quantity")):
            quantity, price = columns[f"{side}_quantity"][traded], columns[f"{side}_price"][traded]
            assert ((quantity > 0) == (price > 0)).all()
            assert ((columns[f"{side}_orders"][traded] > 0) == (price > 0)).all()
            assert (columns[total][traded] >= quantity.sum(axis=1)).all()
    indices = ~traded
    assert not history[-1]["bid_quantity"][indices].any()


@FEW
@given(SEEDS, STEPS)
def test_open_interest_stays_in_its_range(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    derivative = master().kind != Kind.SPOT
    for columns in history[1:]:
        assert (columns["oi_day_low"] <= columns["oi"]).all()
        assert (columns["oi"] <= columns["oi_day_high"]).all()
    assert not history[-1]["oi"][~derivative].any()
    assert (history[0]["oi"][derivative] > 0).all()


@FEW
@given(SEEDS, STEPS)
def test_volume_only_grows_in_lots(seed: int, steps: list[float]) -> None:
    _, history = run(seed, steps)
    lots = np.maximum([row.lot_size for row in master().listings], 1)

    for before, after in pairwise(history):
        growth = after["volume_traded"] - before["volume_traded"]
        moved = after["last_trade_time"] > before["last_trade_time"]
        assert (growth >= 0).all()
        assert (
            growth[moved & tradable()] >= after["last_traded_quantity"][moved & tradable()]
        ).all()
        assert not (growth % lots).any()
        assert (after["exchange_timestamp"] >= before["exchange_timestamp"]).all()
        assert (after["last_trade_time"] <= after["exchange_timestamp"]).all()


@FEW
@given(SEEDS)
def test_everything_fits_into_packets(seed: int) -> None:
    market, _ = run(seed, [1.0])
    traded = tradable()

    full = encode_packets(FULL, {k: v[traded] for k, v in market.columns.items()})
    index = encode_packets(INDEX_FULL, {k: v[~traded] for k, v in market.columns.items()})

    assert len(full) + len(index) == len(master())


@FEW
@given(SEEDS)
def test_prices_move_like_prices(seed: int) -> None:
    market, history = run(seed, [1.0] * 10)
    shares = (master().kind == Kind.SPOT) & tradable() & (history[0]["close"] > 10_000)
    infy = master().row_of[408065]

    before, after = history[0]["last_price"][shares], history[-1]["last_price"][shares]
    moves = np.abs(np.log(after / before))
    assert moves.max() < 0.02
    assert (after != before).mean() > 0.5
    gap = np.abs(np.log(before / history[0]["close"][shares]))
    assert gap.max() < 0.2
    assert history[0]["close"][infy] == 156_780
    assert 0.8 * 156_780 < market.columns["last_price"][infy] < 1.25 * 156_780


@FEW
@given(SEEDS)
def test_an_index_follows_its_members(seed: int) -> None:
    market, history = run(seed, [60.0] * 5)
    nifty = master().row_of[256265]
    spot = {row.underlying: n for n, row in enumerate(master().listings) if row.exchange == "NSE"}
    members = [spot[m] for m in master().underlyings[master().listings[nifty].underlying].members]

    returns = market.columns["last_price"] / history[0]["close"] - 1
    assert returns[nifty] == pytest.approx(returns[members].mean(), abs=0.002)
    change = market.columns["last_price"] - market.columns["close"]
    assert market.columns["price_change"][nifty] == change[nifty]


@FEW
@given(SEEDS)
def test_options_are_priced_from_their_underlying(seed: int) -> None:
    market, _ = run(seed, [1.0])
    price = market.columns["last_price"]
    nifty = price[master().row_of[256265]] / 100
    chain = {
        (row.strike, row.instrument_type): price[n] / 100
        for n, row in enumerate(master().listings)
        if row.tradingsymbol.startswith("NIFTY26DEC") and row.strike
    }
    strikes = sorted({strike for strike, _ in chain})
    calls = np.array([chain[strike, "CE"] for strike in strikes])
    puts = np.array([chain[strike, "PE"] for strike in strikes])

    assert (np.diff(calls) <= 2).all()  # dearer where the strike is lower, but for the spread
    assert (np.diff(puts) >= -2).all()
    parity = calls - puts + np.array(strikes)
    assert np.abs(parity / nifty - 1).max() < 0.02


def test_the_same_seed_and_steps_give_the_same_market() -> None:
    one, two, other = (run(seed, [0.1, 0.1])[0].columns for seed in (5, 5, 6))

    assert all((one[field] == two[field]).all() for field in one)
    assert (one["last_price"] != other["last_price"]).any()


def test_only_the_instruments_asked_for_change() -> None:
    market = MarketModel(master(), now=NOW)
    before = copy(market.columns)
    rows = np.array([0, 5, 17], np.intp)

    market.advance(1.0)
    market.tick(rows, NOW + 1)

    changed = market.columns["exchange_timestamp"] != before["exchange_timestamp"]
    assert np.flatnonzero(changed).tolist() == rows.tolist()
    untouched = np.setdiff1d(np.arange(len(master())), rows)
    assert all((market.columns[f][untouched] == before[f][untouched]).all() for f in before)
