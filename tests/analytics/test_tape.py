"""Trades between ticks and their sides, the book of each tick."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import polars as pl
import pytest

from kitepolars.analytics.tape import book_history, time_and_sales
from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA

NINE: Final = dt.datetime(2026, 11, 26, 9, 20, tzinfo=IST)


def ticks(*rows: dict[str, Any]) -> pl.DataFrame:
    whole = [{"received_at": NINE + dt.timedelta(seconds=k), **row} for k, row in enumerate(rows)]
    return pl.DataFrame(whole, schema=SCHEMA, orient="row")


def quoted(price: float, volume: int, bid: float, ask: float) -> dict[str, Any]:
    return {
        "last_price": price,
        "volume_traded": volume,
        "bid_price": [bid - k for k in range(5)],
        "ask_price": [ask + k for k in range(5)],
        "bid_quantity": [10 * (k + 1) for k in range(5)],
        "ask_quantity": [20 * (k + 1) for k in range(5)],
    }


def test_a_trade_has_the_side_of_the_quote_that_it_met() -> None:
    trades = time_and_sales(
        ticks(
            quoted(100.0, 10, 99.0, 101.0),
            quoted(101.0, 15, 101.0, 103.0),
            quoted(101.0, 18, 100.0, 104.0),
            quoted(102.0, 20, 100.0, 104.0),
            quoted(102.0, 20, 100.0, 104.0),
            quoted(102.0, 27, 100.0, 104.0),
        )
    )
    assert trades["quantity"].to_list() == [5, 3, 2, 7]
    assert trades["side"].to_list() == [1, -1, 1, 1], "at the ask, at the bid, rose, has risen"


def test_an_empty_side_of_the_book_is_no_price() -> None:
    trades = time_and_sales(ticks(quoted(100.0, 10, 0.0, 0.0), quoted(100.0, 15, 0.0, 0.0)))
    assert trades["side"].to_list() == [0]


def test_the_time_is_that_of_the_trade_where_it_is_known() -> None:
    traded = NINE - dt.timedelta(seconds=1)
    frame = ticks(
        {"last_price": 1.0, "volume_traded": 1},
        {"last_price": 1.0, "volume_traded": 2, "last_trade_time": traded},
        {"last_price": 1.0, "volume_traded": 3},
    )
    times = [traded, NINE + dt.timedelta(seconds=2)]
    assert time_and_sales(frame)["at"].to_list() == times


def test_the_book_has_a_column_for_each_level() -> None:
    frame = ticks({"last_price": 100.0}, quoted(100.0, 1, 99.0, 101.0))
    (row,) = book_history(frame).iter_rows(named=True)
    assert (row["bid_price_5"], row["ask_quantity_2"], row["last_price"]) == (95.0, 40, 100.0)
    assert list(row)[2:4] == ["bid_price_1", "bid_price_2"]


def test_a_frame_without_the_columns_is_refused() -> None:
    with pytest.raises(ConfigError):
        time_and_sales(pl.DataFrame({"last_price": [1.0]}))
