"""What a chart draws besides bars: fills, working orders, gaps."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import polars as pl
import pytest

from kitepolars.calendar import IST
from kitepolars.tables import GAPS, ORDERS
from kitepolars.widgets.marks import fills_of, gaps_of, levels_of, working_orders

NINE: Final = dt.datetime(2026, 11, 26, 9, 20, tzinfo=IST)


def orders(*rows: dict[str, Any]) -> pl.DataFrame:
    whole = [
        {
            "received_at": NINE + dt.timedelta(seconds=k),
            "instrument_token": 408065,
            "order_id": "A",
            "transaction_type": "BUY",
            "status": "OPEN",
            **row,
        }
        for k, row in enumerate(rows)
    ]
    return pl.DataFrame(whole, schema=ORDERS, orient="row")


def test_each_growth_of_the_filled_quantity_is_a_fill_at_its_own_price() -> None:
    updates = orders(
        {"filled_quantity": 0, "average_price": 0.0},
        {"filled_quantity": 10, "average_price": 100.0},
        {"filled_quantity": 10, "average_price": 100.0},
        {"filled_quantity": 30, "average_price": 102.0},
        {"order_id": "B", "filled_quantity": 5, "average_price": 99.0, "transaction_type": "SELL"},
        {"instrument_token": 1, "order_id": "C", "filled_quantity": 5, "average_price": 9.0},
    )
    fills = fills_of(updates, 408065)
    assert [(fill["quantity"], fill["side"]) for fill in fills] == [
        (10, "BUY"),
        (20, "BUY"),
        (5, "SELL"),
    ]
    assert [fill["price"] for fill in fills] == pytest.approx([100.0, 103.0, 99.0])
    assert fills[0]["time"] == NINE.timestamp() + 1


def test_updates_out_of_order_fill_nothing_twice() -> None:
    updates = orders(
        {"filled_quantity": 30, "average_price": 102.0},
        {"filled_quantity": 10, "average_price": 100.0},
    )
    assert sorted(fill["quantity"] for fill in fills_of(updates, 408065)) == [10, 20]


def test_orders_that_wait_are_drawn_at_their_limit_or_trigger() -> None:
    latest = orders(
        {"price": 1500.0, "pending_quantity": 5},
        {"price": 0.0, "trigger_price": 1490.0, "pending_quantity": 7, "status": "TRIGGER PENDING"},
        {"price": 1510.0, "pending_quantity": 0, "status": "COMPLETE"},
        {"price": 0.0, "pending_quantity": 1},
    )
    found = [(each["price"], each["quantity"]) for each in working_orders(latest, 408065)]
    assert found == [(1500.0, 5), (1490.0, 7)]


def test_a_gap_that_lasts_has_no_end() -> None:
    rows = [
        {"started_at": NINE, "ended_at": NINE + dt.timedelta(seconds=9)},
        {"started_at": NINE + dt.timedelta(minutes=1), "ended_at": None},
    ]
    began = NINE.timestamp()
    gaps = gaps_of(pl.DataFrame(rows, schema=GAPS, orient="row"))
    assert gaps == [(began, began + 9), (began + 60, None)]


def test_an_instrument_without_a_tick_has_no_levels() -> None:
    assert levels_of(None) == []
