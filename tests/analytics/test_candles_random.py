"""Candles against a plain recomputation, tick by tick in Python, and built in pieces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kitepolars.analytics import CANDLES, ArrivalTimeWarning, CandleBuilder, candles

MakeTicks = Callable[..., pl.DataFrame]
SECONDS = {"1s": 1, "1m": 60, "7m": 420, "30m": 1_800, "1h": 3_600, "1d": 86_400}
OPENS = {3: 32_400, 7: 32_400}
IST = 19_800


@dataclass
class Bar:
    """A bar as it grows. Prices with their time and place, so that order can be told."""

    prices: list[tuple[float, int, float, int | None]] = field(default_factory=list)
    volume: int = 0


@dataclass
class State:
    """What an instrument has left behind."""

    newest: float = -1
    volume: int | None = None
    day: int = 0
    pending: int = 0


def _start(second: float, token: int, every: int) -> int:
    local = int(second) + IST
    midnight, clock = local - local % 86_400, local % 86_400
    anchor = 0 if every == 86_400 else OPENS.get(token & 0xFF, 33_300)
    return midnight + max(0, anchor + (clock - anchor) // every * every) - IST


def _own(state: State, volume: int, day: int, *, snapshot: bool) -> int:
    if state.volume is None:
        return 0
    new_day = day > state.day and volume != state.volume
    if new_day or 2 * volume < state.volume:
        return 0 if snapshot else volume
    return volume - state.volume


def plain(ticks: pl.DataFrame, every: int) -> dict[tuple[int, int], Bar]:
    bars: dict[tuple[int, int], Bar] = {}
    states: dict[int, State] = {}
    for place, row in enumerate(ticks.iter_rows(named=True)):
        token = row["instrument_token"]
        state = states.setdefault(token, State())
        exchange = row["exchange_timestamp"]
        second = (exchange or row["received_at"]).timestamp()
        late = exchange is not None and second < state.newest
        if exchange is not None:
            state.newest = max(state.newest, second)
        local = int(second) + IST
        equity = OPENS.get(token & 0xFF) is None
        pre_open = equity and 32_400 <= local % 86_400 < 33_300
        if not late and row["volume_traded"] is not None:
            own = _own(state, row["volume_traded"], local // 86_400, snapshot=row["is_snapshot"])
            state.pending += own
            state.volume, state.day = row["volume_traded"], local // 86_400
        if row["is_snapshot"] or pre_open:
            continue
        bar = bars.setdefault((token, _start(second, token, every)), Bar())
        bar.prices.append((second, place, row["last_price"], row["oi"]))
        if not late:
            bar.volume += state.pending
            state.pending = 0
    return bars


def assert_same(got: pl.DataFrame, want: dict[tuple[int, int], Bar]) -> None:
    assert got.schema == CANDLES
    rows = {(r["instrument_token"], int(r["start"].timestamp())): r for r in got.to_dicts()}
    assert rows.keys() == want.keys()
    for key, bar in want.items():
        row, ordered = rows[key], sorted(bar.prices)
        prices = [price for _, _, price, _ in ordered]
        assert (row["open"], row["close"]) == (prices[0], prices[-1])
        assert (row["high"], row["low"]) == (max(prices), min(prices))
        assert row["ticks"] == len(prices)
        assert row["oi"] == ordered[-1][3]
        assert row["volume"] == max(bar.volume, 0)
        if row["volume"]:
            assert row["low"] <= row["vwap"] <= row["high"]
        else:
            assert row["vwap"] is None


@pytest.fixture(autouse=True)
def _arrival_is_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArrivalTimeWarning)
        yield


@pytest.mark.parametrize("every", SECONDS)
@pytest.mark.parametrize("seed", range(4))
def test_bars_of_random_days_equal_a_plain_recomputation(
    random_ticks: MakeTicks, seed: int, every: str
) -> None:
    ticks = random_ticks(seed)
    assert_same(candles(ticks, every), plain(ticks, SECONDS[every]))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 399), max_size=12),
    asks=st.integers(0, 4_095),
    every=st.sampled_from(sorted(SECONDS)),
    on=st.sampled_from(["exchange_timestamp", "received_at"]),
    fill=st.booleans(),
    partial=st.booleans(),
)
def test_built_in_pieces_is_exactly_the_whole(  # noqa: PLR0917 - what hypothesis varies
    random_ticks: MakeTicks,
    seed: int,
    cuts: list[int],
    asks: int,
    every: str,
    on: str,
    fill: bool,  # noqa: FBT001
    partial: bool,  # noqa: FBT001
) -> None:
    fill = fill and every != "1s"
    ticks = random_ticks(seed, per_day=40)
    builder = CandleBuilder(every, on=on)  # type: ignore[arg-type]
    edges = [0, *sorted(cuts), ticks.height]
    for i, (start, end) in enumerate(pairwise(edges)):
        builder.update(ticks[start:end])
        if asks >> i & 1:
            builder.frame()  # asking in between settles bars, and changes nothing
    assert builder.rows == ticks.height
    whole = candles(ticks, every, on=on, fill=fill, include_partial=partial)  # type: ignore[arg-type]
    assert_frame_equal(builder.frame(fill=fill, include_partial=partial), whole, check_exact=True)


def test_chunks_of_a_frame_do_not_matter(random_ticks: MakeTicks) -> None:
    ticks = random_ticks(1)
    edges = np.unique(np.random.default_rng(1).integers(0, ticks.height, 40))
    chunked = pl.concat(
        [ticks[a:b] for a, b in zip([0, *edges], [*edges, ticks.height], strict=True)],
        rechunk=False,
    )
    assert chunked.n_chunks() > 1
    assert_frame_equal(candles(chunked, "1m"), candles(ticks, "1m"), check_exact=True)


def test_a_lazy_frame_gives_a_lazy_frame(random_ticks: MakeTicks) -> None:
    ticks = random_ticks(2)
    lazy = candles(ticks.lazy(), "5m")
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect_schema() == CANDLES
    assert_frame_equal(lazy.collect(), candles(ticks, "5m"), check_exact=True)
    assert_frame_equal(
        lazy.filter(pl.col("instrument_token") == 408065).select("start", "close").collect(),
        candles(ticks, "5m").filter(instrument_token=408065).select("start", "close"),
    )
