"""Thirty queries as people type them, and the first hit of each."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from kitepolars.instruments import Instruments
from kitepolars.instruments.dump import DUMP_SCHEMA

WEEKS = [date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 24)]
MONTHS = [date(2026, 12, 29), date(2027, 1, 26)]
SIGNS = "123456789OND"

SHARES = {
    "INFY": "INFOSYS",
    "RELIANCE": "RELIANCE INDUSTRIES",
    "HDFCBANK": "HDFC BANK",
    "SBIN": "STATE BANK OF INDIA",
    "M&M": "MAHINDRA & MAHINDRA",
    "BAJAJ-AUTO": "BAJAJ AUTO",
    "NIFTYBEES": "NIP IND ETF NIFTY BEES",
    "GOLDBEES": "NIP IND ETF GOLD BEES",
    "360ONE": "360 ONE WAM",
}
CHAINS = {  # underlying: exchange, middle strike, step, expiries
    "NIFTY": ("NFO", 26_000, 50, [*WEEKS, *MONTHS]),
    "BANKNIFTY": ("NFO", 58_000, 100, MONTHS),
    "INFY": ("NFO", 1_500, 20, MONTHS),
    "RELIANCE": ("NFO", 1_400, 10, MONTHS),
    "SENSEX": ("BFO", 85_000, 100, [date(2026, 12, 3), *MONTHS]),
    "CRUDEOIL": ("MCX", 5_300, 50, [date(2026, 12, 16)]),
    "USDINR": ("CDS", 84.5, 0.25, [date(2026, 12, 4), *MONTHS]),
}


def symbol_of(name: str, expiry: date, tail: str) -> str:
    when = (
        f"{expiry:%y%b}" if expiry in MONTHS else f"{expiry:%y}{SIGNS[expiry.month - 1]}{expiry:%d}"
    )
    return f"{name}{when}{tail}".upper()


def rows() -> list[tuple[str, str, date | None, float, str, str, str]]:
    listed: list[tuple[str, str, date | None, float, str, str, str]] = [
        (symbol, name, None, 0.0, "EQ", exchange, exchange)
        for symbol, name in SHARES.items()
        for exchange in ("NSE", "BSE")
    ]
    listed += [
        (name, name, None, 0.0, "EQ", "INDICES", exchange)
        for name, exchange in (("NIFTY 50", "NSE"), ("NIFTY BANK", "NSE"), ("SENSEX", "BSE"))
    ]
    for name, (exchange, middle, step, expiries) in CHAINS.items():
        for expiry in expiries:
            future = symbol_of(name, expiry, "FUT")
            listed.append((future, name, expiry, 0.0, "FUT", f"{exchange}-FUT", exchange))
            for place in range(-45, 46):
                strike = middle + place * step
                for kind in ("CE", "PE"):
                    symbol = symbol_of(name, expiry, f"{strike:g}{kind}")
                    listed.append((symbol, name, expiry, strike, kind, f"{exchange}-OPT", exchange))
    return listed


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.from_records(
        dict(
            zip(
                DUMP_SCHEMA,
                (token * 256 + 2, token, symbol, name, 0.0, expiry, strike, 0.05, 1, kind, *where),
                strict=True,
            )
        )
        for token, (symbol, name, expiry, strike, kind, *where) in enumerate(rows(), start=1)
    )


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("infy", "NSE:INFY"),
        ("Infosys", "NSE:INFY"),
        ("bse infy", "BSE:INFY"),
        ("reliance", "NSE:RELIANCE"),
        ("relianec", "NSE:RELIANCE"),
        ("hdfc bank", "NSE:HDFCBANK"),
        ("sbi", "NSE:SBIN"),
        ("m&m", "NSE:M&M"),
        ("bajaj auto", "NSE:BAJAJ-AUTO"),
        ("360 one", "NSE:360ONE"),
        ("nifty", "NSE:NIFTY 50"),
        ("nifty 50", "NSE:NIFTY 50"),
        ("bank nifty", "NSE:NIFTY BANK"),
        ("sensex", "BSE:SENSEX"),
        ("nifty fut", "NFO:NIFTY26D01FUT"),
        ("nifty dec fut", "NFO:NIFTY26D01FUT"),
        ("nifty jan fut", "NFO:NIFTY27JANFUT"),
        ("crude fut", "MCX:CRUDEOIL26D16FUT"),
        ("nifty 26000 ce", "NFO:NIFTY26D0126000CE"),
        ("26000 ce nifty", "NFO:NIFTY26D0126000CE"),
        ("nifty26000ce", "NFO:NIFTY26D0126000CE"),
        ("nifty 26000 call", "NFO:NIFTY26D0126000CE"),
        ("nifty 1 dec 26000 ce", "NFO:NIFTY26D0126000CE"),
        ("nifty 8dec 26000 ce", "NFO:NIFTY26D0826000CE"),
        ("nifty dec 8 26000 pe", "NFO:NIFTY26D0826000PE"),
        ("nifty 29 december 26000 pe", "NFO:NIFTY26DEC26000PE"),
        ("nifty 26 jan 2027 26000 ce", "NFO:NIFTY27JAN26000CE"),
        ("nifty 24 ce", "NFO:NIFTY26D0124950CE"),
        ("nifty 24 dec 26000 ce", "NFO:NIFTY26D2426000CE"),
        ("banknifty 58 pe", "NFO:BANKNIFTY26DEC58000PE"),
        ("infy 1500 put", "NFO:INFY26DEC1500PE"),
        ("sensex 85 ce", "BFO:SENSEX26D0385000CE"),
        ("usdinr 84.5 ce", "CDS:USDINR26D0484.5CE"),
        ("reliance jan 1400 ce", "NFO:RELIANCE27JAN1400CE"),
    ],
)
def test_the_first_hit_is_what_was_meant(instruments: Instruments, query: str, first: str) -> None:
    found = instruments.search(query, 5)["symbol"].cast(pl.String).to_list()
    assert found[:1] == [first], found


def test_a_day_and_a_month_mean_exactly_that_day(instruments: Instruments) -> None:
    found = instruments.search("nifty 1 dec ce", 500)
    assert set(found["expiry"].to_list()) == {WEEKS[0]}
    # Nothing expires on 2 December: these are words, as while somebody types 29.
    found = instruments.search("nifty 2 dec ce", 500)
    assert {day.month for day in found["expiry"].to_list()} == {12}
