"""Candles of ticks as they come in: what was returned as finished stays."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kitepolars.analytics import CandleBuilder, candles
from kitepolars.errors import ConfigError

TicksOf = Callable[..., pl.DataFrame]


def test_what_was_overtaken_stays_so_when_ticks_come_one_by_one(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:10", 100.0, 100),
        ("10:00:50", 102.0, 120),
        ("10:00:30", 99.0, 104),
        ("10:00:45", 98.0, 112),
        ("10:01:10", 103.0, 130),
    )
    builder = CandleBuilder("1m")
    for row in range(ticks.height):
        builder.update(ticks[row : row + 1])
    bars = builder.frame()
    assert bars["volume"].to_list() == [20, 10]
    assert bars["close"].to_list() == [102.0, 103.0]
    assert_frame_equal(bars, candles(ticks, "1m"))


def test_an_instrument_that_lags_behind_its_market(ticks_of: TicksOf) -> None:
    parts = [
        ticks_of(("10:00:20", 50.0, 100), token=884737),
        ticks_of(("10:05:10", 6.0, 20)),
        ticks_of(("10:00:40", 51.0, 130), token=884737),
        ticks_of(("10:05:20", 52.0, 140), token=884737),
    ]
    builder = CandleBuilder("1m")
    for part in parts:
        builder.update(part)
    lagging = pl.col("instrument_token") == 884737
    columns = ("open", "close", "volume", "ticks")
    whole = builder.frame().filter(lagging).select(columns).rows()
    assert whole == [(50.0, 51.0, 30, 2), (52.0, 52.0, 10, 1)]
    asked = CandleBuilder("1m")
    for part in parts:
        asked.update(part).frame()  # after the second, the bar is given out as finished
    assert asked.frame().filter(lagging).select(columns).rows() == [
        (50.0, 50.0, 0, 1),
        (52.0, 52.0, 40, 1),
    ]


def test_a_bar_before_those_that_stand_in_blocks(ticks_of: TicksOf) -> None:
    builder = CandleBuilder("1m")
    first = [ticks_of((f"10:{minute:02}:10", 5.0, 10 + minute)) for minute in range(8)]
    for ticks in first:
        builder.update(ticks).frame()
    late = ticks_of(("10:02:30", 50.0, 100), ("10:04:30", 51.0, 110), token=884737)
    bars = builder.update(late).frame()
    assert_frame_equal(bars, candles(pl.concat([*first, late]), "1m"))
    assert bars.select("start", "instrument_token").is_unique().all()


def test_the_last_bars_of_a_market_that_fell_silent_change_when_it_speaks(
    ticks_of: TicksOf,
) -> None:
    builder = CandleBuilder("1m")
    currency, commodity = 3 + 256, 7 + 256
    builder.update(ticks_of(("16:59:10", 84.0, 10), token=currency))
    for minute in range(8):
        builder.update(ticks_of((f"17:{minute:02}:10", 6.0, 10 + minute), token=commodity)).frame()
    own = pl.col("instrument_token") == currency
    assert builder.frame().filter(own)["is_partial"].to_list() == [True]
    assert builder.frame(include_partial=False).filter(own).is_empty()
    builder.update(ticks_of(("16:59:50", 85.0, 30), token=currency))
    assert builder.frame().filter(own).select("high", "volume").rows() == [(85.0, 20)]
    builder.update(ticks_of(("17:00:00", 85.0, 30), token=currency))
    assert builder.frame(include_partial=False).filter(own)["high"].to_list() == [85.0]
    assert builder.frame()["start"].is_sorted()


def test_clear_forgets_all_ticks(ticks_of: TicksOf) -> None:
    builder = CandleBuilder("1m").update(ticks_of(("10:00:30", 1.0, 10)))
    assert repr(builder) == "CandleBuilder('1m', on='exchange_timestamp', rows=1)"
    builder.clear()
    assert (builder.rows, builder.frame().height) == (0, 0)


def test_a_refused_update_changes_nothing(ticks_of: TicksOf) -> None:
    good = ticks_of(("10:00:30", 1.0, 10), ("10:00:40", 1.0, 15))
    builder = CandleBuilder("1m").update(good[:1])
    with pytest.raises(ConfigError, match="last_price"):
        builder.update(good.drop("last_price"))
    assert_frame_equal(builder.update(good[1:]).frame(), candles(good, "1m"))


def test_frames_share_the_memory_of_bars_that_are_done(random_ticks: TicksOf) -> None:
    ticks = random_ticks(3, days=1, per_day=200).filter(pl.col("mode") == "full")
    builder = CandleBuilder("1s")
    half = ticks.height // 2
    before = builder.update(ticks[:half]).frame()
    after = builder.update(ticks[half : half + 10]).frame()
    place = before["close"].get_chunks()[0].to_numpy(allow_copy=False).ctypes.data
    assert place == after["close"].get_chunks()[0].to_numpy(allow_copy=False).ctypes.data
