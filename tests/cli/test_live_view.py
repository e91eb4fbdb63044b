from __future__ import annotations

import io
from dataclasses import fields, replace
from typing import Final

import pytest
from rich.console import Console

from kitepolars import Stats
from kitepolars.cli.live_view import live_view, plain_line, sparkline
from kitepolars.cli.meter import ConnectionMoment, Moment, Quote

COUNTERS: Final = {"ticks": 123_456, "messages": 2_345, "connected": 3}
MOMENT: Final = Moment(
    elapsed=6.2,
    connections=(
        ConnectionMoment(
            index=0,
            state="open",
            instruments=3000,
            messages_per_second=12.4,
            ticks_per_second=2987.0,
        ),
        ConnectionMoment(
            index=1, state="waiting", instruments=17, messages_per_second=0, ticks_per_second=0
        ),
    ),
    quotes=(
        Quote(
            symbol="CDS:USDINR26NOVFUT",
            last_price=88.7075,
            previous_price=88.705,
            change_percent=-0.25,
            bid=88.705,
            ask=88.7075,
            volume=4321,
            trend=(88.7, 88.705, 88.7075),
        ),
        Quote(
            symbol="NSE:NIFTY 50",
            last_price=26068.15,
            previous_price=26068.15,
            change_percent=None,
            bid=None,
            ask=None,
            volume=None,
            trend=(26068.15,),
        ),
    ),
    stats=Stats(**{field.name: COUNTERS.get(field.name, 0) for field in fields(Stats)}),
    gaps=0,
    rows=123_456,
    held_bytes=25_000_000,
    ticks_per_second=2987.0,
    messages_per_second=12.4,
    ticks_trend=(2900.0, 2987.0),
)


def drawn(moment: Moment, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(live_view(moment, seconds=10, width=width))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 104, 200])
def test_the_picture_shows_connections_watch_list_and_losses(width: int) -> None:
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
        "Nothing lost",
        "25.0 MB",
    ):
        assert shown in picture


@pytest.mark.parametrize("width", [80, 104])
def test_the_picture_fits_its_terminal(width: int) -> None:
    full = replace(MOMENT, connections=MOMENT.connections[:1] * 3, quotes=MOMENT.quotes[:1] * 11)
    lines = drawn(full, width).splitlines()
    assert max(map(len, lines)) == width
    assert len(lines) < 24


def test_trends_take_what_the_numbers_leave() -> None:
    assert "trend" not in drawn(MOMENT, 80)
    assert "▁▆█" in drawn(MOMENT, 104)


def test_losses_are_not_called_nothing() -> None:
    picture = drawn(replace(MOMENT, gaps=2), 80)
    assert "Nothing lost" not in picture
    assert "Losses" in picture


def test_names_are_text_and_no_markup() -> None:
    hostile = replace(MOMENT.quotes[0], symbol="[bold]X[/]")
    assert "[bold]X[/]" in drawn(replace(MOMENT, quotes=(hostile,)), 104)


def test_a_plain_line_says_it_all() -> None:
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
