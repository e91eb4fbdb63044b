"""Records → frames: orders of odd times and equal times."""

from __future__ import annotations

import datetime as dt
import itertools
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.ledger.orders import OrderUpdate
from kitepolars.tables import ORDERS, orders_frame
from kitepolars.wire.control import ORDER_TIMES, parse_time

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def update(n: int = 0, /, **data: object) -> OrderUpdate:
    return OrderUpdate(1_795_000_000_000_000 + n, 0, {"order_id": "1", **data})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 10:15:30", dt.datetime(2026, 11, 20, 10, 15, 30, tzinfo=IST)),
        ("2026-11-20T10:15:30", dt.datetime(2026, 11, 20, 10, 15, 30, tzinfo=IST)),
        ("2026-11-20T10:15:30+05:30", dt.datetime(2026, 11, 20, 10, 15, 30, tzinfo=IST)),
        ("2026-11-20T10:15:30+0530", dt.datetime(2026, 11, 20, 10, 15, 30, tzinfo=IST)),
        ("2026-11-20T04:45:30Z", dt.datetime(2026, 11, 20, 10, 15, 30, tzinfo=IST)),
        ("2026-11-20 10:15:30.250", dt.datetime(2026, 11, 20, 10, 15, 30, 250_000, tzinfo=IST)),
    ],
)
def test_times_of_orders_are_indian_unless_they_say_otherwise(
    text: str, expected: dt.datetime
) -> None:
    frame = orders_frame([update(order_timestamp=text)])
    assert frame["order_timestamp"].to_list() == [expected]
    assert frame["other"].to_list() == [None]


@pytest.mark.parametrize(
    "odd",
    [
        "0000-01-01 09:35:36",
        "0000-00-00 00:00:00",
        "0001-01-01 00:00:00",
        "1970-01-01 05:30:00",
        "1999-12-31 23:59:59",
        "2100-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "2026-02-30 10:00:00",
        "2026-13-01 10:00:00",
        "2026-11-20 24:30:00",
        "2026-11-20 10:60:00",
        "29-Jun-2026 09:35:36",
        "2026-11-20",
        "20 Nov 2026",
        "²026-11-20 10:15:30",
        1_795_000_000,
        {"at": "noon"},
    ],
)
@pytest.mark.parametrize("column", ORDER_TIMES)
def test_a_time_that_cannot_be_is_null_and_its_text_is_kept(odd: object, column: str) -> None:
    good = update(1, order_timestamp="2026-11-20 10:15:30", order_id="2")
    for latest in (False, True):
        frame = orders_frame([update(**{column: odd}), good], latest=latest)
        row, other = frame.to_dicts()
        assert row[column] is None
        assert json.loads(row["other"])[column] == odd
        assert other["order_timestamp"] is not None
        assert len(frame.rows()) == 2


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", fullmatch=True))
def test_whatever_a_time_says_every_row_can_be_read(text: str) -> None:
    frame = orders_frame([update(**dict.fromkeys(ORDER_TIMES, text))])
    assert frame.schema == ORDERS
    (row,) = frame.to_dicts()
    for name in ORDER_TIMES:
        assert (row[name] is None) == (parse_time(text) is None)
        if row[name] is None and text:
            assert name in row["other"]


def test_empty_times_are_absent() -> None:
    (row,) = orders_frame([update(order_timestamp="", exchange_timestamp=None)]).to_dicts()
    assert (row["order_timestamp"], row["exchange_timestamp"], row["other"]) == (None, None, None)


WAY = ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "TRIGGER PENDING", "OPEN"]


@pytest.mark.parametrize("end", ["OPEN", "COMPLETE", "CANCELLED", "REJECTED"])
def test_among_updates_of_one_second_the_state_furthest_on_is_the_latest(end: str) -> None:
    states = [*WAY[:3], end] if end == "REJECTED" else [*WAY, *([end] if end != "OPEN" else [])]
    for order in itertools.permutations(states):
        updates = [
            update(n, status=status, order_timestamp="2026-11-20 10:00:00")
            for n, status in enumerate(order)
        ]
        assert orders_frame(updates, latest=True)["status"].to_list() == [end]


@pytest.mark.parametrize("state", ["OPEN", "TRIGGER PENDING"])
def test_a_modification_within_one_second_ends_where_it_began(state: str) -> None:
    states = [state, "MODIFY VALIDATION PENDING", "MODIFY PENDING", state]
    updates = [
        update(n, status=status, price=float(n), order_timestamp="2026-11-20 10:00:00")
        for n, status in enumerate(states)
    ]
    latest = orders_frame(updates, latest=True).select("status", "price").rows()
    assert latest == [(state, 3.0)]
    latest = orders_frame(updates[:3], latest=True).select("status", "price").rows()
    assert latest == [("MODIFY PENDING", 2.0)]


def test_a_later_second_counts_more_than_a_state() -> None:
    times = ("2026-11-20 10:00:01", "2026-11-20 10:00:02")
    updates = [
        update(0, status="OPEN", order_timestamp=times[0]),
        update(1, status="MODIFY PENDING", order_timestamp=times[1]),
    ]
    assert orders_frame(updates, latest=True)["status"].to_list() == ["MODIFY PENDING"]


def test_orders_are_kept_apart() -> None:
    updates = [
        update(n, order_id=order, status=status, order_timestamp="2026-11-20 10:00:00")
        for n, (order, status) in enumerate([("1", "OPEN"), ("2", "OPEN"), ("1", "OPEN PENDING")])
    ]
    latest = orders_frame(updates, latest=True).select(pl.col("order_id"), "status").rows()
    assert latest == [("1", "OPEN"), ("2", "OPEN")]
