"""Expiries, futures and option chains."""

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments import Instruments, catalogue
from kitepolars.instruments.derivatives import UNDERLYING
from kitepolars.instruments.dump import DUMP_SCHEMA

NEAR, FAR = date(2026, 11, 26), date(2026, 12, 31)


def contract(token: int, symbol: str, kind: str, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = dict.fromkeys(DUMP_SCHEMA, 0) | {
        "instrument_token": token,
        "tradingsymbol": symbol,
        "name": None,
        "expiry": None,
        "instrument_type": kind,
        "segment": "NFO-OPT",
        "exchange": "NFO",
        "lot_size": 75,
    }
    return usual | more


def chain_of(name: str, expiry: date, first: int, exchange: str = "NFO") -> list[dict[str, Any]]:
    return [
        contract(
            first + 2 * place + side, f"{name}{expiry:%y%b}{strike}{kind}".upper(), kind,
            name=name, expiry=expiry, strike=strike, exchange=exchange,
        )
        for place, strike in enumerate(range(23_000, 25_001, 100))
        for side, kind in enumerate(("CE", "PE"))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.from_records(
        [
            contract(256265, "NIFTY 50", "EQ", segment="INDICES", exchange="NSE"),
            contract(408065, "INFY", "EQ", segment="NSE", exchange="NSE"),
            contract(9, "SENSEX", "EQ", segment="INDICES", exchange="BSE"),
            contract(11, "NIFTY26DECFUT", "FUT", name="NIFTY", expiry=FAR),
            contract(10, "NIFTY26NOVFUT", "FUT", name="NIFTY", expiry=NEAR),
            contract(12, "GOLD26DECFUT", "FUT", name="GOLD", expiry=FAR, exchange="NCO"),
            contract(13, "GOLD26NOVFUT", "FUT", name="GOLD", expiry=NEAR, exchange="MCX"),
            contract(14, "360ONE26NOVFUT", "FUT", name="360ONE", expiry=NEAR),
            contract(15, "ACC26NOV900CE", "CE", expiry=NEAR, strike=900),
            *chain_of("NIFTY", FAR, 2_000)[:-1],  # the last put is not listed
            *chain_of("NIFTY", NEAR, 1_000),
        ]
    )


@pytest.fixture(autouse=True)
def a_day_in_november(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "today_in_india", lambda: date(2026, 11, 22))


@pytest.mark.parametrize("name", ["NIFTY", "nifty", "NSE:NIFTY 50", "NIFTY  50", "NFO:NIFTY"])
def test_expiries(instruments: Instruments, name: str) -> None:
    assert instruments.expiries(name) == [NEAR, FAR]


def test_futures(instruments: Instruments) -> None:
    futures = instruments.futures("NIFTY")
    assert futures["instrument_token"].to_list() == [10, 11]
    assert futures.columns == ["symbol", *DUMP_SCHEMA]
    assert instruments.futures("GOLD")["symbol"].to_list() == ["MCX:GOLD26NOVFUT"]
    assert instruments.futures("GOLD", exchange="nco")["instrument_token"].to_list() == [12]
    assert instruments.expiries("360ONE") == [NEAR]


def test_a_contract_without_a_name_is_known_by_its_symbol(instruments: Instruments) -> None:
    assert instruments.option_chain("ACC")["call_token"].to_list() == [15]


@pytest.mark.parametrize(
    ("ask", "hint"),
    [
        (lambda i: i.expiries("NIFTI"), "NIFTY"),
        (lambda i: i.futures("ACC"), "no futures"),
        (lambda i: i.option_chain("GOLD"), "no options"),
        (lambda i: i.futures("NIFTY", exchange="MCX"), "no futures"),
    ],
)
def test_an_underlying_without_such_contracts(
    instruments: Instruments, ask: Any, hint: str
) -> None:
    with pytest.raises(UnknownInstrument, match=hint):
        ask(instruments)


def test_options_are_sorted_and_can_be_subscribed(instruments: Instruments) -> None:
    options = instruments.options("NSE:NIFTY 50")
    assert options.columns == ["symbol", *DUMP_SCHEMA, "underlying"]
    assert options.height == 83
    assert options.equals(options.sort("expiry", "strike", "tradingsymbol"))
    assert instruments.tokens(options) == options["instrument_token"].to_list()
    with pytest.raises(UnknownInstrument, match="no options"):
        instruments.options("GOLD")


def test_the_chain_is_a_row_a_strike(instruments: Instruments) -> None:
    chain = instruments.option_chain("NIFTY")
    assert chain.columns == [
        "underlying", "expiry", "strike", "lot_size",
        "call_token", "call_symbol", "put_token", "put_symbol",
    ]  # fmt: skip
    assert chain.height == 21
    assert chain.row(0) == (
        "NIFTY", NEAR, 23_000.0, 75, 1000, "NFO:NIFTY26NOV23000CE", 1001, "NFO:NIFTY26NOV23000PE",
    )  # fmt: skip
    assert chain["call_token"].dtype == pl.UInt32
    assert chain["put_symbol"].dtype == pl.Categorical


@pytest.mark.parametrize("expiry", [FAR, "2026-12-31", datetime(2026, 12, 31, 15, 30)])  # noqa: DTZ001
def test_an_expiry_by_date_or_text(instruments: Instruments, expiry: Any) -> None:
    chain = instruments.option_chain("NIFTY", expiry)
    assert chain["expiry"].unique().to_list() == [FAR]
    assert chain["put_token"].to_list()[-2:] == [2_039, None]
    tokens = instruments.tokens(chain)
    assert len(tokens) == 41
    assert tokens[:2] == [2_000, 2_002]


def test_an_expiry_that_is_none(instruments: Instruments) -> None:
    with pytest.raises(ConfigError, match="2026-11-26, 2026-12-31"):
        instruments.option_chain("NIFTY", "2026-11-27")


@pytest.mark.parametrize(
    ("today", "expiry"),
    [(NEAR, NEAR), (date(2026, 11, 27), FAR), (date(2027, 1, 1), FAR)],
    ids=["on the day it is alive", "the next", "of an old dump the last"],
)
def test_the_nearest_expiry_that_is_not_past(
    instruments: Instruments, monkeypatch: pytest.MonkeyPatch, today: date, expiry: date
) -> None:
    monkeypatch.setattr(catalogue, "today_in_india", lambda: today)
    assert instruments.option_chain("NIFTY")["expiry"][0] == expiry


@pytest.mark.parametrize(
    ("around", "strikes", "expected"),
    [
        (23_951.0, 1, [23_900.0, 24_000.0, 24_100.0]),
        (24_049.9, 0, [24_000.0]),
        (0.0, 1, [23_000.0, 23_100.0]),
        (1e9, 1, [24_900.0, 25_000.0]),
    ],
)
def test_around_the_money(
    instruments: Instruments, around: float, strikes: int, expected: list[float]
) -> None:
    chain = instruments.option_chain("NIFTY", around=around, strikes=strikes)
    assert chain["strike"].to_list() == expected


def test_ten_strikes_on_each_side_by_default(instruments: Instruments) -> None:
    chain = instruments.option_chain("NIFTY", around=23_500)
    assert chain["strike"].to_list() == [float(strike) for strike in range(23_000, 24_501, 100)]


def test_strikes_need_a_price(instruments: Instruments) -> None:
    with pytest.raises(ConfigError, match="around"):
        instruments.option_chain("NIFTY", strikes=3)
    with pytest.raises(ConfigError, match="strikes"):
        instruments.option_chain("NIFTY", around=1, strikes=-1)


def test_spot(instruments: Instruments) -> None:
    assert instruments.spot("NIFTY") == 256265
    assert instruments.spot("NSE:NIFTY 50") == 256265
    assert instruments.spot("infy") == 408065
    assert instruments.spot("SENSEX") == 9
    assert instruments.spot("GOLD") is None


def test_a_fund_of_a_commoditys_name_is_not_its_spot(instruments: Instruments) -> None:
    fund = contract(16, "GOLD", "EQ", segment="NSE", exchange="NSE")
    wider = Instruments.from_records([*instruments.frame.drop("symbol").to_dicts(), fund])
    assert wider.resolve("NSE:GOLD") == 16
    assert wider.spot("GOLD") is None


MONTH_SIGNS = "123456789OND"
UNDERLYINGS = st.sampled_from(
    ["NIFTY", "NIFTYNXT50", "SENSEX50", "360ONE", "719GS2060", "M&M", "BAJAJ-AUTO", "USDINR", "3M"]
) | st.from_regex(r"[A-Z0-9&-]{1,12}", fullmatch=True)
STRIKES = st.integers(1, 200_000) | st.integers(1, 400_000).map(lambda n: n / 4)


@given(
    UNDERLYINGS,
    st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    STRIKES,
    st.sampled_from(["CE", "PE", "FUT"]),
    st.tuples(
        st.sampled_from(["weekly", "monthly"]),
        st.sampled_from(["its strike", "no strike", "another expiry"]),
    ),
)
def test_the_row_says_where_the_underlying_of_a_symbol_ends(
    underlying: str, expiry: date, strike: float, kind: str, form: tuple[str, str]
) -> None:
    style, row_has = form
    weekly = f"{expiry:%y}{MONTH_SIGNS[expiry.month - 1]}{expiry:%d}"
    when = weekly if style == "weekly" else f"{expiry:%y%b}".upper()
    tail = kind if kind == "FUT" else f"{str(strike).removesuffix('.0')}{kind}"
    assume(when not in underlying)
    row = {
        "tradingsymbol": underlying + when + tail,
        "name": None,
        "instrument_type": kind,
        "strike": None if row_has == "no strike" else strike,
        "expiry": expiry - timedelta(days=20) if row_has == "another expiry" else expiry,
    }
    schema = {name: DUMP_SCHEMA[name] for name in row}
    assert pl.DataFrame([row], schema=schema).select(UNDERLYING).item() == underlying


def test_a_share_without_a_name_is_on_nothing() -> None:
    share = contract(1, "INFY", "EQ")
    frame = pl.DataFrame([share], schema=DUMP_SCHEMA)
    assert frame.select(UNDERLYING).item() is None


def test_goods_have_no_spot_though_a_fund_bears_their_name() -> None:
    instruments = Instruments.from_records(
        [
            contract(1, "SILVER", "EQ", segment="NSE", exchange="NSE"),
            contract(2, "SILVER26DECFUT", "FUT", expiry=FAR, segment="MCX-FUT", exchange="MCX"),
            contract(3, "GOLDBEES", "EQ", segment="NSE", exchange="NSE"),
            contract(4, "INFY", "EQ", segment="NSE", exchange="NSE"),
            contract(5, "INFY26DECFUT", "FUT", expiry=FAR, segment="NFO-FUT", exchange="NFO"),
        ]
    )
    assert [instruments.spot(name) for name in ("SILVER", "GOLDBEES", "INFY")] == [None, 3, 4]


def test_labels_are_read_as_a_trader_reads_them(instruments: Instruments) -> None:
    tokens = [11, 1_000, 15, 14, 408065, 1]
    labels = [
        "NIFTY 31 Dec FUT",
        "NIFTY 26 Nov 23000 CE",
        "ACC 26 Nov 900 CE",
        "360ONE 26 Nov FUT",
        "INFY",
        None,
    ]
    assert instruments.labels(tokens).to_list() == labels


def test_a_label_names_the_year_where_a_day_could_be_of_two() -> None:
    far = Instruments.from_records(
        [
            contract(1, "USDINR26NOVFUT", "FUT", name="USDINR", expiry=NEAR),
            contract(2, "USDINR27SEP82.5PE", "PE", name="USDINR", expiry=date(2027, 9, 24),
                     strike=82.5),
        ]
    )  # fmt: skip
    assert far.labels([1, 2]).to_list() == ["USDINR 26 Nov FUT", "USDINR 24 Sep 2027 82.5 PE"]
    assert Instruments.from_records([]).labels([1]).to_list() == [None]
