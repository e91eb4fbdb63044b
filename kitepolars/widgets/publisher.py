"""Owns the UI thread: a timer that asks each live view to publish, once per refresh.

One daemon thread a process. It starts with the first live view and ends with
the last, so that widgets nobody looks at cost nothing. It pulls from the
ticker; the feed never pushes into a view.
"""

from __future__ import annotations

import threading
import time
import weakref
from functools import cached_property
from typing import Any, Final, Protocol

import polars as pl

from kitepolars.widgets.surface import Feed

THREAD_NAME: Final = "kitepolars-ui"
TICK: Final = 0.25
"""Seconds between two refreshes: four a second are as many as can be read."""

REST: Final = 4
"""The thread rests at least so many times as long as it computed: a fifth of a core at most."""


class Reading:
    """One ticker at one refresh. Each question is asked at most once, whatever the views.

    Parameters
    ----------
    feed
        The ticker that is asked.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.clock = time.time() * 1000
        """Milliseconds since the Unix epoch, as JavaScript counts."""

    @cached_property
    def latest(self) -> pl.DataFrame:
        """The last tick of each instrument, with the columns of ``frame()``, in any order."""
        return self.feed._held().latest()  # noqa: SLF001 - a ticker's own views are its friends

    @cached_property
    def subscriptions(self) -> pl.DataFrame:
        """What is subscribed."""
        return self.feed.subscriptions()

    @cached_property
    def connections(self) -> pl.DataFrame:
        """The connections."""
        return self.feed.connections()

    @cached_property
    def events(self) -> pl.DataFrame:
        """The events."""
        return self.feed.events()

    @cached_property
    def gaps(self) -> pl.DataFrame:
        """The holes in the data."""
        return self.feed.gaps()

    @cached_property
    def stats(self) -> Any:
        """The counters."""
        return self.feed.stats()


class View(Protocol):
    """What the UI thread asks of a view."""

    @property
    def feed(self) -> Feed:
        """The ticker that it shows."""
        ...

    def is_live(self) -> bool:
        """Say whether anybody looks."""
        ...

    def is_due(self, now: float) -> bool:
        """Say whether it wants to publish now (monotonic seconds)."""
        ...

    def publish(self, reading: Reading) -> None:
        """Send one message. It must not raise."""
        ...

    def rest(self) -> None:
        """Take note that nobody looks any more."""
        ...


class Publisher:
    """The UI thread and the views it serves, which it holds weakly.

    Parameters
    ----------
    tick
        Seconds between two refreshes.
    """

    def __init__(self, *, tick: float = TICK) -> None:
        self._tick = tick
        self._views: weakref.WeakSet[View] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        with self._lock:
            return self._thread is not None

    def serve(self, view: View) -> None:
        """Publish for a view from now on, for as long as it is live. Any thread."""
        with self._lock:
            self._views.add(view)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self._thread.start()
        self._bell.set()

    def wake(self) -> None:
        """Something was changed: refresh now instead of at the next tick. Any thread."""
        self._bell.set()

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended for want of live views; say whether it has."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        due = 0.0
        while (live := self._live_views()) or self._goes_on():
            began, worked = time.monotonic(), time.thread_time()
            if began >= due:  # else it was woken: what is due later must not wait for that
                due = began + self._tick
            self._refresh(live)
            del live
            rest = REST * (time.thread_time() - worked)
            self._bell.wait(max(due - time.monotonic(), rest))
            self._bell.clear()

    def _live_views(self) -> list[View]:
        """Return the live views; those that nobody looks at are served no more."""
        with self._lock:
            live: list[View] = []
            resting: list[View] = []
            for view in self._views:
                (live if view.is_live() else resting).append(view)
            self._views.difference_update(resting)
        for view in resting:
            view.rest()
        return live

    def _goes_on(self) -> bool:
        """Say whether there are views again; without any, the thread is given up with that."""
        with self._lock:
            if not self._views:
                self._thread = None
            return self._thread is not None

    def _refresh(self, views: list[View]) -> None:
        readings: dict[int, Reading] = {}
        now = time.monotonic()
        for view in views:
            if view.is_due(now):
                key = id(view.feed)
                if key not in readings:
                    readings[key] = Reading(view.feed)
                view.publish(readings[key])


PUBLISHER: Final = Publisher()
"""The one of this process."""
