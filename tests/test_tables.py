"""Records → frames: orders of odd times and equal times."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import random

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
    updates = [
        update(n, order_id=str(number), status=status, order_timestamp="2026-11-20 10:00:00")
        for number, order in enumerate(itertools.permutations(states))
        for n, status in enumerate(order)
    ]
    latest = orders_frame(updates, latest=True)
    assert latest["order_id"].n_unique() == math.factorial(len(states))
    assert set(latest["status"]) == {end}


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


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """Draw the life of an order: its seconds, states and filled quantities, as they happen."""
    states = [(state, 0) for state in ("PUT ORDER REQ RECEIVED", "VALIDATION PENDING")]
    if draw(st.booleans()):
        states = [("AMO REQ RECEIVED", 0), *states]
    states += [("OPEN PENDING", 0), *draw(st.sampled_from([[], [("TRIGGER PENDING", 0)]]))]
    states += [("OPEN", filled) for filled in range(draw(st.integers(1, 4)))]
    states += draw(st.sampled_from([[], [("COMPLETE", 10)], [("CANCELLED", 3)], [("REJECTED", 3)]]))
    states = states[: draw(st.integers(1, len(states)))]
    seconds = itertools.accumulate(draw(st.sampled_from([0, 0, 0, 1, 7])) for _ in states)
    return [(second, *state) for second, state in zip(seconds, states, strict=True)]


@given(lives(), st.randoms(use_true_random=False), st.sampled_from([0, 1]))
def test_the_latest_is_the_last_state_however_updates_arrive_and_clocks_differ(
    life: list[tuple[int, str, int]], random: random.Random, skew: int
) -> None:
    updates = []
    for second, status, filled in life:
        # What has reached the exchange has its time too, by a clock that may be behind Kite's.
        exchange = {"exchange_update_timestamp": f"2026-11-20 10:01:{second:02}"} if filled else {}
        kite = f"2026-11-20 10:01:{second + skew:02}"
        updates.append(
            {"status": status, "filled_quantity": filled, "order_timestamp": kite} | exchange
        )
    last = updates[-1]
    random.shuffle(updates)
    frame = orders_frame([update(n, **data) for n, data in enumerate(updates)], latest=True)
    assert frame.select("status", "filled_quantity").rows() == [
        (last["status"], last["filled_quantity"])
    ]


def test_what_has_reached_the_exchange_is_later_than_what_has_not_whatever_the_clocks_say() -> None:
    updates = [
        update(0, status="OPEN", exchange_update_timestamp="2026-11-20 10:00:00"),
        update(1, status="OPEN PENDING", order_timestamp="2026-11-20 10:00:01"),
    ]
    assert orders_frame(updates, latest=True)["status"].to_list() == ["OPEN"]


def test_an_after_market_order_continues_after_a_modification() -> None:
    states = ["AMO REQ RECEIVED", "MODIFY AMO REQ RECEIVED", "PUT ORDER REQ RECEIVED"]
    updates = [
        update(n, status=status, order_timestamp=f"2026-11-20 10:00:0{n}")
        for n, status in enumerate(states)
    ]
    for count, status in enumerate(states, 1):
        assert orders_frame(updates[:count], latest=True)["status"].to_list() == [status]


def test_a_modified_order_that_is_open_again_is_open() -> None:
    states = ["OPEN", "MODIFY VALIDATION PENDING", "MODIFY PENDING", "OPEN"]
    updates = [
        update(n, status=status, price=float(n), order_timestamp=f"2026-11-20 10:00:0{n}")
        for n, status in enumerate(states)
    ]
    for order in itertools.permutations(updates):
        latest = orders_frame(order, latest=True).select("status", "price").rows()
        assert latest == [("OPEN", 3.0)]


def test_updates_without_an_id_are_not_one_order() -> None:
    updates = [
        update(n, order_id=order_id, status="OPEN") for n, order_id in enumerate([None, None, 5, 6])
    ]
    assert orders_frame(updates, latest=True).height == 4


@pytest.mark.parametrize("odd", [10**400, -(10**400), float("nan"), float("inf"), "1", [1], True])
@pytest.mark.parametrize("column", ["price", "quantity", "instrument_token"])
def test_a_number_that_cannot_be_is_null_and_kept(odd: object, column: str) -> None:
    for latest in (False, True):
        (row,) = orders_frame([update(**{column: odd})], latest=latest).to_dicts()
        assert row[column] is None
        assert repr(json.loads(row["other"])[column]) == repr(odd)


@pytest.mark.parametrize(
    ("ids", "account", "other"),
    [
        ({"user_id": "A"}, "A", None),
        ({"account_id": "A"}, "A", None),
        ({"user_id": "A", "account_id": "A"}, "A", None),
        ({"user_id": "A", "account_id": "B"}, "B", '{"user_id": "A"}'),
        ({}, None, None),
    ],
)
def test_the_account_by_either_name(
    ids: dict[str, str], account: str | None, other: str | None
) -> None:
    (row,) = orders_frame([update(**ids)]).to_dicts()
    assert (row["account_id"], row["other"]) == (account, other)


def test_orders_are_kept_apart() -> None:
    updates = [
        update(n, order_id=order, status=status, order_timestamp="2026-11-20 10:00:00")
        for n, (order, status) in enumerate([("1", "OPEN"), ("2", "OPEN"), ("1", "OPEN PENDING")])
    ]
    latest = orders_frame(updates, latest=True).select(pl.col("order_id"), "status").rows()
    assert latest == [("1", "OPEN"), ("2", "OPEN")]
