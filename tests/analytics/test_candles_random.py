"""Candles of odd days: against the rules in plain Python, in pieces, and what was given out."""

from __future__ import annotations

import datetime as dt
import random
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.reference import Bar, reference  # isort: skip
from kitepolars.analytics import CANDLES, ArrivalTimeWarning, CandleBuilder, candles
from kitepolars.frames.schema import SCHEMA, TIME_ZONE

MakeTicks = Callable[..., pl.DataFrame]
SECONDS: Final = {"1s": 1, "1m": 60, "7m": 420, "30m": 1_800, "1h": 3_600, "1d": 86_400}
IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
SYMBOLS: Final = {
    408065: "NSE:INFY",
    12345 * 256 + 2: "NFO:NIFTY26NOVFUT",
    999 * 256 + 3: "CDS:USDINR26NOVFUT",
    111 * 256 + 7: "MCX:CRUDEOIL26NOVFUT",
    112 * 256 + 7: "MCX:KAPAS27APRFUT",
    256265: "NSE:NIFTY 50",
    77 * 256 + 9: "MCX:MCXBULLDEX",
}
_AROUND: Final = (
    "08:40",
    "09:00",
    "09:14:50",
    "12:00",
    "15:29:40",
    "16:20",
    "20:59:40",
    "23:29:40",
)


