"""Candles of a few ticks, with every value stated."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kitepolars.analytics import CANDLES, ArrivalTimeWarning, CandleBuilder, candles
from kitepolars.errors import ConfigError

TicksOf = Callable[..., pl.DataFrame]


def starts(bars: pl.DataFrame) -> list[str]:
    return bars["start"].dt.strftime("%H:%M:%S").to_list()


def test_a_bar_of_a_minute(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("09:15:00", 100.0, 1_000, 100.0, 7),
        ("09:15:20", 103.0, 1_200, 100.2, 8),
        ("09:15:59", 101.0, 1_500, 100.5, 9),
        ("09:16:00", 102.0, 1_600, 100.6, 6),
        names="average_traded_price oi",
    )
    bars = candles(ticks, "1m")
    assert bars.schema == CANDLES
    first, second = bars.drop("symbol").rows()
    start = dt.datetime(2026, 11, 20, 9, 15, tzinfo=first[1].tzinfo)
    # (1500 × 100.5 − 1000 × 100.0) / 500 = 101.5
    assert first == (408065, start, 100.0, 103.0, 100.0, 101.0, 500, 3, 9, 101.5, False)
    minute = dt.timedelta(minutes=1)
    # (1600 × 100.6 − 1500 × 100.5) / 100 = 102.1, which lies above the one price of the bar.
    assert second == (408065, start + minute, 102.0, 102.0, 102.0, 102.0, 100, 1, 6, 102.0, True)
    assert candles(ticks, "1m", include_partial=False).rows() == bars.rows()[:1]


def test_the_volume_of_a_gap_is_in_the_bar_after_it(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("09:15:01", 100.0, 100),
        ("09:15:30", 100.0, 150),
        ("09:40:10", 100.0, 950),
        ("09:40:20", 100.0, 960),
    )
    assert candles(ticks, "1m")["volume"].to_list() == [50, 810]


def test_a_cached_snapshot_opens_no_bar_and_is_a_base_line(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:00", 90.0, 5_000, True),
        ("10:00:30", 100.0, 5_010, False),
        ("10:01:30", 80.0, 5_100, True),
        ("10:02:10", 101.0, 5_130, False),
        names="is_snapshot",
    )
    bars = candles(ticks, "1m")
    assert starts(bars) == ["10:00:00", "10:02:00"]
    assert bars["low"].to_list() == [100.0, 101.0]
    assert bars["volume"].to_list() == [10, 120]
    assert bars["ticks"].to_list() == [1, 1]


@pytest.mark.parametrize(
    ("first", "snapshot", "volume"),
    [
        pytest.param(300, False, 300, id="watched from the start: counts from 0"),
        pytest.param(1_500, False, 1_500, id="more than all of yesterday"),
        pytest.param(1_500, True, 0, id="a snapshot is the day's base line"),
        pytest.param(1_000, False, 1_000, id="as much as yesterday"),
        pytest.param(999, False, 999, id="a little less than yesterday"),
    ],
)
def test_a_new_day_counts_from_zero(
    ticks_of: TicksOf,
    first: int,
    snapshot: bool,  # noqa: FBT001
    volume: int,
) -> None:
    yesterday = ticks_of(
        ("15:29:00", 100.0, 900, False), ("15:29:30", 100.0, 1_000, False), names="is_snapshot"
    )
    today = ticks_of(
        ("09:15:02", 105.0, first, snapshot),
        ("09:15:03", 105.0, first + 7, False),
        names="is_snapshot",
        day=21,
    )
    bars = candles(pl.concat([yesterday, today]), "1d")
    assert starts(bars) == ["00:00:00", "00:00:00"]
    assert bars["start"].dt.day().to_list() == [20, 21]
    assert bars["volume"].to_list() == [100, volume + 7]


@pytest.mark.parametrize("odd", [0, 1, 90, 550, 1_090])
@pytest.mark.parametrize("times", [1, 2])
def test_a_count_that_falls_and_comes_back_is_not_counted_again(
    ticks_of: TicksOf, odd: int, times: int
) -> None:
    ticks = ticks_of(
        ("11:00:00", 100.0, 1_000),
        ("11:00:10", 100.0, 1_100),
        *[("11:00:20", 100.0, odd)] * times,
        ("11:00:30", 100.0, 1_200),
    )
    assert candles(ticks, "1m")["volume"].to_list() == [200]


def test_a_first_packet_with_the_count_of_yesterday_is_replaced(ticks_of: TicksOf) -> None:
    stale = ticks_of(("10:00:00", 100.0, 5_000, True), names="is_snapshot")
    ticks = ticks_of(
        ("10:00:30", 101.0, 75, False), ("10:01:30", 101.0, 200, False), names="is_snapshot"
    )
    assert candles(pl.concat([stale, ticks]), "1m")["volume"].to_list() == [75, 125]
    fresh = stale.with_columns(is_snapshot=False)
    assert candles(pl.concat([fresh, ticks]), "1m")["volume"].to_list() == [0, 200]


def test_overtaken_ticks_belong_to_their_own_bar_until_it_is_finished(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:10", 100.0, 100),
        ("10:00:59", 101.0, 110),
        ("10:00:20", 99.0, 105),  # late, of the bar that still forms
        ("10:00:05", 98.0, 90),
        ("10:01:05", 102.0, 120),
        ("10:00:59", 97.0, 112),  # its bar is finished
        ("10:01:05", 103.0, 121),
    )
    bars = candles(ticks, "1m")
    assert bars.select("open", "high", "low", "close", "volume", "ticks").rows() == [
        (98.0, 101.0, 98.0, 101.0, 10, 4),
        (102.0, 103.0, 102.0, 103.0, 11, 2),
    ]


@pytest.mark.parametrize(
    ("token", "clock", "every", "start"),
    [
        (408065, "09:59:59", "30m", "09:45:00"),
        (408065, "10:14:59", "1h", "09:15:00"),
        (408065, "10:15:00", "60minute", "10:15:00"),
        (256265, "15:29:59", "30m", "15:15:00"),
        (2 + 256, "09:25:00", "7m", "09:22:00"),
        (3 + 256, "09:29:00", "30m", "09:00:00"),
        (6 + 256, "10:01:00", "1h", "10:00:00"),
        (7 + 256, "23:29:59", "30m", "23:00:00"),
        (12 + 256, "09:10:00", "15m", "09:00:00"),
        (408065, "15:20:00", "1d", "00:00:00"),
        (77 + 256, "09:16:00", "1m", "09:16:00"),  # an unknown segment is taken as equity
    ],
)
def test_bars_count_from_the_session_of_the_segment(
    ticks_of: TicksOf, token: int, clock: str, every: str, start: str
) -> None:
    assert starts(candles(ticks_of((clock, 1.0, 1), token=token), every)) == [start]


def test_the_call_auction_gives_its_volume_to_the_first_bar(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("09:00:05", 95.0, 0),
        ("09:08:10", 96.0, 400),
        ("09:15:01", 97.0, 450),
        ("09:15:02", 98.0, 460),
    )
    bars = candles(ticks, "1m")
    assert starts(bars) == ["09:15:00"]
    assert bars.select("open", "low", "volume").row(0) == (97.0, 97.0, 460)


def test_without_exchange_time_bars_are_cut_on_arrival_with_a_warning(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:30", 1.0, 10), ("10:01:30", 2.0, 30)).with_columns(
        pl.lit(None).cast(pl.Datetime("us", "Asia/Kolkata")).alias("exchange_timestamp")
    )
    for given in (ticks, ticks.drop("exchange_timestamp")):
        with pytest.warns(ArrivalTimeWarning, match="1 instrument.*408065.*arrival time"):
            bars = candles(given, "1m")
        assert starts(bars) == ["10:00:00", "10:01:00"]
        with pytest.warns(ArrivalTimeWarning):
            assert_frame_equal(candles(given.lazy(), "1m").collect(), bars)
        with pytest.warns(ArrivalTimeWarning):
            assert_frame_equal(CandleBuilder("1m").update(given).frame(), bars)
    assert_frame_equal(candles(ticks, "1m", on="received_at"), bars)  # asked for: no warning


def test_a_tick_without_any_time_is_left_out(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:30", 1.0, 10)).with_columns(
        pl.lit(None).cast(pl.Datetime("us", "Asia/Kolkata")).alias("received_at")
    )
    empty = ticks.with_columns(pl.col("received_at").alias("exchange_timestamp"))
    assert candles(pl.concat([ticks, empty]), "1m")["ticks"].to_list() == [1]


def test_an_index_has_bars_without_volume(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:30", 1.0, None), ("10:00:31", 2.0, None), token=256265)
    bars = candles(ticks, "1m").select("close", "volume", "ticks", "oi", "vwap")
    assert bars.rows() == [(2.0, 0, 2, None, None)]


def test_where_rounding_would_show_the_average_is_that_of_the_ticks(ticks_of: TicksOf) -> None:
    # A paisa of rounding on ten million shares is worth a hundred rupees on a thousand.
    ticks = ticks_of(
        ("14:00:00", 1_500.0, 10_000_000, 1_480.12),
        ("14:00:10", 1_500.2, 10_000_600, 1_480.12),
        ("14:00:20", 1_500.7, 10_001_000, 1_480.13),
        names="average_traded_price",
    )
    assert candles(ticks, "1m")["vwap"].to_list() == [pytest.approx(1_500.4)]


def test_bars_end_with_the_session(ticks_of: TicksOf) -> None:
    day = ticks_of(("15:20:00", 1.0, 1), ("15:29:59", 2.0, 2))
    assert candles(day, "30m")["is_partial"].to_list() == [True]
    after = pl.concat([day, ticks_of(("15:30:02", 2.0, 2), token=256265)])
    bars = candles(after, "30m").filter(instrument_token=408065)
    assert bars["is_partial"].to_list() == [False]
    assert not candles(after, "1d").filter(instrument_token=408065)["is_partial"].item()


def test_silent_minutes_are_filled_inside_the_session(ticks_of: TicksOf) -> None:
    ticks = pl.concat(
        [
            ticks_of(("15:26:10", 5.0, 10, 3), ("15:28:10", 6.0, 15, 4), names="oi"),
            ticks_of(("15:31:30", 9.0, None, None), token=256265, names="oi"),
        ]
    )
    bars = candles(ticks, "1m", fill=True).filter(instrument_token=408065)
    assert starts(bars) == ["15:26:00", "15:27:00", "15:28:00", "15:29:00"]
    assert bars.select("open", "close", "volume", "ticks", "oi").rows() == [
        (5.0, 5.0, 0, 1, 3),
        (5.0, 5.0, 0, 0, 3),
        (6.0, 6.0, 5, 1, 4),
        (6.0, 6.0, 0, 0, 4),
    ]
    assert bars["vwap"].to_list() == [None, None, 6.0, None]
    assert bars.schema == CANDLES
    daily = candles(ticks, "1d", fill=True)
    assert_frame_equal(daily, candles(ticks, "1d"))


def test_filling_keeps_instruments_apart(ticks_of: TicksOf) -> None:
    ticks = pl.concat(
        [
            ticks_of(("09:15:10", 5.0, 10), ("09:17:00", 6.0, 15)),
            ticks_of(("09:16:30", 50.0, 1), token=884737),
        ]
    )
    bars = candles(ticks, "1m", fill=True).select("start", "instrument_token", "close")
    assert [(f"{t:%H:%M}", token, close) for t, token, close in bars.rows()] == [
        ("09:15", 408065, 5.0),
        ("09:16", 408065, 5.0),
        ("09:16", 884737, 50.0),
        ("09:17", 408065, 6.0),
        ("09:17", 884737, 50.0),
    ]


def test_history_and_live_go_together(ticks_of: TicksOf) -> None:
    live = candles(ticks_of(("10:00:30", 1.0, 10)), "1m")
    assert pl.concat([CANDLES.to_frame(), live]).schema == CANDLES


def test_no_ticks_no_bars(ticks_of: TicksOf) -> None:
    empty = ticks_of(("10:00:30", 1.0, 10)).clear()
    for fill in (False, True):
        assert_frame_equal(candles(empty, "1m", fill=fill), CANDLES.to_frame())
    assert_frame_equal(candles(empty.lazy(), "1m").collect(), CANDLES.to_frame())
    builder = CandleBuilder("1m").update(empty)
    assert_frame_equal(builder.frame(), CANDLES.to_frame())
    snapshot = ticks_of(("10:00:30", 1.0, 10, True), names="is_snapshot")
    assert_frame_equal(builder.update(snapshot).frame(fill=True), CANDLES.to_frame())


def test_any_hour_can_have_bars_if_asked(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("03:10:10", 5.0, 10), ("09:05:10", 6.0, 15), ("15:45:10", 7.0, 25))
    assert candles(ticks, "1m").is_empty()
    bars = candles(ticks, "1m", hours="any")
    assert starts(bars) == ["03:10:00", "09:05:00", "15:45:00"]
    assert bars["volume"].to_list() == [0, 5, 10]
    with pytest.raises(ConfigError, match="'exchange' or 'any'"):
        candles(ticks, "1m", hours="always")  # type: ignore[arg-type]


def test_bad_input_says_what_would_work(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:30", 1.0, 10))
    with pytest.raises(ConfigError, match="candles: instrument_token, last_price"):
        candles(ticks.drop("instrument_token", "last_price"), "1m")
    with pytest.raises(ConfigError, match="exchange_timestamp: received_at"):
        candles(ticks.drop("exchange_timestamp", "received_at"), "1m")
    with pytest.raises(ConfigError, match="'exchange_timestamp' or 'received_at'"):
        candles(ticks, "1m", on="last_trade_time")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a polars DataFrame or LazyFrame"):
        candles([1, 2], "1m")  # type: ignore[type-var]
    naive = ticks.with_columns(pl.col("exchange_timestamp").dt.replace_time_zone(None))
    with pytest.raises(ConfigError, match="replace_time_zone"):
        candles(naive, "1m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        utc = pl.col("exchange_timestamp").dt.convert_time_zone("UTC").dt.cast_time_unit("ms")
        assert_frame_equal(candles(ticks.with_columns(utc), "1m"), candles(ticks, "1m"))
