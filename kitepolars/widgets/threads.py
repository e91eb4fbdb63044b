"""The two threads of the widgets: one publishes views, the other runs what controls ask for.

Both are daemons that start with the first work and end soon after the last, so widgets that
are not on a page cost nothing. The UI thread pulls from the ticker; the feed never pushes into
a view.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from kitepolars.widgets.reading import Reading, WatchedTicker

UI_THREAD: Final = "kitepolars-ui"
COMMAND_THREAD: Final = "kitepolars-commands"

TICK: Final = 0.25
"""Seconds between two refreshes: more than four a second cannot be read."""
REST_FACTOR: Final = 4
"""The UI thread sleeps at least this many times as long as it computed: 20% of a core at most."""
IDLE_TIMEOUT: Final = 5.0
"""Seconds without a command after which the command thread ends."""


class View(Protocol):
    """What the UI thread needs to know of a view."""

    @property
    def ticker(self) -> WatchedTicker:
        """The ticker that it shows."""
        ...

    def is_live(self) -> bool:
        """Return whether it is on a page."""
        ...

    def is_due(self, now: float) -> bool:
        """Return whether it is to be published now (monotonic seconds)."""
        ...

    def publish(self, reading: Reading) -> None:
        """Send one message. It must not raise."""
        ...

    def release(self) -> None:
        """Free what is needed only while it is on a page."""
        ...


class Publisher:
    """The UI thread and the views that it publishes, which it holds weakly.

    Parameters
    ----------
    tick
        Seconds between two refreshes.
    """

    def __init__(self, *, tick: float = TICK) -> None:
        self._tick = tick
        self._views: weakref.WeakSet[View] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        with self._lock:
            return self._thread is not None

    def serve(self, view: View) -> None:
        """Publish a view for as long as it is live. Any thread."""
        with self._lock:
            self._views.add(view)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=UI_THREAD, daemon=True)
                self._thread.start()
        self._woken.set()

    def wake(self) -> None:
        """Refresh now instead of at the next tick, because something changed. Any thread."""
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Wait until no view is live and the thread has ended; return whether it has."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        due = 0.0
        while (live := self._live_views()) or self._has_views():
            began, worked = time.monotonic(), time.thread_time()
            if began >= due:  # else it was woken early: the next tick stays where it was
                due = began + self._tick
            self._refresh(live)
            del live
            rest = REST_FACTOR * (time.thread_time() - worked)
            self._woken.wait(max(due - time.monotonic(), rest))
            self._woken.clear()

    def _live_views(self) -> list[View]:
        """Return the live views; the others are released and no longer published."""
        with self._lock:
            live: list[View] = []
            gone: list[View] = []
            for view in self._views:
                (live if view.is_live() else gone).append(view)
            self._views.difference_update(gone)
        for view in gone:
            view.release()
        return live

    def _has_views(self) -> bool:
        """Return whether a view was added meanwhile; otherwise the thread is given up."""
        with self._lock:
            if not self._views:
                self._thread = None
            return self._thread is not None

    def _refresh(self, views: list[View]) -> None:
        readings: dict[int, Reading] = {}
        now = time.monotonic()
        for view in views:
            if view.is_due(now):
                key = id(view.ticker)
                if key not in readings:
                    readings[key] = Reading(view.ticker)
                view.publish(readings[key])


class CommandQueue:
    """Runs commands in the order in which they were posted. Each handles its own errors.

    The kernel may run a control's callback on any of its threads, during a cell; so callbacks
    only post here.

    Parameters
    ----------
    idle_timeout
        Seconds without a command after which the thread ends.
    """

    def __init__(self, *, idle_timeout: float = IDLE_TIMEOUT) -> None:
        self._idle_timeout = idle_timeout
        self._queue: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, command: Callable[[], object]) -> None:
        """Run a command after those posted before; return at once. Any thread."""
        with self._lock:
            self._queue.put(command)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=COMMAND_THREAD, daemon=True)
                self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until everything posted before has run; return whether it has."""
        done = threading.Event()
        self.post(done.set)
        return done.wait(timeout)

    def _run(self) -> None:
        while (command := self._next()) is not None:
            try:
                command()
            except BaseException:
                with self._lock:  # the next command starts another thread
                    self._thread = None
                raise
            del command  # otherwise it would be kept until the next one

    def _next(self) -> Callable[[], object] | None:
        try:
            return self._queue.get(timeout=self._idle_timeout)
        except queue.Empty:
            with self._lock:
                if self._queue.empty():
                    self._thread = None
                    return None
            return self._queue.get()


PUBLISHER: Final = Publisher()
"""The publisher of this process."""
COMMANDS: Final = CommandQueue()
"""The command queue of this process."""