@lru_cache(maxsize=128)
def odd_ticks(seed: int, *, per_day: int = 40, days: int = 3) -> pl.DataFrame:
    """Return days on which about everything happens that may."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for number in range(days):
        midnight = int(dt.datetime(2026, 10, 30 + number % 2, tzinfo=IST).timestamp())
        midnight += 86_400 * 3 * (number // 2)
        for token, symbol in SYMBOLS.items():
            begin = dt.time.fromisoformat(rng.choice(_AROUND))
            clock = begin.hour * 3_600 + begin.minute * 60 + begin.second
            rows += _instrument(rng, midnight + clock, token, symbol, per_day)
    frame = pl.DataFrame(rows, infer_schema_length=None).sort("received_at", maintain_order=True)
    times = pl.col("received_at", "exchange_timestamp", "last_trade_time")
    return frame.with_columns(times.cast(pl.Datetime("us", TIME_ZONE))).select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items() if name in frame.columns
    )


def _instrument(
    rng: random.Random, second: int, token: int, symbol: str, count: int
) -> Iterator[dict[str, object]]:
    index, full = token & 0xFF == 9, rng.random() < 0.75
    volume, price = rng.randrange(300), 100.0
    opened, high, low = price, price, price
    traded_at = second - rng.choice((0, 5, 86_400))
    for place in range(count):
        second += rng.choice((0, 0, 1, 1, 2, 7, 45, 400))
        traded = rng.random() < 0.6
        if traded:
            price = round(price + rng.randrange(-6, 7) * 0.05, 2)
            volume += rng.randrange(1, 90)
            traded_at = second
            high, low = max(high, price + rng.randrange(2)), min(low, price)
        odd, said = rng.random(), second
        shown, cumulative = price, volume
        if odd < 0.02:
            shown = 0.0
        elif odd < 0.05:
            cumulative = 0
        elif odd < 0.08:
            cumulative = int(volume * rng.random())
        elif odd < 0.10:
            said = second + rng.choice((86_400, 600, -20, -second))
        yield {
            "received_at": second * 1_000_000 + 300_000 + place,
            "exchange_timestamp": said * 1_000_000 if full else None,
            "instrument_token": token,
            "symbol": symbol,
            "is_snapshot": rng.random() < 0.07,
            "last_price": shown,
            "average_traded_price": None if index else 100.0,
            "volume_traded": None if index else cumulative,
            "open": None if not traded else opened,
            "high": None if rng.random() < 0.1 else high,
            "low": low,
            "last_trade_time": None if index or not full else traded_at * 1_000_000,
            "oi": None if index or not full else 1_000 + place,
        }


def assert_same(got: pl.DataFrame, want: dict[tuple[int, int], Bar]) -> None:
    assert got.schema == CANDLES
    assert got.sort("start", "instrument_token").equals(got)
    starts = got["start"].dt.epoch("us")
    rows = {
        (row["instrument_token"], start): row
        for row, start in zip(got.iter_rows(named=True), starts, strict=True)
    }
    assert rows.keys() == want.keys()
    for key, bar in want.items():
        row = rows[key]
        assert (row["open"], row["high"], row["low"], row["close"]) == (
            bar.open,
            bar.high,
            bar.low,
            bar.close,
        ), key
        assert (row["ticks"], row["oi"], row["volume"]) == (bar.ticks, bar.oi, bar.volume), key
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
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1_000_000), on=st.sampled_from(["exchange_timestamp", "received_at"]))
def test_bars_of_odd_days_follow_the_rules(every: str, seed: int, on: str) -> None:
    ticks = odd_ticks(seed)
    got = candles(ticks, every, on=on)  # type: ignore[arg-type]
    assert_same(got, reference(ticks, SECONDS[every] * 1_000_000, on))


@pytest.mark.parametrize("every", SECONDS)
@pytest.mark.parametrize("seed", range(4))
def test_bars_of_random_days_follow_the_rules(
    random_ticks: MakeTicks, seed: int, every: str
) -> None:
    ticks = random_ticks(seed)
    assert_same(candles(ticks, every), reference(ticks, SECONDS[every] * 1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 800), max_size=12),
    every=st.sampled_from(sorted(SECONDS)),
    on=st.sampled_from(["exchange_timestamp", "received_at"]),
    fill=st.booleans(),
    partial=st.booleans(),
)
def test_built_in_pieces_is_exactly_the_whole(  # noqa: PLR0917 - what hypothesis varies
    seed: int,
    cuts: list[int],
    every: str,
    on: str,
    fill: bool,  # noqa: FBT001
    partial: bool,  # noqa: FBT001
) -> None:
    fill = fill and every != "1s"
    ticks = odd_ticks(seed)
    builder = CandleBuilder(every, on=on)  # type: ignore[arg-type]
    for start, end in pairwise([0, *sorted(cuts), ticks.height]):
        builder.update(ticks[start:end])
    assert builder.rows == ticks.height
    whole = candles(ticks, every, on=on, fill=fill, include_partial=partial)  # type: ignore[arg-type]
    assert_frame_equal(builder.frame(fill=fill, include_partial=partial), whole, check_exact=True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 800), min_size=1, max_size=12),
    every=st.sampled_from(sorted(SECONDS)),
)
def test_a_bar_given_out_as_finished_never_changes(seed: int, cuts: list[int], every: str) -> None:
    ticks = odd_ticks(seed)
    builder = CandleBuilder(every)
    given_out = CANDLES.to_frame()
    for start, end in pairwise([0, *sorted(cuts), ticks.height]):
        finished = builder.update(ticks[start:end]).frame(include_partial=False)
        key = ["instrument_token", "start"]
        assert_frame_equal(finished.join(given_out, on=key, how="semi"), given_out)
        given_out = finished


@pytest.mark.parametrize("every", SECONDS)
def test_asking_in_between_changes_nothing_on_plain_days(
    random_ticks: MakeTicks, every: str
) -> None:
    ticks = random_ticks(5, days=2, per_day=200)
    at = pl.coalesce("exchange_timestamp", "received_at")
    ticks = ticks.filter(at >= at.cum_max().over("instrument_token"), mode="full")
    builder = CandleBuilder(every)
    for start in range(0, ticks.height, 37):
        builder.update(ticks[start : start + 37]).frame()
    assert_frame_equal(builder.frame(), candles(ticks, every), check_exact=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), every=st.sampled_from(sorted(SECONDS)))
def test_bars_do_not_depend_on_what_else_is_in_the_frame(seed: int, every: str) -> None:
    ticks = odd_ticks(seed)
    together = candles(ticks, every).drop("is_partial")
    for token in SYMBOLS:
        alone = candles(ticks.filter(instrument_token=token), every).drop("is_partial")
        assert_frame_equal(together.filter(instrument_token=token), alone, check_exact=True)


def test_chunks_of_a_frame_do_not_matter() -> None:
    ticks = odd_ticks(1)
    edges = np.unique(np.random.default_rng(1).integers(0, ticks.height, 40))
    chunked = pl.concat(
        [ticks[a:b] for a, b in zip([0, *edges], [*edges, ticks.height], strict=True)],
        rechunk=False,
    )
    misaligned = chunked.with_columns(ticks["last_price"].rechunk().alias("last_price"))
    assert chunked.n_chunks() > 1
    for frame in (chunked, misaligned):
        assert_frame_equal(candles(frame, "1m"), candles(ticks, "1m"), check_exact=True)


def test_a_lazy_frame_gives_a_lazy_frame() -> None:
    ticks = odd_ticks(2)
    lazy = candles(ticks.lazy(), "5m")
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect_schema() == CANDLES
    for _ in range(2):  # a plan can be collected again
        assert_frame_equal(lazy.collect(), candles(ticks, "5m"), check_exact=True)
    assert_frame_equal(
        lazy.filter(pl.col("instrument_token") == 408065).select("start", "close").collect(),
        candles(ticks, "5m").filter(instrument_token=408065).select("start", "close"),
    )


def test_many_instruments_and_names_find_room() -> None:
    count = 3_000
    at = dt.datetime(2026, 11, 20, 10, tzinfo=IST)
    tokens = pl.int_range(count, dtype=pl.UInt32, eager=True) * 256 + 1
    ticks = pl.concat(
        pl.DataFrame(
            {
                "instrument_token": tokens,
                "exchange_timestamp": [at + dt.timedelta(minutes=minute)] * count,
                "symbol": pl.Series([f"NSE:{minute % 2}-{i}" for i in range(count)]),
                "last_price": [1.0 + minute] * count,
            }
        )
        for minute in range(3)
    )
    bars = candles(ticks, "1m")
    assert bars.height == 3 * count
    assert bars["instrument_token"].to_list() == tokens.sort().to_list() * 3
    want = [f"NSE:{minute % 2}-{i}" for minute in range(3) for i in range(count)]
    assert bars["symbol"].cast(pl.String).to_list() == want
