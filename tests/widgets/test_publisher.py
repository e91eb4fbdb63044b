"""The UI thread's rhythm, with a clock that a test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kitepolars.widgets import publisher as module
from kitepolars.widgets.publisher import Publisher, Reading

WAKES = 0.1
END = 10.0


class Clock:
    """A bell that rings every 0.1 s, as scrolling does, and a clock that only it moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def wait(self, timeout: float) -> None:
        next_ring = (int(self.now / WAKES + 1e-6) + 1) * WAKES
        self.now = min(self.now + timeout, next_ring)

    def clear(self) -> None:
        pass


class View:
    """A view that is due four times a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.feed: Any = object()
        self.published = [-1.0]

    def is_live(self) -> bool:
        return self.clock.now < END

    def is_due(self, now: float) -> bool:
        return now - self.published[-1] >= 0.9 * module.TICK

    def publish(self, _: Reading) -> None:
        self.published.append(self.clock.now)

    def rest(self) -> None:
        pass


def test_what_wakes_the_thread_does_not_slow_it_down(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    view = View(clock)
    monkeypatch.setattr(
        module,
        "time",
        SimpleNamespace(monotonic=lambda: clock.now, thread_time=float, time=lambda: clock.now),
    )
    publisher = Publisher()
    monkeypatch.setattr(publisher, "_bell", clock)
    publisher._views.add(view)
    publisher._run()
    assert len(view.published) - 1 >= END / module.TICK - 1
