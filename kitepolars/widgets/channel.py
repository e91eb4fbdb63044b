"""The kernel's end of the channel to a widget's views. UI thread; messages on any thread.

A view sends ``ready`` until it gets a snapshot; numbered deltas follow, one message per
refresh, and a keepalive each second when nothing changed. An error is shown in the widget and
added to the ticker's events, but never raised into a cell.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from kitepolars.errors import KitePolarsError
from kitepolars.widgets.host import cell_watch
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.recording import Recording
from kitepolars.widgets.threads import COMMANDS, PUBLISHER, Publisher

VIEW_TIMEOUT: Final = 90.0
"""Seconds without a message after which a view is gone; hidden pages send one a minute."""
KEEPALIVE: Final = 1.0
"""Seconds after which something is sent even if nothing changed."""
EARLY: Final = 0.9
"""Share of its interval after which a view may be refreshed, rather than a tick late."""
NOTICE_SECONDS: Final = 8.0
"""Seconds for which a widget shows that a request failed."""
EXPECTED_ERRORS: Final = (KitePolarsError, OSError)
"""Errors of what was asked, such as a missing file; all others are faults of the widget."""
MAX_ERROR_TEXT: Final = 300
"""Longest error text shown, in characters."""
FAULTS_REPORTED: Final = 10
"""Faults of one widget that are added to `events()`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """One message to the views: JSON content, and binary columns beside it.

    Parameters
    ----------
    content
        The part sent as JSON.
    buffers
        The part sent as bytes.
    whole
        Whether a view can paint from this message alone.
    """

    content: Mapping[str, Any] = field(default_factory=dict)
    buffers: Sequence[bytes | memoryview] = ()
    whole: bool = False


def milliseconds(moment: dt.datetime) -> float:
    """Return a time as views get it: milliseconds since the Unix epoch."""
    return moment.timestamp() * 1000


def error_text(error: BaseException) -> str:
    """Return an error as one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_ERROR_TEXT else f"{text[: MAX_ERROR_TEXT - 1]}…"


class Faults:
    """Reports the faults of a widget in the ticker's events. Any thread."""

    def __init__(self, ticker: WatchedTicker, widget: str) -> None:
        self._ticker = ticker
        self._widget = widget
        self._count = 0

    def report(self, error: Exception) -> None:
        """Add an event, unless there have been `FAULTS_REPORTED` already."""
        _log.debug("%s failed", self._widget, exc_info=error)
        self._count += 1
        if self._count <= FAULTS_REPORTED:
            self._ticker.note("widget", f"{self._widget} failed ({self._count}): {error!r}")

    def report_unexpected(self, error: Exception) -> None:
        """Add an event if the error is a fault of the widget."""
        if not isinstance(error, EXPECTED_ERRORS):
            self.report(error)


class Notice:
    """The line in which a widget shows an error: a lasting one, or one that passes."""

    def __init__(self) -> None:
        self._lasting = ""
        self._passing = ""
        self._until = float("-inf")
        self._sent = ""

    def set(self, text: str) -> bool:
        """Show a text until it is replaced, "" for none; return whether it is new."""
        is_new, self._lasting = text != self._lasting, text
        return is_new

    def show_briefly(self, text: str) -> None:
        """Show a text for `NOTICE_SECONDS`."""
        self._passing, self._until = text, time.monotonic() + NOTICE_SECONDS

    def to_send(self, *, always: bool) -> str | None:
        """Return the text, or None if the views show it already."""
        text = self._lasting or (self._passing if time.monotonic() < self._until else "")
        if text == self._sent and not always:
            return None
        self._sent = text
        return text


class Hooks(NamedTuple):
    """What a widget does for its views.

    Parameters
    ----------
    snapshot
        Returns everything that a view shows. UI thread, as the next two.
    changes
        Returns what changed since the last message, None if nothing did.
    release
        Frees what is needed only while a view is on a page.
    handle
        Takes a message of a view that is the widget's own. Any thread.
    send
        Sends content and buffers to all views.
    page_state
        Returns what a page without a kernel needs: the widget's script and its traits.
    keep
        Makes what was recorded part of the widget's state.
    """

    snapshot: Callable[[Reading], Update]
    changes: Callable[[Reading], Update | None]
    release: Callable[[], None]
    handle: Callable[[str, Mapping[str, Any]], None]
    send: Callable[[dict[str, Any], list[bytes | memoryview]], object]
    page_state: Callable[[], Mapping[str, Any]]
    keep: Callable[[dict[str, Any]], None]


