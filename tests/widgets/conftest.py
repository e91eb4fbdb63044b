"""What the tests of the widgets share: a ticker on the simulated Kite, and a view's other end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # `widgets.page`, as mypy names it too

import kitepolars as kp
from kitepolars.widgets.threads import CommandQueue, Publisher
from patience import PATIENCE
from widgets.page import INFY, NIFTY, RELIANCE, Page


@pytest.fixture(scope="module")
def ticker() -> Iterator[kp.Ticker]:
    """Three instruments in full mode, with ticks of each."""
    with kp.demo(instruments=[INFY, NIFTY, RELIANCE], rate=10) as running:
        assert running.wait(rows=12, timeout=PATIENCE)
        yield running


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """A UI thread of the test's own, which must end with the last view."""
    own = Publisher(tick=0.02)
    yield own
    assert own.join(PATIENCE), "the UI thread outlives its views"


@pytest.fixture
def show(publisher: Publisher) -> Iterator[Callable[..., Page]]:  # noqa: ARG001 (ends after it)
    """Open a page on a widget; it is closed after the test."""
    pages: list[Page] = []

    def open_(widget: Any, name: str = "view") -> Page:
        pages.append(Page(widget, name))
        return pages[-1]

    yield open_
    for page in pages:
        page.say("gone")


@pytest.fixture
def commands() -> Iterator[CommandQueue]:
    queue = CommandQueue(idle_timeout=0.2)
    yield queue
    assert queue.join(PATIENCE)


@pytest.fixture
def own_ticker() -> Iterator[kp.DemoTicker]:
    with kp.demo(instruments=[NIFTY], rate=10) as running:
        assert running.wait(
            until=lambda ticker: "full" in ticker.latest()["mode"], timeout=PATIENCE
        )
        yield running
