from __future__ import annotations

from dataclasses import fields
from typing import Any

import polars as pl
import pytest

from kitepolars import Stats
from kitepolars.cli.meter import Meter, Moment

INFY = 408065
NIFTY = 256265
LATEST = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "symbol": pl.String(),
        "last_price": pl.Float64(),
        "close": pl.Float64(),
        "bid_price": pl.Array(pl.Float64(), 5),
        "ask_price": pl.Array(pl.Float64(), 5),
        "volume_traded": pl.UInt32(),
    }
)


def stats(**counts: int) -> Stats:
    return Stats(**{field.name: counts.get(field.name, 0) for field in fields(Stats)})


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class StubTicker:
    """Holds what a ticker would return."""

    def __init__(self) -> None:
        self.counters = stats(connected=2)
        self.arrived: list[int] = []
        self.messages = [0, 0]
        self.values: list[dict[str, Any]] = []
        self.holes = 0

    def stats(self) -> Stats:
        return self.counters

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame({"connection": pl.Series(self.arrived, dtype=pl.UInt8)})

    def latest(self) -> pl.DataFrame:
        return pl.DataFrame(self.values, schema=LATEST)

    def connections(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "connection": pl.Series([0, 1], dtype=pl.UInt8),
                "state": ["open", "waiting"],
                "instruments": [3000, 12],
                "messages": self.messages,
            }
        )

    def gaps(self) -> pl.DataFrame:
        return pl.DataFrame({"connection": [0] * self.holes})


def quote(token: int, last_price: float, **others: object) -> dict[str, Any]:
    row = dict.fromkeys(("symbol", "close", "bid_price", "ask_price", "volume_traded"))
    return {**row, "instrument_token": token, "last_price": last_price, **others}


@pytest.fixture
def ticker() -> StubTicker:
    return StubTicker()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def advance(clock: Clock, meter: Meter, seconds: float) -> Moment:
    clock.now += seconds
    return meter.read()


def test_rates_are_differences_over_time(ticker: StubTicker, clock: Clock) -> None:
    meter = Meter(ticker, [], clock=clock)
    meter.read()
    ticker.arrived += [0] * 30 + [1] * 10
    ticker.messages = [6, 2]
    moment = advance(clock, meter, 0.5)
    assert [each.ticks_per_second for each in moment.connections] == [60, 20]
    assert [each.messages_per_second for each in moment.connections] == [12, 4]
    assert moment.ticks_per_second == 80
    assert moment.messages_per_second == 16
    assert moment.elapsed == 0.5


def test_rates_forget_what_is_older_than_their_window(ticker: StubTicker, clock: Clock) -> None:
    meter = Meter(ticker, [], clock=clock)
    meter.read()
    ticker.arrived += [0] * 1000
    for _ in range(4):
        busy = advance(clock, meter, 0.5)
    assert busy.ticks_per_second == 500
    for _ in range(4):
        quiet = advance(clock, meter, 0.5)
    assert quiet.ticks_per_second == 0
    assert quiet.ticks_trend[-1] == 0
    assert max(quiet.ticks_trend) > 0


def test_a_first_moment_has_no_rates(ticker: StubTicker, clock: Clock) -> None:
    ticker.arrived = [0, 0, 1]
    moment = Meter(ticker, [INFY], clock=clock).read()
    assert moment.ticks_per_second == 0
    assert moment.rows == 3
    assert moment.quotes == ()


def test_connections_show_their_state(ticker: StubTicker, clock: Clock) -> None:
    moment = Meter(ticker, [], clock=clock).read()
    assert [(each.index, each.state, each.instruments) for each in moment.connections] == [
        (0, "open", 3000),
        (1, "waiting", 12),
    ]


def test_quotes_stand_in_the_order_of_the_watch_list(ticker: StubTicker, clock: Clock) -> None:
    ticker.values = [quote(1, 5.0), quote(INFY, 1500.0, symbol="NSE:INFY"), quote(NIFTY, 26000.0)]
    moment = Meter(ticker, [NIFTY, INFY], clock=clock).read()
    assert [each.symbol for each in moment.quotes] == ["256265", "NSE:INFY"]


def test_a_quote_has_the_best_of_the_book(ticker: StubTicker, clock: Clock) -> None:
    book = {"bid_price": [99.5, 99.0, 98.5, 98.0, 97.5], "ask_price": [100.5, 101, 102, 103, 104]}
    ticker.values = [quote(INFY, 100.0, close=80.0, volume_traded=7, **book)]
    (shown,) = Meter(ticker, [INFY], clock=clock).read().quotes
    assert (shown.bid, shown.ask, shown.volume, shown.change_percent) == (99.5, 100.5, 7, 25.0)


@pytest.mark.parametrize("close", [None, 0.0])
def test_without_a_close_there_is_no_change(
    ticker: StubTicker, clock: Clock, close: float | None
) -> None:
    ticker.values = [quote(INFY, 100.0, close=close)]
    (shown,) = Meter(ticker, [INFY], clock=clock).read().quotes
    assert shown.change_percent is None
    assert (shown.bid, shown.ask, shown.volume) == (None, None, None)


def test_a_trend_follows_the_last_price(ticker: StubTicker, clock: Clock) -> None:
    meter = Meter(ticker, [INFY], clock=clock)
    for price in (100.0, 101.0, 99.0):
        ticker.values = [quote(INFY, price)]
        moment = advance(clock, meter, 0.25)
    assert moment.quotes[0].trend == (100.0, 101.0, 99.0)
    assert moment.quotes[0].previous_price == 101.0


def test_everything_lost_is_counted_together(ticker: StubTicker, clock: Clock) -> None:
    ticker.counters = stats(rejected_packets=1, rejected_messages=2, dropped=4)
    ticker.holes = 8
    assert Meter(ticker, [], clock=clock).read().lost == 15
