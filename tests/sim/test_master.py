"""The dump as Kite serves it, and when contracts expire."""

from __future__ import annotations

import csv
import io
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

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def master() -> InstrumentMaster:
    return generate_instruments(on=TODAY, seed=0)


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
