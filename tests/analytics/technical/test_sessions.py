"""What TA-Lib does not have, against its definition in plain Python."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest

from analytics.technical.bars import random_bars
from kitepolars import indicators as ki
from kitepolars.calendar import market_of_token
from kitepolars.errors import ConfigError

Row = dict[str, Any]


def by_instrument(bars: pl.DataFrame) -> Iterator[list[Row]]:
    for token in bars["instrument_token"].unique():
        yield bars.filter(instrument_token=token).to_dicts()


def days(rows: list[Row]) -> list[list[Row]]:
    found: dict[dt.date, list[Row]] = {}
    for row in rows:
        found.setdefault(row["start"].date(), []).append(row)
    return list(found.values())


def close_to(got: float | None, want: float | None) -> bool:
    if got is None or want is None:
        return got is want
    return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_supertrend_is_that_of_pine_script(seed: int) -> None:
    """`ta.supertrend` as the reference spells it out, on the average true range of TA-Lib."""
    bars = random_bars(seed).with_columns(ki.atr(7), ki.supertrend(7, 2.0)).unnest("supertrend")
    assert bars["supertrend_direction"].drop_nulls().n_unique() == 2
    for rows in by_instrument(bars):
        lower: float | None = None
        upper: float | None = None
        line: float | None = None
        before: float | None = None
        for row in rows:
            previous = lower, upper, line
            distance = None if row["atr"] is None else 2.0 * row["atr"]
            if distance is None:
                assert row["supertrend"] is row["supertrend_direction"] is None
                before = row["close"]
                continue
            middle = (row["high"] + row["low"]) / 2
            lower, upper = middle - distance, middle + distance
            last_lower, last_upper, last_line = previous
            if last_lower is None or last_upper is None:
                direction = 1
            else:
                assert before is not None
                lower = lower if lower > last_lower or before < last_lower else last_lower
                upper = upper if upper < last_upper or before > last_upper else last_upper
                if last_line == last_upper:
                    direction = -1 if row["close"] > upper else 1
                else:
                    direction = 1 if row["close"] < lower else -1
            line = lower if direction == -1 else upper
            before = row["close"]
            assert close_to(row["supertrend"], line)
            assert row["supertrend_direction"] == -direction


@pytest.mark.parametrize("seed", range(6))
def test_vwap_and_its_bands_are_those_of_the_day(seed: int) -> None:
    bars = random_bars(seed).with_columns(ki.vwap_bands(1.5)).unnest("vwap_bands")
    for rows in by_instrument(bars):
        for day in days(rows):
            for place, row in enumerate(day):
                prices = [(r["high"] + r["low"] + r["close"]) / 3 for r in day[: place + 1]]
                weights = [r["volume"] for r in day[: place + 1]]
                if not sum(weights):
                    assert row["vwap_bands_middle"] is None
                    continue
                mean = float(np.average(prices, weights=weights))
                variance = float(np.average((np.array(prices) - mean) ** 2, weights=weights))
                assert close_to(row["vwap_bands_middle"], mean)
                assert close_to(row["vwap_bands_lower"], mean - 1.5 * math.sqrt(variance))
                assert close_to(row["vwap_bands_upper"], mean + 1.5 * math.sqrt(variance))


def levels_of(kind: str, high: float, low: float, close: float) -> dict[str, float]:
    """Return the levels as `ta.pivot_point_levels` defines them."""
    pivot, width = (high + low + close) / 3, high - low
    levels = {"p": pivot, "bc": (high + low) / 2, "tc": 2 * pivot - (high + low) / 2}
    if kind == "classic":
        return levels | {
            "r1": pivot * 2 - low,
            "s1": pivot * 2 - high,
            "r2": pivot + width,
            "s2": pivot - width,
            "r3": pivot * 2 + (high - 2 * low),
            "s3": pivot * 2 - (2 * high - low),
        }
    parts = {"fibonacci": (0.382, 0.618, 1), "camarilla": (1.1 / 12, 1.1 / 6, 1.1 / 4)}[kind]
    base = pivot if kind == "fibonacci" else close
    up = {f"r{i}": base + part * width for i, part in enumerate(parts, 1)}
    down = {f"s{i}": base - part * width for i, part in enumerate(parts, 1)}
    return levels | up | down


@pytest.mark.parametrize("kind", ["classic", "fibonacci", "camarilla"])
def test_pivots_are_of_the_day_before(kind: Any) -> None:
    bars = random_bars(3).with_columns(ki.pivots(kind)).unnest("pivots")
    for rows in by_instrument(bars):
        sessions = days(rows)
        assert all(row["pivots_p"] is None for row in sessions[0])
        for earlier, day in pairwise(sessions):
            want = levels_of(
                kind,
                max(row["high"] for row in earlier),
                min(row["low"] for row in earlier),
                earlier[-1]["close"],
            )
            for row in day:
                got = {name[7:]: value for name, value in row.items() if name.startswith("pivots_")}
                assert got == {name: pytest.approx(value) for name, value in want.items()}


@pytest.mark.parametrize("minutes", [1, 15, 30])
def test_the_opening_range_is_that_of_the_market(minutes: int) -> None:
    bars = random_bars(5).with_columns(ki.opening_range(minutes)).unnest("opening_range")
    ranges = 0
    for rows in by_instrument(bars):
        opens = market_of_token(rows[0]["instrument_token"]).opens
        for day in days(rows):
            begins = dt.datetime.combine(day[0]["start"].date(), opens, day[0]["start"].tzinfo)
            ends = begins + dt.timedelta(minutes=minutes)
            for place, row in enumerate(day):
                seen = [r for r in day[: place + 1] if begins <= r["start"] < ends]
                assert row["opening_range_high"] == max((r["high"] for r in seen), default=None)
                assert row["opening_range_low"] == min((r["low"] for r in seen), default=None)
                ranges += bool(seen)
    assert ranges


def test_an_opening_range_from_another_time() -> None:
    bars = random_bars(5).with_columns(ki.opening_range(5, opens=dt.time(9, 30)))
    first = bars.filter(pl.col("opening_range").struct.field("opening_range_high").is_not_null())
    assert first.height
    assert all(start.time() >= dt.time(9, 30) for start in first["start"])


def test_a_volume_profile_is_a_weighted_histogram() -> None:
    bars = random_bars(9).filter(pl.col("volume") > 0)
    bars = bars.with_columns(pl.mean_horizontal("high", "low", "close").alias("price"))
    profile = ki.volume_profile(bars, 12)
    for rows in by_instrument(bars):
        prices, volumes = ([row[name] for row in rows] for name in ("price", "volume"))
        want, edges = np.histogram(prices, 12, weights=volumes)
        own = profile.filter(instrument_token=rows[0]["instrument_token"])
        assert own["volume"].to_list() == want.tolist()
        assert own["low"].to_list() == pytest.approx(edges[:-1])
        assert own["share"].sum() == pytest.approx(1)
        assert sum(own.filter("in_value_area")["share"]) >= 0.7
        assert own.filter("is_point_of_control")["volume"].to_list() == [max(want)]


def test_a_volume_profile_grows_from_the_point_of_control_to_the_busier_side() -> None:
    ticks = pl.DataFrame(
        {
            "instrument_token": 1,
            "last_price": [1.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            "volume_traded": [0, 5, 15, 55, 75, 100],
        }
    )
    profile = ki.volume_profile(ticks, 5, value_area=0.7)
    assert profile["volume"].to_list() == [5, 10, 40, 20, 25]
    assert profile["in_value_area"].to_list() == [False, False, True, True, True]
    lazy = ki.volume_profile(ticks.lazy(), 5)
    assert lazy.collect().equals(profile)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ki.sma(1),
        lambda: ki.ema(True),
        lambda: ki.wma(20_000),
        lambda: ki.rsi(0),
        lambda: ki.macd(26, 12),
        lambda: ki.bollinger(20, 0),
        lambda: ki.supertrend(10, math.nan),
        lambda: ki.stochastic(0),
        lambda: ki.vwap_bands(-1),
        lambda: ki.pivots("woodie"),  # type: ignore[arg-type]
        lambda: ki.opening_range(0),
        lambda: ki.volume_profile(random_bars(1), 0),
        lambda: ki.volume_profile(random_bars(1), value_area=0),
        lambda: ki.volume_profile(random_bars(1).drop("high")),
    ],
)
def test_impossible_settings_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
