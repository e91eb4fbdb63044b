"""Which instruments a chain is made of, looked up once."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments import Instruments
from kitepolars.options import listed_chain

TODAY = date(2026, 6, 1)
WEEK, MONTH, LATER = date(2026, 6, 4), date(2026, 6, 24), date(2026, 7, 29)


def row(token: int, symbol: str, kind: str, exchange: str, **more: Any) -> dict[str, Any]:
    usual = {
        "instrument_token": token, "exchange_token": token >> 8, "tradingsymbol": symbol,
        "name": None, "last_price": 0.0, "expiry": None, "strike": 0.0, "tick_size": 0.05,
        "lot_size": 1, "instrument_type": kind, "segment": exchange, "exchange": exchange,
    }  # fmt: skip
    return usual | more


def contract(token: int, name: str, kind: str, expiry: date, exchange: str) -> dict[str, Any]:
    strike = 0.0 if kind == "FUT" else 100.0
    symbol = f"{name}{expiry:%y%b%d}{kind}".upper()
    return row(token, symbol, kind, exchange, name=name, expiry=expiry, strike=strike)


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.from_records(
        [
            row(256265, "NIFTY 50", "EQ", "NSE", segment="INDICES"),
            row(257, "SILVER", "EQ", "NSE"),
            contract(1, "NIFTY", "CE", WEEK, "NFO"),
            contract(2, "NIFTY", "PE", WEEK, "NFO"),
            contract(3, "NIFTY", "PE", MONTH, "NFO"),
            contract(4, "NIFTY", "FUT", MONTH, "NFO"),
            contract(5, "NIFTY", "FUT", LATER, "NFO"),
            contract(6, "SILVER", "CE", WEEK, "MCX"),
            contract(7, "SILVER", "FUT", MONTH, "MCX"),
            contract(8, "USDINR", "CE", WEEK, "CDS"),
        ]
    )


def test_a_week_has_no_future_of_its_own(instruments: Instruments) -> None:
    listed = listed_chain(instruments, "NIFTY", None, None, TODAY)
    assert listed.contracts["expiry"].to_list() == [WEEK]
    assert repr(str(WEEK)) in listed.how_to_subscribe
    assert listed.tokens.to_list() == [1, 2]
    assert listed.future is None
    assert listed.references == (256265, 4, 5)


def test_the_future_of_the_same_day_is_the_forward(instruments: Instruments) -> None:
    listed = listed_chain(instruments, "NIFTY", MONTH, "NFO", TODAY)
    assert (listed.future, listed.references) == (4, (256265, 4, 5))


def test_commodity_options_are_on_the_next_future_and_not_on_a_fund(
    instruments: Instruments,
) -> None:
    listed = listed_chain(instruments, "SILVER", str(WEEK), None, TODAY)
    assert (listed.future, listed.references) == (7, (7,))


def test_a_chain_alone(instruments: Instruments) -> None:
    listed = listed_chain(instruments, "USDINR", None, None, TODAY)
    assert (listed.tokens.to_list(), listed.future, listed.references) == ([8], None, ())


def test_the_nearest_expiry_is_that_of_the_day(instruments: Instruments) -> None:
    for today, expiry in ((WEEK, WEEK), (date(2026, 6, 5), MONTH), (TODAY, WEEK)):
        listed = listed_chain(instruments, "NIFTY", None, None, today)
        assert listed.contracts["expiry"][0] == expiry


def test_errors_are_those_of_the_list(instruments: Instruments) -> None:
    with pytest.raises(UnknownInstrument):
        listed_chain(instruments, "NIFTTY", None, None, TODAY)
    with pytest.raises(ConfigError, match="expiry"):
        listed_chain(instruments, "NIFTY", "2020-01-01", None, TODAY)
