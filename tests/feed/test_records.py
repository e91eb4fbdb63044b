from __future__ import annotations

import pytest

from kitepolars.feed.gaps import GapLog
from kitepolars.feed.listeners import Listeners
from kitepolars.feed.orders import OrderLog
from kitepolars.feed.records import Event, EventLog, Gap
from kitepolars.wire.control import parse


def gap(connection: int = 0, *, at: int = 5, instruments: int = 10) -> Gap:
    return Gap(connection, "main", at, None, "silent for 5.0 s", instruments)


def test_events_are_bounded_and_what_is_dropped_is_counted() -> None:
    log = EventLog(capacity=3, clock=iter(range(10)).__next__)
    for n in range(5):
        log.add("kind", f"number {n}", n)
    assert [(event.at, event.connection) for event in log.snapshot()] == [(2, 2), (3, 3), (4, 4)]
    assert (len(log), log.total, log.dropped) == (3, 5, 2)


def test_an_events_detail_is_printable_and_bounded() -> None:
    event = EventLog().add("unknown", "\x1b[2J" + "x" * 9_000)
    assert event.detail.startswith("\\x1b[2J")
    assert len(event.detail) <= 501


def test_a_snapshot_does_not_change() -> None:
    log = EventLog()
    log.add("a", "1")
    before = log.snapshot()
    log.add("b", "2")
    assert [event.kind for event in before] == ["a"]


def test_listeners_hear_until_they_leave() -> None:
    log = EventLog()
    heard: list[Event] = []
    leave = log.listen(heard.append)
    log.add("a", "1")
    leave()
    log.add("b", "2")
    assert [event.kind for event in heard] == ["a"]


def test_a_listener_may_be_added_twice_and_leave_while_it_is_told() -> None:
    listeners = Listeners[int]()
    heard: list[int] = []
    first = listeners.add(heard.append)
    listeners.add(lambda _: first())
    listeners.add(heard.append)
    listeners.tell(1)
    listeners.tell(2)
    assert heard == [1, 1, 2]


def test_a_listener_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    listeners = Listeners[int]()
    heard: list[int] = []
    listeners.add(lambda item: 1 // item)
    listeners.add(heard.append)
    listeners.tell(0)
    assert heard == [0]
    assert "ZeroDivisionError" in caplog.text


def test_a_gap_ends_with_its_own_connections_data() -> None:
    log = GapLog()
    log.open(gap(0))
    log.open(gap(1, at=3))
    log.end(0, 9)
    log.end(0, 11)
    assert [(one.connection, one.ended_at) for one in log.snapshot()] == [(1, None), (0, 9)]
    assert (log.pending(0), log.pending(1), len(log)) == (0, 10, 2)


def test_a_gap_splits_with_its_instruments() -> None:
    log = GapLog()
    log.open(gap(0))
    log.move(0, 1, 4)
    log.move(0, 2, 5)
    log.move(1, 2, 4)
    log.end(2, 9)
    assert sorted((one.instruments, one.ended_at) for one in log.snapshot() if one.ended_at) == [
        (4, 9),
        (5, 9),
    ]
    assert [one.instruments for one in log.snapshot() if not one.ended_at] == [1]
    assert {one.connection for one in log.snapshot()} == {0}


def test_moving_what_has_no_gap_makes_none() -> None:
    log = GapLog()
    log.move(0, 1, 4)
    log.end_all(9)
    assert log.snapshot() == ()


def test_all_gaps_can_be_ended() -> None:
    log = GapLog()
    log.open(gap(0))
    log.open(gap(2))
    log.end_all(9)
    assert [one.ended_at for one in log.snapshot()] == [9, 9]


def test_distinct_updates_of_one_order_are_both_kept() -> None:
    log = OrderLog()
    texts = [
        '{"type":"order","data":{"order_id":"1","status":"OPEN"}}',
        '{"type":"order","data":{"status":"OPEN","order_id":"1"}}',
        '{"type":"order","data":{"order_id":"1","status":"COMPLETE"}}',
        '{"type":"order","data":{"order_id":"1","status":"OPEN"}}',
    ]
    added = [log.add(n, n, parse(text)) is not None for n, text in enumerate(texts)]
    assert added == [True, False, True, False]
    assert [(one.received_at, one.data["status"]) for one in log.snapshot()] == [
        (0, "OPEN"),
        (2, "COMPLETE"),
    ]
    assert len(log) == 2


def test_what_is_no_order_is_not_kept() -> None:
    log = OrderLog()
    assert log.add(0, 0, parse("nonsense")) is None
    assert log.snapshot() == ()
