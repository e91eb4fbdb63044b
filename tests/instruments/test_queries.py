"""Thirty queries as people type them, and the first hit of each."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "typed",
    ["1 dec", "1dec", "01 dec", "01dec26", "1-dec", "1-dec-26", "1 dec 26", "1 dec 2026", "1st dec",
     "1 december", "1 decem", "dec 1", "dec 1st", "december 1 2026", "2026-12-01", "1 DEC"],
)  # fmt: skip
@pytest.mark.parametrize("query", ["nifty {} 26000 ce", "{} nifty 26000 call", "ce 26000 nifty {}"])
def test_a_day_may_be_typed_in_many_ways(instruments: Instruments, query: str, typed: str) -> None:
    found = instruments.search(query.format(typed), 500)
    assert found["symbol"].cast(pl.String).to_list() == ["NFO:NIFTY26D0126000CE"]


@pytest.mark.parametrize("day", ["2 dec", "2dec", "2nd december", "30 dec", "2026-12-02", "26 nov"])
def test_a_day_on_which_nothing_expires_finds_no_other_day(
    instruments: Instruments, day: str
) -> None:
    assert instruments.search(f"nifty {day} ce").is_empty()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("nifty 26dec 26000 ce", "NFO:NIFTY26DEC26000CE"),
        ("nifty 26 dec 26000 ce", "NFO:NIFTY26DEC26000CE"),
        ("nifty 26dec26000ce", "NFO:NIFTY26DEC26000CE"),
        ("nifty 26 dec fut", "NFO:NIFTY26DECFUT"),
        ("nifty 27 jan 26000 pe", "NFO:NIFTY27JAN26000PE"),
        ("nifty 26 jan 26000 pe", "NFO:NIFTY27JAN26000PE"),
    ],
)
def test_the_year_and_month_of_a_symbol_may_be_typed(
    instruments: Instruments, query: str, first: str
) -> None:
    found = instruments.search(query, 5)["symbol"].cast(pl.String).to_list()
    assert found[:1] == [first]


def test_a_number_after_a_month_is_a_day_or_else_a_strike(instruments: Instruments) -> None:
    assert set(instruments.search("nifty dec 24 ce")["expiry"]) == {WEEKS[2]}
    found = instruments.search("nifty dec 25 ce")  # nothing expires then
    assert all(str(strike).startswith("25") for strike in found["strike"].to_list()[:20])
    assert set(found["expiry"].dt.month()) == {12}


def test_contracts_without_a_name_are_found_alike(instruments: Instruments) -> None:
    expires = pl.col("expiry").is_not_null()
    nameless = instruments.frame.with_columns(name=pl.when(~expires).then("name"))
    for query in ("nifty 24 ce", "bankinfty 58000 ce", "sensex 85 pe", "nifty 1 dec 26000 ce"):
        expected = instruments.search(query, 5)["symbol"].cast(pl.String).to_list()
        found = Instruments(nameless).search(query, 5)["symbol"].cast(pl.String).to_list()
        assert found == expected


DAYS = st.integers(1, 31)
MONTH = st.sampled_from(["jan", "december", "dec", "nov"])


@given(DAYS, MONTH, st.sampled_from(["nifty", "sensex", "usdinr", "crude"]))
def test_a_day_before_a_month_means_that_day_or_the_year_in_a_symbol(
    instruments: Instruments, day: int, month: str, name: str
) -> None:
    found = instruments.search(f"{name} {day} {month}", 10_000)
    days = {(expiry.day, f"{expiry:%b}".lower()) for expiry in found["expiry"].to_list()}
    tags = found["symbol"].cast(pl.String).str.contains(f"{day:02}{month[:3]}".upper())
    assert days <= {(day, month[:3])} or tags.all()
