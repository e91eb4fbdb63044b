"""The UI thread's rhythm, with a clock that a test moves; the order of commands."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from kitepolars.widgets import threads as module
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.threads import CommandQueue, Publisher
from patience import PATIENCE

WAKES = 0.1
END = 10.0


class Clock:
    """An event that is set every 0.1 s, as scrolling does, and a clock that only it moves."""

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
        self.ticker: Any = object()
        self.published = [-1.0]

    def is_live(self) -> bool:
        return self.clock.now < END

    def is_due(self, now: float) -> bool:
        return now - self.published[-1] >= 0.9 * module.TICK

    def publish(self, _: Reading) -> None:
        self.published.append(self.clock.now)

    def release(self) -> None:
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
    monkeypatch.setattr(publisher, "_woken", clock)
    publisher._views.add(view)
    publisher._run()
    assert len(view.published) - 1 >= END / module.TICK - 1


def test_commands_are_done_in_order_on_one_thread_that_ends(commands: CommandQueue) -> None:
    done: list[tuple[int, str]] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(100):
        commands.post(partial(note, number))
    assert commands.join(PATIENCE)
    assert [number for number, _ in done] == list(range(100))
    assert {name for _, name in done} == {"kitepolars-commands"}
