from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from kitepolars.cli.results import columns, latest_values, table
from kitepolars.frames.schema import SCHEMA

MOMENT = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
TICKS = pl.DataFrame(
    [
        {
            "received_at": MOMENT,
            "exchange_timestamp": MOMENT,
            "instrument_token": 408065,
            "symbol": "NSE:INFY",
            "last_price": 1573.7,
            "bid_price": [1573.65, 1573.5, 1573.45, 1573.4, 1573.35],
        },
        {"received_at": MOMENT, "instrument_token": 256265, "last_price": 26068.15},
    ],
    schema=SCHEMA,
)


def test_every_column_has_a_line_with_its_values() -> None:
    lines = columns(TICKS, 100).splitlines()
    assert lines[0] == "shape: (2, 28)"
    assert [line.split()[0] for line in lines[1:]] == list(SCHEMA)
    assert "20 Nov 09:15:00, 20 Nov 09:15:00" in lines[1]  # 03:45 UTC is 09:15 in India
    assert any(line.endswith("1573.7, 26068.15") for line in lines)
    assert any("[1573.65, 1573.5, 1573.45, 1573.4, 1573.35], null" in line for line in lines)


def test_a_line_that_is_too_long_is_cut() -> None:
    lines = columns(TICKS, 50).splitlines()
    assert max(map(len, lines)) == 50
    assert any(line.endswith("…") for line in lines)


def test_latest_values_stand_in_the_order_of_the_watch_list() -> None:
    shown = latest_values(TICKS, [256265, 1, 408065])
    assert shown["last_price"].to_list() == [26068.15, 1573.7]
    assert shown["bid_price"].to_list() == [None, 1573.65]
    assert shown["exchange_timestamp"].to_list() == [None, "20 Nov 09:15:00"]


@pytest.mark.parametrize(("width", "last"), [(60, "ask_price"), (80, "volume_traded"), (200, "oi")])
def test_a_table_has_as_many_columns_as_there_is_room_for(width: int, last: str) -> None:
    shown = latest_values(TICKS, [408065, 256265])
    text = table(shown, width)
    assert max(map(len, text.splitlines())) <= width
    header = text.splitlines()[1]
    assert [name.strip() for name in header.strip("│").split("┆")] == shown.columns[
        : shown.columns.index(last) + 1
    ]


def test_a_table_has_some_columns_however_little_room_there_is() -> None:
    text = table(latest_values(TICKS, [408065]), 5)
    assert "NSE:INFY" in text
    assert "1573.7" in text
