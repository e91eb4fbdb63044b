"""The generated master: Kite's columns, real tokens, and enough of everything."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import date

import pytest

from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import (
    InstrumentMaster,
    day_of,
    expires_at,
    month_expiries,
    week_expiries,
)
from kitepolars.wire.layouts import SEGMENTS

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def master() -> InstrumentMaster:
    return generate_instruments(on=TODAY, seed=0)


@pytest.mark.parametrize(
    ("exchange", "name", "token"),
    [
        ("NSE", "NIFTY 50", 256265),
        ("NSE", "NIFTY BANK", 260105),
        ("NSE", "INDIA VIX", 264969),
        ("BSE", "SENSEX", 265),
        ("NSE", "INFY", 408065),
        ("NSE", "RELIANCE", 738561),
        ("NSE", "HDFCBANK", 341249),
        ("NSE", "TATAMOTORS", 884737),
        ("NSE", "ACC", 5633),
        ("NSE", "SBIN", 779521),
    ],
)
def test_well_known_tokens_are_the_real_ones(
    master: InstrumentMaster, exchange: str, name: str, token: int
) -> None:
    assert master.find(exchange, name).instrument_token == token
    assert master.listings[master.row_of[token]].tradingsymbol == name


def test_there_is_enough_of_everything(master: InstrumentMaster) -> None:
    assert len(master) >= 20_000
    segments = Counter((row.segment, row.exchange) for row in master.listings)
    wanted = {
        ("NSE", "NSE"): 1000,
        ("BSE", "BSE"): 1000,
        ("NFO-FUT", "NFO"): 100,
        ("NFO-OPT", "NFO"): 5000,
        ("BFO-OPT", "BFO"): 500,
        ("CDS-FUT", "CDS"): 10,
        ("CDS-OPT", "CDS"): 100,
        ("MCX-FUT", "MCX"): 10,
        ("MCX-OPT", "MCX"): 100,
        ("NCO-FUT", "NCO"): 5,
        ("INDICES", "NSE"): 10,
        ("INDICES", "BSE"): 1,
    }
    assert {key: segments[key] >= least for key, least in wanted.items() if least} == dict.fromkeys(
        wanted, True
    )


def test_tokens_and_names_are_unique_and_tokens_carry_their_segment(
    master: InstrumentMaster,
) -> None:
    rows = master.listings
    assert len({row.instrument_token for row in rows}) == len(rows)
    assert len({(row.exchange, row.tradingsymbol) for row in rows}) == len(rows)
    for row in rows:
        family = "INDICES" if row.segment == "INDICES" else row.exchange
        assert row.instrument_token >> 8 == row.exchange_token
        assert SEGMENTS[row.instrument_token & 0xFF].name == family
        assert row.instrument_token < 1 << 32


def test_derivatives_have_what_derivatives_have(master: InstrumentMaster) -> None:
    for row in master.listings:
        is_option = row.instrument_type in ("CE", "PE")
        assert row.segment.endswith("-OPT") == is_option
        assert row.segment.endswith("-FUT") == (row.instrument_type == "FUT")
        assert (row.strike > 0) == is_option
        assert (row.expiry is not None) == (row.instrument_type != "EQ")
        assert row.expiry is None or row.expiry >= TODAY
        assert row.tradingsymbol.endswith(row.instrument_type) or row.instrument_type == "EQ"


def test_options_are_named_as_kite_names_them(master: InstrumentMaster) -> None:
    assert master.find("NFO", "NIFTY26NOV26000CE").expiry == date(2026, 11, 24)  # the month's last
    assert master.find("NFO", "NIFTY26D0126000PE").expiry == date(2026, 12, 1)  # a week's
    assert master.find("NFO", "INFY26NOVFUT").lot_size == 400
    assert master.find("CDS", "USDINR26DEC88.75CE").strike == 88.75


def test_the_dump_has_kites_columns_and_form(master: InstrumentMaster) -> None:
    text = master.dump_csv().decode()
    assert text.startswith(
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,"
        "tick_size,lot_size,instrument_type,segment,exchange\n"
        "408065,1594,INFY,INFOSYS,0.0,,0.0,0.1,1,EQ,NSE,NSE\n"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(master)
    assert {row["expiry"] for row in rows} >= {"", "2026-11-24"}
    assert {
        row["exchange"] for row in csv.DictReader(io.StringIO(master.dump_csv("CDS").decode()))
    } == {"CDS"}


def test_the_same_day_and_seed_give_the_same_master() -> None:
    once = generate_instruments.__wrapped__(on=TODAY, seed=3).dump_csv()
    again = generate_instruments.__wrapped__(on=TODAY, seed=3).dump_csv()

    assert once == again
    assert generate_instruments(on=TODAY, seed=4).dump_csv() != once


@pytest.mark.parametrize("on", [date(2024, 2, 29), date(2026, 12, 31), date(2027, 1, 29)])
def test_any_day_has_a_master(on: date) -> None:
    master = generate_instruments(on=on)

    assert len({row.instrument_token for row in master.listings}) >= 20_000
    assert all(row.expiry is None or row.expiry >= on for row in master.listings)


def test_expiries_roll_over_the_year() -> None:
    assert month_expiries(date(2026, 12, 30), 2, weekday=1) == [
        date(2027, 1, 26),
        date(2027, 2, 23),
    ]
    assert month_expiries(date(2026, 12, 19), 2, day=19) == [date(2027, 1, 19), date(2027, 2, 19)]
    assert week_expiries(date(2026, 12, 29), 2, weekday=1) == [
        date(2026, 12, 29),
        date(2027, 1, 5),
    ]


def test_expiry_is_at_the_close_in_india() -> None:
    assert expires_at("NFO", date(2026, 11, 24)) == 1_795_514_400.0  # 10:00 UTC
    for day, later in ((date(2026, 7, 28), 8 * 3_600), (date(2026, 11, 24), 8 * 3_600 + 25 * 60)):
        assert expires_at("MCX", day) - expires_at("NFO", day) == later  # 23:30, in winter 23:55
    assert day_of(1_795_514_400.0 + 8.5 * 3600) == date(2026, 11, 25)
