"""Odd packets, odd contracts, odd hours: none of them is a trade, and each is somebody's money."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kitepolars.analytics import CandleBuilder, candles
from kitepolars.frames.schema import TIMESTAMP

TicksOf = Callable[..., pl.DataFrame]
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
OPTION, FUTURE, CURRENCY, COMMODITY, INDEX = (
    256 * 48_225 + 2,
    256 * 9 + 2,
    256 * 9 + 3,
    256 * 9 + 7,
    256265,
)
PRICES = ("open", "high", "low", "close")


def prices(bars: pl.DataFrame) -> list[tuple[float, ...]]:
    return bars.select(PRICES).rows()


def at(clock: str, day: int = 20) -> dt.datetime:
    return dt.datetime.combine(dt.date(2026, 11, day), dt.time.fromisoformat(clock), IST)


@pytest.mark.parametrize("every", ["1m", "1d"])
def test_a_price_of_zero_is_no_trade(ticks_of: TicksOf, every: str) -> None:
    ticks = ticks_of(
        ("09:15:01", 0.0, 0), ("09:15:20", 0.0, 0), ("09:15:40", 12.5, 75), ("09:15:50", 0.0, 75),
        ("09:15:55", 13.0, 150), token=OPTION,
    )  # fmt: skip
    bars = candles(ticks, every)
    assert prices(bars) == [(12.5, 13.0, 12.5, 13.0)]
    assert bars["volume"].to_list() == [150]  # it was seen before its first trade
    assert_frame_equal(CandleBuilder(every).update(ticks[:2]).update(ticks[2:]).frame(), bars)


def test_prices_below_zero_are_trades(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("18:00:01", 5.0, 10), ("18:00:02", -37.63, 20), token=COMMODITY)
    assert prices(candles(ticks, "1m")) == [(5.0, 5.0, -37.63, -37.63)]


def test_the_price_of_a_contract_that_has_not_traded_today_opens_no_bar(ticks_of: TicksOf) -> None:
    untraded = ticks_of(("09:15:10", 80.0, 0), ("09:16:20", 80.0, 0), token=OPTION)
    assert candles(untraded, "1m").is_empty()
    yesterday = at("15:29:00", 19)
    ticks = ticks_of(
        ("09:15:10", 80.0, 5_000, yesterday),
        ("09:16:20", 80.0, 5_000, yesterday),
        ("09:17:30", 95.0, 75, at("09:17:30")),
        ("09:17:40", 96.0, 150, at("09:17:40")),
        token=OPTION,
        names="last_trade_time",
    )
    bars = candles(ticks, "1m")
    assert prices(bars) == [(95.0, 96.0, 95.0, 96.0)]
    assert bars["volume"].to_list() == [150]


def test_a_last_trade_in_1970_is_none(ticks_of: TicksOf) -> None:
    never = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    ticks = ticks_of(("10:00:00", 80.0, 10, never), token=OPTION, names="last_trade_time")
    assert candles(ticks, "1m").is_empty()


@pytest.mark.parametrize("token", [408065, FUTURE, CURRENCY, COMMODITY, INDEX])
def test_ticks_before_nine_open_no_bar(ticks_of: TicksOf, token: int) -> None:
    ticks = ticks_of(
        ("08:15:00", 90.0, 900), ("08:45:00", 91.0, 950), ("08:59:59", 92.0, 1_000),
        ("09:15:01", 100.0, 75), ("09:15:02", 101.0, 80), token=token,
    )  # fmt: skip
    bars = candles(ticks, "1m")
    assert prices(bars) == [(100.0, 101.0, 100.0, 101.0)]
    assert bars["volume"].to_list() == [80]  # the count of yesterday is not today's


def test_a_time_far_beyond_arrival_is_none(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:01", 100.0, 1_000), ("10:00:30", 100.0, 1_010), ("10:00:40", 100.0, 1_010),
        ("10:01:01", 101.0, 1_030), ("10:02:01", 102.0, 1_060),
    )  # fmt: skip
    for wrong in (at("10:00:40", 21), at("12:00:00"), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)):
        said = pl.Series(
            [*ticks["exchange_timestamp"][:2], wrong, *ticks["exchange_timestamp"][3:]]
        )
        odd = ticks.with_columns(exchange_timestamp=said.cast(TIMESTAMP))
        bars = candles(odd, "1m")
        assert bars.select("volume", "ticks").rows() == [(10, 3), (20, 1), (30, 1)]


def test_a_clock_of_the_computer_that_is_slow_costs_nothing(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("10:00:01", 100.0, 1_000), ("10:01:01", 101.0, 1_030))
    slow = ticks.with_columns(pl.col("received_at") - dt.timedelta(minutes=4))
    assert_frame_equal(candles(slow, "1m"), candles(ticks, "1m"))


def finished_stay(every: str, first: pl.DataFrame, *later: pl.DataFrame) -> pl.DataFrame:
    """Check that what is given out as finished stays so; return what was finished at first."""
    builder = CandleBuilder(every)
    given_out = start = builder.update(first).frame(include_partial=False)
    for ticks in later:
        now = builder.update(ticks).frame(include_partial=False)
        assert_frame_equal(
            now.join(given_out, on=["instrument_token", "start"], how="semi"), given_out
        )
        given_out = now
    assert_frame_equal(builder.frame(), candles(pl.concat([first, *later]), every))
    return start


@pytest.mark.parametrize("every", ["1m", "30m", "1h", "1d"])
@pytest.mark.parametrize("token", [408065, FUTURE])
def test_the_closing_session_changes_no_bar(ticks_of: TicksOf, every: str, token: int) -> None:
    day = ticks_of(
        ("15:16:00", 100.0, 1_000), ("15:29:59", 101.0, 1_100), ("15:30:02", 101.0, 1_150),
        token=token,
    )  # fmt: skip
    after = ticks_of(
        ("15:31:00", 101.0, 1_150), ("15:45:00", 99.0, 1_500), ("15:59:56", 99.0, 1_600),
        ("16:58:06", 99.0, 1_600), token=token,
    )  # fmt: skip
    finished = finished_stay(every, day, after)
    assert finished["close"][-1] == 101.0
    assert finished["volume"].sum() == 150  # with the trades of the last second
    assert_frame_equal(candles(pl.concat([day, after]), every), finished)


def test_an_index_after_the_close_changes_no_bar(ticks_of: TicksOf) -> None:
    day = ticks_of(("15:16:00", 24_000.0, None), ("15:29:59", 24_010.0, None), token=INDEX)
    close = ticks_of(("15:30:00", 24_011.0, None), ("15:33:00", 24_030.0, None), token=INDEX)
    settled = ticks_of(("16:10:00", 24_040.0, None), ("18:30:00", 24_041.0, None), token=INDEX)
    for every in ("1m", "30m", "1h", "1d"):
        finished = finished_stay(every, pl.concat([day, close[:1]]), close[1:], settled)
        assert finished["close"][-1] == 24_010.0
        assert_frame_equal(candles(pl.concat([day, close, settled]), every), finished)


def test_what_is_traded_after_the_last_bar_of_a_day_is_not_the_next_days(ticks_of: TicksOf) -> None:
    day = ticks_of(
        ("15:29:59", 101.0, 1_100), ("15:30:02", 101.0, 1_100), ("15:45:00", 99.0, 1_500)
    )
    snapshot = ticks_of(("15:50:00", 99.0, 1_600, True), names="is_snapshot")
    following = ticks_of(("09:15:01", 102.0, 40), ("09:15:02", 102.0, 50), day=21)
    ticks = pl.concat([day, snapshot, following], how="diagonal")
    assert candles(ticks, "1m")["volume"].to_list() == [0, 50]


@pytest.mark.parametrize("token", [408065, INDEX])
def test_an_evening_session_that_is_observed_has_bars(ticks_of: TicksOf, token: int) -> None:
    def volume(number: int) -> int | None:
        return None if token == INDEX else number

    before = ticks_of(("15:20:00", 99.0, volume(900)), token=token, day=19)
    evening = ticks_of(
        ("18:15:01", 100.0, volume(10)),
        ("18:15:02", 100.0, volume(10)),  # no trade: no tick of a bar
        ("18:20:00", 101.0, volume(20)),
        token=token,
    )
    later = ticks_of(("18:40:00", 105.0, volume(30)), token=token)
    bars = candles(pl.concat([before, evening, later]), "1m")
    assert bars["start"].dt.strftime("%d %H:%M").to_list() == [
        "19 15:20",
        "20 18:15",
        "20 18:20",
        "20 18:40",
    ]
    assert bars["ticks"].to_list() == [1, 1, 1, 1]
    finished_stay("1d", pl.concat([before, evening]), later)
    daily = candles(pl.concat([before, evening, later]), "1d")
    assert daily["is_partial"].to_list() == [False, True]
    assert prices(daily)[1] == (100.0, 105.0, 100.0, 105.0)


@pytest.mark.parametrize(
    "clock", ["02:10:10", "08:59:59", "12:00:00", "15:35:00", "15:50:00", "21:23:00"]
)
def test_a_trade_of_this_minute_is_one_at_any_hour(ticks_of: TicksOf, clock: str) -> None:
    ticks = ticks_of((clock, 12.5, 75, at(clock)), token=OPTION, names="last_trade_time")
    assert prices(candles(ticks, "1m")) == [(12.5, 12.5, 12.5, 12.5)]
    old = ticks.with_columns(pl.col("last_trade_time") - dt.timedelta(minutes=2))
    assert candles(old, "1m").height == (clock == "12:00:00")


@pytest.mark.parametrize("clock", ["09:00:00", "09:07:30", "15:45:00"])
def test_trades_of_an_auction_open_no_bar(ticks_of: TicksOf, clock: str) -> None:
    ticks = ticks_of((clock, 12.5, 75, at(clock)), names="last_trade_time")
    assert candles(ticks, "1m").is_empty()


def test_a_special_saturday_is_a_session_like_any(ticks_of: TicksOf) -> None:
    ticks = ticks_of(("09:15:01", 100.0, 10), ("11:30:01", 101.0, 20), day=21)
    assert ticks["exchange_timestamp"][0].isoweekday() == 6
    assert candles(ticks, "1m")["volume"].to_list() == [0, 10]


def test_the_clock_of_another_exchange_finishes_nothing(ticks_of: TicksOf) -> None:
    share = ticks_of(("10:00:10", 100.0, 10))
    ahead = ticks_of(("10:05:00", 6_000.0, 5), token=COMMODITY)
    more = ticks_of(("10:00:40", 101.0, 20))
    finished = finished_stay("1m", pl.concat([share, ahead]), more)
    assert finished.filter(instrument_token=408065).is_empty()
    other = ticks_of(("10:01:02", 50.0, 5), token=884737)
    assert candles(pl.concat([share, other]), "1m", include_partial=False).height == 1


@pytest.mark.parametrize(
    ("token", "symbol", "month", "close"),
    [
        (COMMODITY, None, 7, "23:30"),
        (COMMODITY, None, 12, "23:55"),
        (COMMODITY, "MCX:KAPAS27APRFUT", 12, "21:00"),
        (COMMODITY, "MCX:MENTHAOIL26NOVFUT", 7, "17:00"),
        (CURRENCY, "CDS:USDINR26NOVFUT", 7, "17:00"),
        (9 + 256, "MCX:MCXBULLDEX", 7, "23:30"),
        (INDEX, "NSE:NIFTY 50", 7, "15:30"),
        (256 * 5 + 5, "BFO:SENSEX26NOVFUT", 7, "15:30"),
    ],
)
def test_the_last_bars_end_with_their_own_market(
    token: int, symbol: str | None, month: int, close: str
) -> None:
    end = dt.datetime.combine(dt.date(2026, month, 15), dt.time.fromisoformat(close), IST)
    times = [end - dt.timedelta(minutes=20), end - dt.timedelta(seconds=1), end]
    ticks = pl.DataFrame(
        {
            "instrument_token": [token] * 3,
            "exchange_timestamp": times,
            "symbol": [symbol] * 3,
            "last_price": [6_000.0, 6_001.0, 6_001.0],
            "volume_traded": [10, 12, 12],
        }
    )
    for every in ("60m", "1d"):
        assert candles(ticks[:2], every)["is_partial"].to_list()[-1:] == [True]
        bars = candles(ticks, every, include_partial=False)
        assert bars["close"].to_list()[-1:] == [6_001.0]


def test_the_bar_of_the_day_has_the_prices_of_the_exchange(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("09:07:30", 105.0, 5_000, 105.0, 105.0, 105.0),
        ("09:15:01", 104.0, 5_100, 105.0, 105.0, 104.0),
        ("09:15:40", 103.0, 5_200, 105.0, 106.0, 102.5),
        ("15:29:50", 103.5, 5_300, 105.0, 106.0, 102.5),
        names="open high low",
    )
    assert prices(candles(ticks, "1d")) == [(105.0, 106.0, 102.5, 103.5)]
    assert prices(candles(ticks[:2], "1d")) == [(105.0, 105.0, 104.0, 104.0)]


def test_a_new_high_of_the_day_is_in_the_bar_in_which_it_must_have_been(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:01", 100.0, 100, 99.0, 110.0, 90.0),
        ("10:00:30", 101.0, 120, 99.0, 112.0, 90.0),  # between the two: 112 was traded
        ("10:01:05", 102.0, 140, 99.0, 115.0, 89.0),  # in the minute before, or in this one
        ("10:01:40", 101.0, 160, 99.0, 115.0, 88.0),
        names="open high low",
    )
    assert prices(candles(ticks, "1m")) == [
        (100.0, 112.0, 100.0, 101.0),
        (102.0, 102.0, 88.0, 101.0),
    ]


def test_one_packet_with_a_smaller_range_makes_no_new_high(ticks_of: TicksOf) -> None:
    ticks = ticks_of(
        ("10:00:01", 100.0, 100, 99.0, 110.0, 90.0),
        ("10:00:20", 100.0, 110, 99.0, 101.0, 99.0),
        ("10:00:40", 100.0, 120, 99.0, 110.0, 90.0),
        names="open high low",
    )
    assert prices(candles(ticks, "1m")) == [(100.0, 100.0, 100.0, 100.0)]


def test_the_range_of_yesterday_is_not_todays(ticks_of: TicksOf) -> None:
    names = "open high low last_trade_time"
    yesterday = at("15:20:00", 19)
    ticks = ticks_of(
        ("09:16:00", 100.0, 900, 99.0, 150.0, 50.0, yesterday),
        ("09:16:30", 101.0, 10, 101.0, 101.0, 101.0, at("09:16:30")),
        names=names,
    )
    assert prices(candles(ticks, "1d")) == [(101.0, 101.0, 101.0, 101.0)]
    assert prices(candles(ticks, "1m")) == [(101.0, 101.0, 101.0, 101.0)]
