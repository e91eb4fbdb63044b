"""The trading calendar: hours by market, commodities' winter, and when contracts stop trading."""

from __future__ import annotations

import datetime as dt

import pytest

from kitepolars.calendar import (
    MARKETS,
    is_us_summer_time,
    market_of_token,
    stops_trading,
)
from kitepolars.wire.layouts import SEGMENTS


def test_every_market_names_its_source_and_its_hours_are_in_order() -> None:
    assert len({market.name for market in MARKETS}) == len(MARKETS)
    for market in MARKETS:
        session = (market.pre_open, market.opens, market.closes)
        clocks = (*session, market.closing_session, market.settles)
        given = [clock for clock in clocks if clock is not None]
        assert given == sorted(given)
        assert market.source


def test_every_segment_has_a_market() -> None:
    names = {SEGMENTS[code].name: market_of_token(code).name for code in SEGMENTS}
    assert names == {
        "NSE": "equity",
        "NFO": "equity derivatives",
        "CDS": "currency derivatives",
        "BSE": "equity",
        "BFO": "equity derivatives",
        "BCD": "currency derivatives",
        "MCX": "commodities",
        "MCXSX": "currency derivatives",
        "INDICES": "equity",
        "NCO": "commodities",
    }
    assert market_of_token(77).name == "equity"


@pytest.mark.parametrize(
    ("symbol", "closes"),
    [
        ("MCX:CRUDEOIL26NOVFUT", "23:55"),
        ("MCX:KAPAS27APRFUT", "21:00"),
        ("MCX:COTTONCNDY26NOVFUT", "21:00"),
        ("MCX:COTTONOIL26NOVFUT", "17:00"),
        ("MCX:MENTHAOIL26NOVFUT", "17:00"),
        (None, "23:55"),
        ("no colon", "23:55"),
    ],
)
def test_agricultural_commodities_close_early(symbol: str | None, closes: str) -> None:
    market = market_of_token(7 + 256, symbol)
    assert market.closes_on(dt.date(2026, 11, 20)).isoformat("minutes") == closes


def test_an_index_has_the_hours_of_its_exchange() -> None:
    assert market_of_token(9 + 256, "NSE:NIFTY 50").name == "equity"
    assert market_of_token(9 + 512, "MCX:MCXMETLDEX").name == "commodities"
    assert market_of_token(9 + 512).name == "equity"


@pytest.mark.parametrize(
    ("day", "summer"),
    [
        ("2024-03-09", False),
        ("2024-03-10", True),
        ("2024-11-02", True),
        ("2024-11-03", False),
        ("2026-03-07", False),
        ("2026-03-08", True),
        ("2026-10-31", True),
        ("2026-11-01", False),
        ("2026-01-15", False),
        ("2026-07-15", True),
    ],
)
def test_summer_time_of_the_united_states(day: str, summer: bool) -> None:  # noqa: FBT001
    assert is_us_summer_time(dt.date.fromisoformat(day)) is summer


@pytest.mark.parametrize(
    ("exchange", "underlying", "day", "expires", "expected"),
    [
        ("NFO", "NIFTY", "2026-11-24", True, "15:30"),
        ("BFO", "SENSEX", "2026-11-26", True, "15:30"),
        ("NSE", None, "2026-11-24", False, "15:30"),
        ("CDS", "USDINR", "2026-11-26", True, "12:30"),
        ("CDS", "USDINR", "2026-11-25", False, "17:00"),
        ("BCD", "USDINR", "2026-11-26", True, "12:30"),
        ("MCX", "GOLD", "2026-07-15", True, "23:30"),
        ("MCX", "GOLD", "2026-12-04", True, "23:55"),
        ("MCX", "KAPAS", "2026-11-20", True, "21:00"),
        ("NCO", "GOLD", "2026-07-15", False, "23:30"),
        ("XYZ", None, "2026-07-15", False, "15:30"),
    ],
)
def test_a_contract_stops_trading_when_its_market_says(
    exchange: str,
    underlying: str | None,
    day: str,
    expires: bool,  # noqa: FBT001
    expected: str,
) -> None:
    date = dt.date.fromisoformat(day)
    moment = stops_trading(exchange, date, underlying=underlying, expires=expires)
    assert moment.date() == date
    assert moment.utcoffset() == dt.timedelta(hours=5, minutes=30)
    assert moment.time().isoformat("minutes") == expected
