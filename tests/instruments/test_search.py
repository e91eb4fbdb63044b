"""Searching: which instruments come back, and in which order."""

import random
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.instruments import Instruments
from kitepolars.instruments.dump import DUMP_SCHEMA

SHARES = ["INFY", "RELIANCE", "TATAMOTORS", "HDFCBANK", "M&M", "BAJAJ-AUTO", "NIFTYBEES"]
NAMES = {
    "INFY": "INFOSYS",
    "RELIANCE": "RELIANCE INDUSTRIES",
    "HDFCBANK": "HDFC BANK",
    "M&M": "MAHINDRA & MAHINDRA",
    "NIFTYBEES": "NIP IND ETF NIFTY BEES",
}
INDICES = ["NIFTY 50", "NIFTY BANK", "NIFTY NEXT 50"]
UNDERLYINGS = {"NIFTY": 24_000, "BANKNIFTY": 51_000, "INFY": 1_500}
EXPIRIES = [date(2030, 11, 26), date(2030, 12, 31)]


def records() -> list[dict[str, object]]:
    rows: list[tuple[str, str, date | None, float, str, str, str]] = [
        (name, NAMES.get(name, name), None, 0.0, "EQ", exchange, exchange)
        for name in SHARES
        for exchange in ("BSE", "NSE")
    ]
    rows += [(name, name, None, 0.0, "EQ", "INDICES", "NSE") for name in INDICES]
    for name, centre in UNDERLYINGS.items():
        for expiry in EXPIRIES:
            tag = f"{name}{expiry:%y%b}".upper()
            rows.append((f"{tag}FUT", name, expiry, 0.0, "FUT", "NFO-FUT", "NFO"))
            rows += [
                (f"{tag}{strike:g}{kind}", name, expiry, strike, kind, "NFO-OPT", "NFO")
                for strike in (centre - 100.0, float(centre), centre + 100.0, centre + 102.5)
                for kind in ("CE", "PE")
            ]
    random.Random(3).shuffle(rows)
    return [
        dict(
            zip(
                DUMP_SCHEMA,
                (token * 256 + 1, token, symbol, name, 0.0, expiry, strike, 0.05, 1, kind, *where),
                strict=True,
            )
        )
        for token, (symbol, name, expiry, strike, kind, *where) in enumerate(rows, start=1)
    ]


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.from_records(records())


def found(instruments: Instruments, query: str, limit: int = 50) -> list[str]:
    return instruments.search(query, limit)["symbol"].cast(pl.String).to_list()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("infy", ["NSE:INFY", "BSE:INFY", "NFO:INFY30NOVFUT", "NFO:INFY30DECFUT"]),
        ("NSE:INFY", ["NSE:INFY"]),
        ("bse infy", ["BSE:INFY"]),
        ("infosys", ["NSE:INFY", "BSE:INFY"]),
        ("nifty", ["NSE:NIFTY 50", "NSE:NIFTY BANK", "NSE:NIFTY NEXT 50", "NSE:NIFTYBEES"]),
        ("nifty50", ["NSE:NIFTY 50"]),
        ("nifty 50", ["NSE:NIFTY 50", "NSE:NIFTY NEXT 50"]),
        ("bank nifty", ["NSE:NIFTY BANK", "NFO:BANKNIFTY30NOVFUT"]),
        ("nifty 24 ce", ["NFO:NIFTY30NOV24000CE", "NFO:NIFTY30NOV24100CE"]),
        ("nifty dec fut", ["NFO:NIFTY30DECFUT", "NFO:BANKNIFTY30DECFUT"]),
        ("31dec banknifty 51000 pe", ["NFO:BANKNIFTY30DEC51000PE"]),
        ("24102.5 ce", ["NFO:NIFTY30NOV24102.5CE", "NFO:NIFTY30DEC24102.5CE"]),
        ("hdfc bank", ["NSE:HDFCBANK", "BSE:HDFCBANK"]),
        ("m&m", ["NSE:M&M", "BSE:M&M"]),
        ("mm", ["NSE:M&M", "BSE:M&M"]),
        ("bajaj auto", ["NSE:BAJAJ-AUTO", "BSE:BAJAJ-AUTO"]),
        ("  TATA   motors ", ["NSE:TATAMOTORS", "BSE:TATAMOTORS"]),
        ("relianec", ["NSE:RELIANCE", "BSE:RELIANCE"]),
        ("tatamotor", ["NSE:TATAMOTORS", "BSE:TATAMOTORS"]),
        ("mahidnra", ["NSE:M&M", "BSE:M&M"]),
        ("bankinfty 51000 ce", ["NFO:BANKNIFTY30NOV51000CE", "NFO:BANKNIFTY30DEC51000CE"]),
    ],
)
def test_what_is_typed_finds_what_is_meant(
    instruments: Instruments, query: str, first: list[str]
) -> None:
    assert found(instruments, query)[: len(first)] == first


@pytest.mark.parametrize("query", ["zzzzzz", "infy 99999 ce", ".*", "["])
def test_nothing_fits(instruments: Instruments, query: str) -> None:
    result = instruments.search(query)
    assert result.is_empty()
    assert result.schema == instruments.search("infy").schema


def test_an_empty_query_shows_the_first_instruments(instruments: Instruments) -> None:
    assert found(instruments, " ", 3) == ["NSE:NIFTY 50", "NSE:NIFTY BANK", "NSE:NIFTY NEXT 50"]
    assert len(found(instruments, "", 10_000)) == len(instruments)


def test_the_columns_are_those_of_the_frame(instruments: Instruments) -> None:
    row = instruments.search("banknifty dec 51000 pe")
    assert row.columns == ["symbol", *DUMP_SCHEMA]
    assert row.height == 1
    assert row["expiry"][0] == date(2030, 12, 31)
    assert row["strike"][0] == 51_000.0
    assert instruments.tokens(row) == row["instrument_token"].to_list()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one(instruments: Instruments, limit: int) -> None:
    with pytest.raises(ConfigError, match="limit"):
        instruments.search("infy", limit)


def test_no_instruments() -> None:
    assert Instruments.from_records([]).search("infy").is_empty()
    assert Instruments.from_records([]).search("").is_empty()


WORDS = st.sampled_from(["nifty", "ce", "pe", "24000", "nov", "fut", "infy", "5", "n", "bse"])


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(1, 100))
def test_what_is_found_has_every_word_and_a_smaller_limit_cuts_the_end(
    instruments: Instruments, words: list[str], limit: int
) -> None:
    frame = instruments.search(" ".join(words), 10_000)
    text = frame.select(
        pl.concat_str(
            pl.col("symbol").cast(pl.String),
            pl.col("name"),
            pl.col("strike").cast(pl.String),
            pl.col("expiry").dt.strftime("%d%b%y").fill_null(""),
            separator=" ",
        ).str.to_lowercase()
    ).to_series()
    plain = instruments.frame.filter(
        pl.col("symbol").cast(pl.String).str.to_lowercase().str.contains(words[0], literal=True)
    )
    assert all(word in row for row in text for word in words)
    assert len(words) > 1 or frame.height >= plain.height
    assert instruments.search(" ".join(words), limit).equals(frame.head(limit))


@given(st.text(max_size=30))
def test_any_text_may_be_typed(instruments: Instruments, query: str) -> None:
    assert instruments.search(query).height <= 50