class Channel:
    """The views of one widget: which are on a page, and what was sent to them.

    Parameters
    ----------
    ticker
        The ticker that the widget shows.
    name
        The name of the widget, for events.
    hooks
        What the widget does.
    every
        Least number of seconds between two messages.
    publisher
        The UI thread; tests pass another one.
    """

    def __init__(
        self,
        ticker: WatchedTicker,
        name: str,
        hooks: Hooks,
        *,
        every: float,
        publisher: Publisher | None,
    ) -> None:
        self.ticker = ticker
        self.name = name
        self._hooks = hooks
        self._every = every
        self._publisher = PUBLISHER if publisher is None else publisher
        self._cells = cell_watch()
        self._guard = threading.Lock()
        self._views: dict[str, float] = {}
        self._wants_snapshot = False
        self._is_urgent = False
        self._sequence = 0
        self._sent_at = float("-inf")
        self._recordings: tuple[Recording, ...] = ()
        self._notice = Notice()
        self._faults = Faults(ticker, name)

    # -- any thread --------------------------------------------------------------------------

    def receive(self, content: Any) -> None:
        """Keep track of the views, and pass other messages on. Malformed ones are ignored."""
        kind, view = content.get("kind"), content.get("view")
        if not isinstance(kind, str) or not isinstance(view, str):
            return
        if kind == "gone":
            with self._guard:
                self._views.pop(view, None)
            self._publisher.wake()
            return
        with self._guard:
            self._views[view] = time.monotonic()
            self._wants_snapshot |= kind == "ready"
        if kind not in {"ready", "alive"}:
            self.attempt(lambda: self._hooks.handle(kind, content))
        self._publisher.serve(self)

    def attempt(self, act: Callable[[], object]) -> None:
        """Call a function for a view; the widget shows its error."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 (a view never raises into a cell)
            self._faults.report_unexpected(error)
            self._notice.show_briefly(error_text(error))

    def post(self, act: Callable[[], object]) -> None:
        """Call a function likewise, on the command thread."""
        COMMANDS.post(partial(self.attempt, act))

    def refresh(self) -> None:
        """Send what changed now instead of at the next refresh."""
        self._is_urgent = True
        self._publisher.wake()

    def close(self) -> None:
        """Forget the views."""
        self._views.clear()

    # -- recordings: any thread --------------------------------------------------------------

    def start_recording(self) -> Recording:
        """Record what is sent to views from now on; the recording counts as a view."""
        recording = Recording()
        with self._guard:
            self._recordings = (*self._recordings, recording)
        self.receive({"kind": "ready", "view": _view_of(recording)})
        return recording

    def stop_recording(self, recording: Recording) -> None:
        """End a recording and make it the widget's, unless it is empty."""
        with self._guard:
            self._recordings = tuple(each for each in self._recordings if each is not recording)
        self.receive({"kind": "gone", "view": _view_of(recording)})
        if recording.wait(0):
            self._hooks.keep(recording.state())

    def page_state(self) -> Mapping[str, Any]:
        """Return what a page needs to show the widget: its script and its own traits."""
        return self._hooks.page_state()

    # -- called by the UI thread -------------------------------------------------------------

    def is_live(self) -> bool:
        """Return whether a view is on a page."""
        listening = self._cells.listening_since()
        with self._guard:
            if listening is not None:
                now = time.monotonic()
                self._views = {
                    view: at
                    for view, at in self._views.items()
                    if now - max(at, listening) < VIEW_TIMEOUT
                }
            return bool(self._views)

    def is_due(self, now: float) -> bool:
        """Return whether a message is wanted now, or enough time has passed since the last one."""
        asked = self._wants_snapshot or self._is_urgent
        return asked or now - self._sent_at >= EARLY * self._every

    def release(self) -> None:
        """Free what is needed only while a view is on a page."""
        self._hooks.release()

    def publish(self, reading: Reading) -> None:
        """Send one message: a snapshot if a view asked for one, otherwise the changes."""
        began = time.monotonic()
        self._is_urgent = False
        with self._guard:
            snapshot, self._wants_snapshot = self._wants_snapshot, False
        read = self._hooks.snapshot if snapshot else self._hooks.changes
        try:
            update = read(reading)
            self._notice.set("")
        except Exception as error:  # noqa: BLE001 (shown in the widget, never raised)
            if self._notice.set(error_text(error)):
                self._faults.report(error)
            update = None
            self._wants_snapshot = True
        self._send_update(update, began, reading.now)

    def _send_update(self, update: Update | None, began: float, now: float) -> None:
        whole = update is not None and update.whole
        notice = self._notice.to_send(always=whole)
        if update is None and notice is None and began - self._sent_at < KEEPALIVE:
            return
        update = Update() if update is None else update
        self._sent_at = began
        self._sequence += 1
        content = {
            **({} if notice is None else {"notice": notice}),
            **update.content,
            "kind": "snapshot" if whole else "delta",
            "seq": self._sequence,
            "clock": now * 1000,
        }
        for recording in self._recordings:
            recording.take(content, update.buffers)
        try:
            self._hooks.send(content, list(update.buffers))
        except Exception as error:  # noqa: BLE001 (the channel is closed: the kernel may be ending)
            self._faults.report(error)
            with self._guard:
                self._views.clear()


def _view_of(recording: Recording) -> str:
    return f"recording-{id(recording)}"
