"""Numbers per tick, with every value stated."""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from kitepolars.analytics import change, realised_volatility, returns, volume_delta, vwap
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIMESTAMP

TicksOf = Callable[..., pl.DataFrame]


def volumes(*counts: int | None) -> list[Any]:
    frame = pl.DataFrame({"instrument_token": 1, "volume_traded": counts})
    return over(frame, volume_delta())


def two(**columns: list[Any]) -> pl.DataFrame:
    """Two instruments, interleaved."""
    count = len(next(iter(columns.values())))
    return pl.DataFrame({"instrument_token": [1 + i % 2 for i in range(count)], **columns})


def over(frame: pl.DataFrame, expr: pl.Expr) -> list[Any]:
    return frame.select(expr.over("instrument_token")).to_series().to_list()


def test_volume_delta_is_within_the_instrument() -> None:
    frame = two(volume_traded=[100, 9_000, 130, 9_005, 125, None, 20, 9_010])
    assert over(frame, volume_delta()) == [None, None, 30, 5, -5, None, 20, 5]


@pytest.mark.parametrize("odd", [0, 1, 400, 900, 1_009])
def test_a_count_that_falls_and_comes_back_is_not_counted_again(odd: int) -> None:
    assert volumes(1_000, 1_010, odd, 1_030, 1_040) == [None, 10, 0, 20, 10]
    assert volumes(1_000, 1_010, odd, None, 1_030) == [None, 10, 0, None, 20]


def test_a_count_that_stays_low_is_a_new_one() -> None:
    assert volumes(1_000, 20, 35, 80) == [None, 20, 15, 45]
    assert volumes(0, 0, 75) == [None, 0, 75]


