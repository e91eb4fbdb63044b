"""The generated master: Kite's columns, real tokens, and enough of everything."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import (
    InstrumentMaster,
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
