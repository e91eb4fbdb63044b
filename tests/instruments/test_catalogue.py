"""Symbols to tokens and back."""

import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest

from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments import Instruments, RejectedRowsWarning
from kitepolars.instruments.dump import DUMP_SCHEMA

ROWS = [
    "408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE",
    "128053508,500209,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,BSE,BSE",
    "256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE",
    "738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05,1,EQ,NSE,NSE",
    "12073986,47164,NIFTY18JAN23500CE,NIFTY,2528.4,2018-01-25,23500.0,0.05,40,CE,NFO-OPT,NFO",
]


def dump_of(*rows: str) -> bytes:
    return "\n".join([",".join(DUMP_SCHEMA), *rows]).encode()


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.read_csv(dump_of(*ROWS))


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("NSE:INFY", 408065),
        ("nse:infy", 408065),
        (" NSE : INFY ", 408065),
        ("BSE:INFY", 128053508),
        ("NSE:NIFTY  50", 256265),
        (408065, 408065),
        (2**32 - 1, 2**32 - 1),
        (np.uint32(7), 7),
        (np.int64(7), 7),
    ],
)
def test_resolve(instruments: Instruments, name: Any, token: int) -> None:
    assert instruments.resolve(name) == token
    assert type(instruments.resolve(name)) is int


@pytest.mark.parametrize("value", [True, np.True_, 0, -1, 2**32, 1.0, np.float64(5), None, b"INFY"])
def test_what_is_no_token_is_refused(instruments: Instruments, value: Any) -> None:
    with pytest.raises(ConfigError, match="instrument"):
        instruments.resolve(value)
    with pytest.raises(ConfigError, match="instrument"):
        instruments.tokens([value])


@pytest.mark.parametrize(
    "some",
    [
        ["NSE:INFY", 5],
        ("nse:infy", np.int32(5)),
        iter(["NSE:INFY", 5]),
        [408065, 5],
        np.array([408065, 5], np.uint32),
        pl.Series([408065, 5]),
        pl.DataFrame({"instrument_token": [408065, 5], "symbol": ["NSE:INFY", None]}),
        {"NSE:INFY": 1, 5: 2},
    ],
)
def test_tokens_of_several(instruments: Instruments, some: Any) -> None:
    assert instruments.tokens(some) == [408065, 5]


def test_tokens_of_one_and_of_names(instruments: Instruments) -> None:
    assert instruments.tokens("NSE:INFY") == [408065]
    assert instruments.tokens(5) == [5]
    assert instruments.tokens(instruments.frame["symbol"]) == instruments.tokens(instruments.frame)
    assert instruments.tokens(instruments.frame.select("symbol"))[1] == 128053508
    assert instruments.tokens(np.array(["NSE:INFY", "BSE:INFY"])) == [408065, 128053508]
    assert instruments.tokens([]) == []
    with pytest.raises(ConfigError, match="instrument_token"):
        instruments.tokens(pl.DataFrame({"token": [1]}))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("INFY", "NSE:INFY"),
        ("NSE:INFI", "NSE:INFY"),
        ("MCX:INFY", "NSE:INFY"),
        ("nse:relianec", "NSE:RELIANCE"),
        ("NSE:NIFTY", "NSE:NIFTY 50"),
        ("NFO:NIFTY18JAN23450CE", "NFO:NIFTY18JAN23500CE"),
    ],
)
def test_an_unknown_name_gets_suggestions(instruments: Instruments, name: str, first: str) -> None:
    with pytest.raises(UnknownInstrument) as caught:
        instruments.tokens(["NSE:INFY", name])
    assert caught.value.name == name
    assert caught.value.suggestions[0] == first
    assert isinstance(caught.value, KeyError)


def test_hints(instruments: Instruments) -> None:
    with pytest.raises(UnknownInstrument, match="begins with its exchange"):
        instruments.resolve("INFY")
    with pytest.raises(UnknownInstrument, match="not as text: 408065"):
        instruments.resolve("408065")
    with pytest.raises(UnknownInstrument, match=r"Instruments\.fetch\(\)"):
        Instruments.from_records([]).resolve("NSE:INFY")
    with pytest.raises(UnknownInstrument) as caught:
        instruments.resolve("NSE:QQ")
    assert caught.value.suggestions == ()