def test_volume_delta_of_unsigned_columns(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:00", 1.0, 50), ("10:00:01", 1.0, 45))
    assert ticks.schema["volume_traded"] == pl.UInt32
    assert over(ticks, volume_delta()) == [None, -5]


@pytest.mark.parametrize("first", [0, 20, 60, 61, 900])
@pytest.mark.parametrize("mode", ["full", "quote"])
def test_the_volume_of_a_day_counts_from_0(ticks_of: TicksOf, first: int, mode: str) -> None:
    ticks = pl.concat(
        [
            ticks_of(("10:00:00", 1.0, 50), ("11:00:00", 1.0, 60)),
            ticks_of(("09:15:00", 1.0, first), ("09:16:00", 1.0, 1_000), day=21),
        ]
    )
    if mode == "quote":
        ticks = ticks.drop("exchange_timestamp")
    assert over(ticks, volume_delta()) == [None, 10, first, 1_000 - first]


def test_a_fall_at_the_start_of_a_day_is_not_a_dip(ticks_of: TicksOf) -> None:
    days = [ticks_of(("10:00:00", 1.0, 50), ("11:00:00", 1.0, 60))]
    days.append(ticks_of(("09:15:00", 1.0, 40), ("09:16:00", 1.0, 70), day=21))
    assert over(pl.concat(days), volume_delta()) == [None, 10, 40, 30]


def test_the_cached_value_of_a_day_is_a_baseline(ticks_of: TicksOf) -> None:
    cached = ticks_of(("11:00:00", 1.0, 70), day=21).with_columns(is_snapshot=True)
    days = [ticks_of(("10:00:00", 1.0, 60)).with_columns(is_snapshot=False), cached]
    days.append(ticks_of(("11:00:01", 1.0, 75), day=21).with_columns(is_snapshot=False))
    assert over(pl.concat(days), volume_delta()) == [None, None, 5]


def test_the_volume_before_nine_is_of_the_day_before(ticks_of: TicksOf) -> None:
    before = ticks_of(("08:30:00", 1.0, 60), day=21)
    days = [ticks_of(("10:00:00", 1.0, 60)), before, ticks_of(("09:15:00", 1.0, 90), day=21)]
    assert over(pl.concat(days), volume_delta()) == [None, 0, 90]


def test_a_packet_without_a_trade_of_its_day_begins_no_day(ticks_of: TicksOf) -> None:
    friday = ticks_of(("15:29:50", 1.0, 60))
    traded = friday["exchange_timestamp"].item()
    days = [friday.with_columns(last_trade_time="exchange_timestamp")]
    stale = ticks_of(("17:00:00", 1.0, 60), day=22)
    days.append(stale.with_columns(last_trade_time=pl.lit(traded).cast(TIMESTAMP)))
    evening = ticks_of(("18:15:01", 1.0, 10), ("18:16:02", 1.0, 30), day=22)
    days.append(evening.with_columns(last_trade_time="exchange_timestamp"))
    assert over(pl.concat(days, how="diagonal"), volume_delta()) == [None, 0, 10, 20]


@pytest.mark.parametrize("wrong", [dt.timedelta(days=1), dt.timedelta(days=-20_000)])
def test_one_wrong_time_does_not_begin_a_day(ticks_of: TicksOf, wrong: dt.timedelta) -> None:
    ticks = ticks_of(*[(f"10:00:0{i}", 1.0, 50 + i) for i in range(4)]).with_columns(
        received_at=pl.col("exchange_timestamp"),
        exchange_timestamp=pl.col("exchange_timestamp")
        + pl.Series([dt.timedelta(), wrong, dt.timedelta(), dt.timedelta()]),
    )
    assert over(ticks, volume_delta()) == [None, 1, 1, 1]


@pytest.mark.parametrize(("last", "close"), [(159_380, 157_915), (100, 0), (90_05, 100_00)])
def test_change_is_that_of_the_official_client(last: int, close: int) -> None:
    quote = struct.pack(">11I", 408065, last, 1, last, 5, 1, 1, last, last, last, close)
    message = struct.pack(">HH", 1, len(quote)) + quote
    official = KiteTicker("", "")._parse_binary(message)[0]["change"]
    frame = pl.DataFrame({"last_price": [last / 100], "close": [close / 100]})
    assert frame.select(change()).item() == official


def test_change_is_null_without_a_close() -> None:
    frame = pl.DataFrame(
        {"last_price": [1.0], "close": [None]}, schema_overrides={"close": pl.Float64}
    )
    assert frame.select(change()).item() is None


def test_vwap_weights_prices_with_their_volume() -> None:
    frame = two(
        last_price=[10.0, 1.0, 12.0, 2.0, 15.0, 3.0],
        volume_traded=[100, None, 130, None, 140, None],
    )
    assert over(frame, vwap()) == [None, None, 12.0, None, 12.75, None]


def test_returns() -> None:
    frame = two(last_price=[100.0, 50.0, 110.0, 25.0, 0.0, 25.0, 110.0, -5.0])
    want = [None, None, 0.1, -0.5, None, 0.0, None, None]
    assert over(frame, returns()) == [w if w is None else pytest.approx(w) for w in want]
    logs = over(frame, returns(log=True))
    assert logs[2:4] == [pytest.approx(math.log(1.1)), pytest.approx(math.log(0.5))]


def test_realised_volatility_looks_back_over_time(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:00", 100.0, 1), ("10:00:30", 110.0, 1), ("10:01:00", 99.0, 1), ("10:05:00", 99.0, 1)
    )
    up, down = math.log(1.1), math.log(0.9)
    got = over(ticks, realised_volatility("1m"))
    assert got == [0.0, pytest.approx(up), pytest.approx(math.hypot(up, down)), 0.0]
    short = over(ticks, realised_volatility(dt.timedelta(seconds=30), on="exchange_timestamp"))
    assert short[2] == pytest.approx(abs(down))
    with pytest.raises(ConfigError, match="'30s'"):
        realised_volatility("5 minutes")


def test_realised_volatility_does_not_look_ahead_at_equal_times(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        *[("10:00:00", price, 1) for price in (100.0, 101.0, 102.0)], ("10:00:01", 102.0, 1)
    )
    steps = [0.0, math.log(1.01), math.log(102 / 101), 0.0]
    want = [math.sqrt(sum(step**2 for step in steps[: i + 1])) for i in range(4)]
    for on in ("exchange_timestamp", "received_at"):
        got = over(ticks, realised_volatility("5m", on=on))
        assert got == [pytest.approx(value, abs=1e-12) for value in want]


@settings(max_examples=30)
@given(seed=st.integers(0, 1_000_000), count=st.integers(1, 80))
def test_realised_volatility_of_a_row_is_that_of_the_rows_up_to_it(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "instrument_token": rng.integers(0, 3, count),
            "received_at": pl.from_epoch(pl.Series(rng.integers(0, 2, count).cumsum())),
            "last_price": 100 + rng.integers(-9, 9, count) * 0.05,
        }
    )
    whole = over(frame, realised_volatility("5s"))
    for row in range(count):
        assert over(frame[: row + 1], realised_volatility("5s"))[-1] == pytest.approx(whole[row])


def test_realised_volatility_of_calm_after_storm_is_a_number() -> None:
    rng = np.random.default_rng(132)
    for _ in range(200):
        size = 10.0 ** rng.integers(-6, 0, 60)
        steps = np.where(rng.random(60) < 0.3, rng.normal(0, 1, 60) * size, 0)
        frame = pl.DataFrame({"last_price": 100 * np.exp(steps.cumsum())}).with_columns(
            pl.lit(1).alias("instrument_token"),
            pl.from_epoch(pl.int_range(60)).alias("received_at"),
        )
        assert not any(math.isnan(value) for value in over(frame, realised_volatility("3s")))
