"""The channel between kernel and browser: ready, snapshot, deltas, notices, liveness."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.widgets import Ladder, LiveTable, Monitor
from kitepolars.widgets.channel import (
    FAULTS_REPORTED,
    MAX_ERROR_TEXT,
    VIEW_TIMEOUT,
    Faults,
    Update,
    error_text,
)
from kitepolars.widgets.host import CellWatch
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.threads import Publisher
from kitepolars.widgets.view import LiveWidget
from patience import PATIENCE
from widgets.page import INFY

Show = Callable[..., Any]


class Counter(LiveWidget):
    """Counts its refreshes; fails on demand."""

    _esm = "export default { render() {} }"

    def __init__(self, feed: kp.Ticker, publisher: Publisher) -> None:
        self.count = 0
        self.failure = ""
        self.rested = 0
        super().__init__(feed, publisher=publisher, traits={})

    def _snapshot(self, _reading: Reading) -> Update:
        return Update({"count": self.count}, whole=True)

    def _changes(self, _reading: Reading) -> Update | None:
        if self.failure:
            raise ValueError(self.failure)
        self.count += 1
        return Update({"count": self.count}, [b"12"])

    def _handle(self, kind: str, _content: Any) -> None:
        if kind == "fail":
            raise ValueError("asked for\n the impossible")

    def _release(self) -> None:
        self.rested += 1


def test_a_view_gets_a_snapshot_then_numbered_deltas(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(Counter(ticker, publisher))
    page.say("ready")
    page.wait(lambda message: message.get("count") == 3)
    kinds = [content["kind"] for content, _ in page.received[:4]]
    assert kinds == ["snapshot", "delta", "delta", "delta"]
    numbers = [content["seq"] for content, _ in page.received]
    assert numbers == list(range(1, len(numbers) + 1))
    assert page.received[1][1] == [b"12"]


def test_a_second_ready_brings_another_snapshot(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(Counter(ticker, publisher))
    page.say("ready")
    page.wait(lambda message: message["kind"] == "delta")
    before = len(page.received)
    page.say("ready")
    page.wait(lambda message: message["kind"] == "snapshot", beyond=before)


def test_without_a_view_nothing_runs_and_nothing_is_sent(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    counter = Counter(ticker, publisher)
    page = show(counter)
    assert not publisher.is_running
    page.say("ready")
    page.wait(lambda message: message["kind"] == "delta")
    page.say("gone")
    assert publisher.join(PATIENCE)
    assert counter.rested == 1
    sent = len(page.received)
    counter.count = 100
    page.say("ready")
    content, _ = page.wait(lambda message: "kind" in message, beyond=sent)
    assert (content["kind"], content["count"]) == ("snapshot", 100)


def test_a_failure_is_shown_and_recovers(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    counter = Counter(ticker, publisher)
    page = show(counter)
    page.say("ready")
    page.wait(lambda message: message["kind"] == "delta")
    before = len(page.received)
    counter.failure = "no <b>luck</b>"
    page.wait(lambda message: message.get("notice") == "no <b>luck</b>")
    counter.failure = ""
    whole, _ = page.wait(lambda message: message["kind"] == "snapshot", beyond=before)
    assert whole["notice"] == ""


class Broken(Counter):
    """Fails at every refresh, on demand."""

    def _snapshot(self, reading: Reading) -> Update:
        self._changes(reading)
        return super()._snapshot(reading)


def test_a_fault_is_an_event_too_once_while_it_lasts(publisher: Publisher, show: Show) -> None:
    with kp.demo(instruments=[]) as own:
        broken = Broken(own, publisher)
        page = show(broken)
        for text in ("no luck", "none again"):
            before = len(page.received)
            page.say("ready")
            page.wait(lambda message: message["kind"] == "snapshot", beyond=before)
            broken.failure = text
            page.wait(lambda message: message.get("notice") == broken.failure)
            page.refreshed(1)  # a sign of life, many failures later
            broken.failure = ""
        told = own.events().filter(kind="widget")["detail"].to_list()
        page.say("gone")
    assert told == [
        "Broken failed (1): ValueError('no luck')",
        "Broken failed (2): ValueError('none again')",
    ]


def test_refused_requests_are_no_events_and_faults_are_reported_a_few_times(
    ticker: kp.Ticker,
) -> None:
    faults = Faults(ticker, "Thing")
    for error in (kp.UnknownInstrument("NSE:NOPE"), FileNotFoundError("list.txt")):
        faults.report_unexpected(error)
    for number in range(FAULTS_REPORTED + 5):
        faults.report_unexpected(ValueError(number))
    told = ticker.events().filter(pl.col("detail").str.starts_with("Thing"))["detail"].to_list()
    assert told == [
        f"Thing failed ({number + 1}): ValueError({number})" for number in range(FAULTS_REPORTED)
    ]


def test_what_a_view_asks_in_vain_is_shown(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(Counter(ticker, publisher))
    page.say("ready")
    page.say("fail")
    page.wait(lambda message: message.get("notice") == "asked for the impossible")


@pytest.mark.parametrize("content", [{}, {"kind": 1, "view": "a"}, {"kind": "ready"}])
def test_malformed_messages_are_ignored(
    ticker: kp.Ticker, publisher: Publisher, content: dict[str, Any]
) -> None:
    counter = Counter(ticker, publisher)
    counter._channel.receive(content)
    assert not publisher.is_running


class Asked:
    """A ticker, and how often each thing is asked of it."""

    def __init__(self, ticker: kp.Ticker) -> None:
        self.ticker = ticker
        self.calls: Tally[str] = Tally()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.ticker, name)


@pytest.mark.parametrize("make", [LiveTable, Monitor, lambda *a, **k: Ladder(a[0], INFY, **k)])
def test_a_view_that_is_gone_costs_nothing_while_another_is_live(
    ticker: kp.Ticker, publisher: Publisher, show: Show, make: Any
) -> None:
    asked = Asked(ticker)
    left, other = show(make(asked, publisher=publisher)), show(Counter(ticker, publisher))
    left.say("ready")
    other.say("ready")
    left.wait(lambda message: message["kind"] == "snapshot")
    assert asked.calls["_held"] + asked.calls["stats"]
    left.say("gone")
    other.refreshed(2)  # the first of them may have begun before
    calls, sent = Tally(asked.calls), len(left.received)
    other.refreshed(5)
    assert (asked.calls, len(left.received)) == (calls, sent)
    left.say("ready")
    left.wait(lambda message: message["kind"] == "snapshot", beyond=sent)
    assert asked.calls != calls


def test_a_closed_channel_ends_the_views(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    counter = Counter(ticker, publisher)
    page = show(counter)

    def closed(*_: object) -> None:
        raise RuntimeError("the socket is closed")

    counter.send = closed
    page.say("ready")
    assert publisher.join(PATIENCE)


def test_a_silent_view_is_gone_unless_the_kernel_was_busy(
    ticker: kp.Ticker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Counter(ticker, publisher)._channel
    cells = CellWatch()
    channel._cells = cells
    clock = 1000.0
    cells._ended = clock
    monkeypatch.setattr("kitepolars.widgets.channel.time.monotonic", lambda: clock)
    channel._views["view"] = clock
    clock += VIEW_TIMEOUT + 1
    cells._begin(None)
    assert channel.is_live()
    cells._end(None)
    assert channel.is_live(), "the kernel has only just begun to listen"
    clock += VIEW_TIMEOUT + 1
    assert not channel.is_live()


def test_an_error_is_one_bounded_line() -> None:
    assert error_text(ValueError("a\n  b")) == "a b"
    assert error_text(ValueError()) == "ValueError"
    assert len(error_text(ValueError("x" * 9999))) == MAX_ERROR_TEXT
