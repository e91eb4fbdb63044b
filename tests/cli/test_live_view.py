from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Final

import pytest
from rich.console import Console

import kitepolars as kp
from kitepolars import Stats
from kitepolars.cli.live_view import TREND, WINDOW, Meter, Moment, live_view, plain_line, sparkline
from kitepolars.health import Health, Rates
from patience import PATIENCE

INFY, NIFTY = 408065, 256265
COUNTERS: Final[dict[str, Any]] = {
    "ticks": 123_456,
    "messages": 2_345,
    "connected": 3,
    "rows": 123_456,
}
COUNTER_NAMES: Final = [field.name for field in fields(Stats) if field.name != "history"]


def quote(symbol: str, *trend: float, **others: object) -> dict[str, Any]:
    row = dict.fromkeys(("close", "bid_price", "ask_price", "volume_traded"))
    return {**row, "symbol": symbol, "last_price": trend[-1], "trend": trend, **others}


MOMENT: Final = Moment(
    elapsed=6.2,
    stats=Stats(**{name: COUNTERS.get(name, 0) for name in COUNTER_NAMES}),
    health=Health(word="Healthy", tone="good", why="3 connections open"),
    rates=Rates(2987.0, {0: 12.4, 1: 0.0}, {0: 45_600.0, 1: 0.0}),
    connections=(
        {"connection": 0, "state": "open", "instruments": 3000},
        {"connection": 1, "state": "waiting", "instruments": 17},
    ),
    quotes=(
        quote(
            "CDS:USDINR26NOVFUT",
            88.7,
            88.705,
            88.7075,
            close=88.9298,
            bid_price=[88.705] * 5,
            ask_price=[88.7075] * 5,
            volume_traded=4321,
        ),
        quote("NSE:NIFTY 50", 26068.15, close=0.0),
    ),
    held_bytes=25_000_000,
    ticks_trend=(2900.0, 2987.0),
)


def drawn(moment: Moment, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(live_view(moment, seconds=10, width=width))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 104, 200])
def test_the_picture_shows_connections_watch_list_and_health(width: int) -> None:
    picture = drawn(MOMENT, width)
    for shown in (
        "2,987 ticks/s",
        "123,456 ticks",
        "6 of 10 s",
        "● open",
        "● waiting",
        "3,000",
        "CDS:USDINR26NOVFUT",
        "88.7075",
        "-0.25 %",
        "26,068.15",
        "4,321",
        "46",
        "Healthy: 3 connections open",
        "25.0 MB",
    ):
        assert shown in picture


@pytest.mark.parametrize("width", [80, 104])
def test_the_picture_fits_its_terminal(width: int) -> None:
    connections, quotes = list(MOMENT.connections), list(MOMENT.quotes)
    full = replace(MOMENT, connections=connections[:1] * 3, quotes=quotes[:1] * 11)
    lines = drawn(full, width).splitlines()
    assert max(map(len, lines)) == width
    assert len(lines) < 24


def test_trends_take_what_the_numbers_leave() -> None:
    assert "trend" not in drawn(MOMENT, 80)
    assert "▁▆█" in drawn(MOMENT, 104)


def test_the_verdict_is_the_monitors() -> None:
    lossy = Health(word="Lossy", tone="warn", why="2 messages were dropped")
    picture = drawn(replace(MOMENT, health=lossy, stats=replace(MOMENT.stats, dropped=2)), 104)
    assert "Lossy: 2 messages were dropped" in picture
    assert "Healthy" not in picture


def test_names_are_text_and_no_markup() -> None:
    hostile = {**MOMENT.quotes[0], "symbol": "[bold]X[/]"}
    assert "[bold]X[/]" in drawn(replace(MOMENT, quotes=(hostile,)), 104)


def test_a_plain_line_has_the_main_figures() -> None:
    line = plain_line(MOMENT)
    for shown in ("6.2 s", "3 connections", "123,456 ticks", "2,987 ticks/s", "0 lost"):
        assert shown in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("values", "low", "bars"),
    [
        ([], None, ""),
        ([1.0], None, "▄"),
        ([0.0, 3.5, 7.0], None, "▁▅█"),
        ([0.0, 0.0], 0.0, "▄▄"),
        ([-7.0, 0.0], None, "▁█"),
        ([50.0, 100.0], 0.0, "▅█"),
    ],
)
def test_a_sparkline(values: list[float], low: float | None, bars: str) -> None:
    assert sparkline(values, low=low) == bars


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticker() -> Iterator[kp.DemoTicker]:
    with kp.demo(instruments=[INFY, NIFTY], rate=0) as ticker:
        assert ticker.wait(rows=2, timeout=PATIENCE)
        yield ticker


def test_rates_are_averaged_over_the_window(ticker: kp.DemoTicker) -> None:
    clock = Clock()
    meter = Meter(ticker, [INFY], clock=clock)
    assert meter.read().rates.ticks == 0
    before = ticker.stats().ticks
    for _ in range(10):
        ticker.exchange.step()
    assert ticker.wait(until=lambda it: it.stats().ticks == before + 20, timeout=PATIENCE)
    rates = []
    for _ in range(8):
        clock.now += WINDOW / 4
        rates.append(meter.read().rates.ticks)
    assert rates == [20 / (WINDOW / 4 * n) for n in (1, 2, 3, 4)] + [0.0] * 4
    assert meter.read().ticks_trend[:3] == (0.0, *rates[:2])


def test_quotes_are_in_the_order_of_the_watch_list_with_their_trends(
    ticker: kp.DemoTicker,
) -> None:
    meter = Meter(ticker, [NIFTY, INFY])
    for _ in range(TREND + 1):
        moment = meter.read()
    assert [row["symbol"] for row in moment.quotes] == ["NSE:NIFTY 50", "NSE:INFY"]
    assert moment.quotes[1]["trend"] == (moment.quotes[1]["last_price"],) * TREND
    assert moment.health.word == "Healthy"
    assert moment.connections[0]["state"] == "open"


def test_a_ticker_that_was_stopped_is_not_well(ticker: kp.DemoTicker) -> None:
    ticker.stop()
    assert Meter(ticker, []).read().health.word == "Stopped"