def test_symbols(instruments: Instruments) -> None:
    assert instruments.symbol(408065) == "NSE:INFY"
    assert instruments.symbol(5) is None
    tokens = np.array([128053508, 5, 256265, 2**32 - 1], np.uint32)
    symbols = instruments.symbols(tokens)
    assert (symbols.dtype, symbols.name) == (pl.Categorical(), "symbol")
    assert symbols.to_list() == ["BSE:INFY", None, "NSE:NIFTY 50", None]
    assert instruments.symbols([]).to_list() == []
    assert instruments.symbols(pl.Series([408065, None])).to_list() == ["NSE:INFY", None]


def test_symbols_of_no_instruments() -> None:
    symbols = Instruments.from_records([]).symbols([1, 2])
    assert symbols.dtype == pl.Categorical()
    assert symbols.to_list() == [None, None]
    assert Instruments.from_records([]).symbol(1) is None


def test_frame_and_what_joins_it(instruments: Instruments) -> None:
    assert instruments.frame.columns == [*DUMP_SCHEMA, "symbol"]
    ticks = pl.DataFrame({"symbol": ["NSE:INFY"]}, schema={"symbol": pl.Categorical()})
    assert ticks.join(instruments.frame, on="symbol")["instrument_token"].to_list() == [408065]


@pytest.mark.parametrize("listed", ["nse:infy", 408065, np.uint32(408065)])
def test_a_list_contains_its_names_and_tokens(instruments: Instruments, listed: Any) -> None:
    assert listed in instruments


@pytest.mark.parametrize("unlisted", ["NSE:NOTHING", 5, True, None])
def test_a_list_contains_nothing_else(instruments: Instruments, unlisted: Any) -> None:
    assert unlisted not in instruments


def test_the_length_of_a_list_is_its_number_of_tokens(instruments: Instruments) -> None:
    assert len(instruments) == 5


def test_rejected_rows_are_warned_of_where_they_are_read() -> None:
    with pytest.warns(RejectedRowsWarning, match=r"left out: 1; .*line 3.*fields") as caught:
        instruments = Instruments.read_csv(dump_of(ROWS[0], "nonsense"))
    assert caught[0].filename == __file__
    assert instruments.rejected.row(0) == (3, "expected 12 fields", "nonsense")
    assert repr(instruments) == "<Instruments: 1 (NSE 1); 1 rows rejected>"


def test_records_and_frames(instruments: Instruments) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Instruments.from_records(instruments.frame.to_dicts())
    assert again.frame.equals(instruments.frame)
    assert Instruments(instruments.frame.cast({"strike": pl.Int64})).frame.equals(instruments.frame)
    with pytest.raises(ConfigError, match="expiry"):
        Instruments(instruments.frame.drop("expiry"))
    with pytest.raises(ConfigError, match="cannot be cast"):
        Instruments(instruments.frame.with_columns(instrument_token=pl.lit("?")))


@pytest.mark.parametrize("year", ["0000", "0001", "1999", "2100", "9999"])
def test_a_frame_whose_expiry_cannot_be(instruments: Instruments, year: str) -> None:
    expiry = pl.lit(f"{year}-01-01").str.to_date("%Y-%m-%d")
    with pytest.raises(ConfigError, match="expiry must be from 2000 to 2099, not '" + year):
        Instruments(instruments.frame.with_columns(expiry=expiry))


def test_both_names_of_a_token_survive_a_dump() -> None:
    twice = dump_of(
        "265,1,SENSEX,SENSEX,0,,0,0,0,EQ,NSE-INDICES,NSE",
        "265,1,SENSEX,SENSEX,0,,0,0,0,EQ,INDICES,BSE",
    )
    instruments = Instruments.read_csv(twice)
    for each in (instruments, Instruments.read_csv(instruments.to_csv())):
        assert each.tokens(["NSE:SENSEX", "BSE:SENSEX"]) == [265, 265]
        assert each.symbol(265) == "BSE:SENSEX"
        assert (len(each), each.rejected.height) == (1, 0)
