"""Events: bounded, printable, immutable once handed out."""

from __future__ import annotations

from kitepolars.ledger.events import Events
from kitepolars.source import Event


def test_events_are_bounded_and_what_is_dropped_is_counted() -> None:
    events = Events(capacity=3, clock=iter(range(10)).__next__)
    for n in range(5):
        events.add("kind", f"number {n}", n)
    assert [(event.at, event.connection) for event in events.snapshot()] == [(2, 2), (3, 3), (4, 4)]
    assert (len(events), events.total, events.dropped) == (3, 5, 2)


def test_the_text_of_every_event_is_printable_and_bounded() -> None:
    events = Events()
    events.take(Event(1, None, "unknown", "\x1b[2J" + "x" * 9_000))
    (event,) = events.snapshot()
    assert event.detail.startswith("\\x1b[2J")
    assert len(event.detail) <= 501


def test_a_snapshot_does_not_change() -> None:
    events = Events()
    events.add("a", "1")
    before = events.snapshot()
    events.add("b", "2")
    assert [event.kind for event in before] == ["a"]


def test_listeners_are_called_until_they_leave() -> None:
    events = Events()
    heard: list[Event] = []
    leave = events.listen(heard.append)
    events.add("a", "1")
    leave()
    events.add("b", "2")
    assert [event.kind for event in heard] == ["a"]
