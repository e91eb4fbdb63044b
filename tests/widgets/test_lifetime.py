"""What is closed is freed: no widget, callback or stream keeps a ticker and its ticks."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipywidgets.widgets import widget as registry

import kitepolars as kp
from kitepolars.widgets import AlertsPanel, Chart, Controls, Dashboard, Ladder, LiveTable, Monitor
from kitepolars.widgets.threads import CommandQueue, Publisher
from kitepolars.widgets.view import LiveWidget
from patience import PATIENCE
from widgets.page import INFY, Page

WIDGETS: dict[type, Callable[..., Any]] = {
    LiveTable: LiveTable,
    Chart: lambda ticker, **settings: Chart(ticker, INFY, **settings),
    Ladder: lambda ticker, **settings: Ladder(ticker, INFY, **settings),
    Monitor: Monitor,
    Controls: Controls,
    AlertsPanel: AlertsPanel,
    Dashboard: Dashboard,
}


def demo() -> kp.DemoTicker:
    ticker = kp.demo(instruments=[INFY], rate=10)
    assert ticker.wait(rows=2, timeout=PATIENCE)
    return ticker


def live_parts(widget: Any) -> Iterator[Any]:
    """Yield the widget, or the widgets inside it, that show a ticker."""
    parts = widget._parts() if hasattr(widget, "_parts") else [widget]
    yield from (part for part in parts if isinstance(part, LiveWidget))


def look_at(widget: Any) -> None:
    """Show every part on a page until it has something to show, then leave."""
    for part in live_parts(widget):
        page = Page(part)
        page.say("ready")
        page.wait(lambda message: message["kind"] == "snapshot")
        page.say("gone")
        del part.send


@pytest.mark.parametrize("kind", WIDGETS, ids=lambda kind: kind.__name__)
def test_a_closed_widget_keeps_neither_itself_nor_its_ticker(kind: type) -> None:
    publisher = Publisher(tick=0.02)
    registered = set(registry._instances)
    ticker = demo()
    widget = WIDGETS[kind](ticker, publisher=publisher)
    look_at(widget)
    assert publisher.join(PATIENCE)
    widget.close()
    assert set(registry._instances) == registered, "a part is still open"
    ticker.stop()
    left = [weakref.ref(ticker), weakref.ref(widget), *map(weakref.ref, live_parts(widget))]
    del widget, ticker
    gc.collect()
    assert [each() for each in left] == [None] * len(left)


def test_a_command_that_is_done_is_kept_no_longer() -> None:
    commands = CommandQueue(idle_timeout=PATIENCE)

    def command() -> None:
        pass

    left = weakref.ref(command)
    commands.post(command)
    assert commands.join(PATIENCE)
    del command
    assert left() is None
    commands._idle_timeout = 0.0  # the next wait is the last
    assert commands.join(PATIENCE)


def call_back(ticker: kp.Ticker) -> None:
    for register in (ticker.on_batch, ticker.on_event, ticker.on_order, ticker.on_message):
        register(lambda _: None)
    assert ticker.wait(rows=4, timeout=PATIENCE)


def stream(ticker: kp.Ticker) -> None:
    async def first() -> None:
        async for _ in ticker.stream():
            break

    asyncio.run(first())


@pytest.mark.parametrize("use", [call_back, stream, repr, kp.Ticker.candles, kp.Ticker.lazy])
def test_a_stopped_ticker_is_kept_by_nothing_that_was_done_with_it(
    use: Callable[[kp.Ticker], object],
) -> None:
    ticker = demo()
    use(ticker)
    ticker.stop()
    left = weakref.ref(ticker)
    del ticker
    gc.collect()
    assert left() is None


def test_a_demonstration_that_another_one_replaced_is_kept_by_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kitepolars.demonstration._in_notebook", lambda: True)
    left = weakref.ref(demo())
    with kp.demo(instruments=[]):
        gc.collect()
        assert left() is None
