"""The kernel's end of the connection to a widget's views. UI thread; messages on any thread.

A view sends ``ready`` until it gets a snapshot; numbered deltas follow, one message per
refresh, and a keepalive each second when nothing changed. An error is shown in the widget and
added to the ticker's events, but never raised into a cell.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import anywidget
import ipywidgets
import traitlets

from kitepolars.errors import KitePolarsError
from kitepolars.widgets.host import asset, cell_watch, keep_browser_routing
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.recording import Recordable, Recording
from kitepolars.widgets.threads import PUBLISHER, Publisher

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

WITHOUT_BUTTONS: Final = (
    "marimo hosts no plain ipywidgets, so the buttons, menus and tabs between these parts are left "
    "out. `ticker.subscribe()`, `ticker.set_mode()`, `ticker.unsubscribe()` and `ticker.alert()` "
    "do what they do."
)
"""What marimo shows below the parts of a composite."""


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


def error_text(error: BaseException) -> str:
    """Return an error as one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_ERROR_TEXT else f"{text[: MAX_ERROR_TEXT - 1]}…"


class Faults:
    """Reports the faults of a widget in the ticker's events. Any thread.

    Parameters
    ----------
    ticker
        The ticker.
    widget
        The name of the widget.
    """

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


class LiveWidget(Recordable, anywidget.AnyWidget):
    """A widget whose views the UI thread keeps current.

    Parameters
    ----------
    ticker
        The ticker that it shows.
    publisher
        The UI thread; tests pass another one.
    traits
        Values of the subclass's traits.
    """

    _css = asset("widgets.css")

    refresh_every: ClassVar[float] = 0.0
    """Least number of seconds between two messages."""

    recording = traitlets.Dict().tag(sync=True)
    """What `record` kept; a page without a kernel plays it."""

    def __init__(
        self,
        ticker: WatchedTicker,
        *,
        publisher: Publisher | None = None,
        traits: Mapping[str, Any],
    ) -> None:
        self.ticker = ticker
        self._publisher = PUBLISHER if publisher is None else publisher
        self._cells = cell_watch()
        self._guard = threading.Lock()
        self._views: dict[str, float] = {}
        self._wants_snapshot = False
        self._sequence = 0
        self._sent_at = float("-inf")
        self._recordings: tuple[Recording, ...] = ()
        self._notice = Notice()
        self._faults = Faults(ticker, type(self).__name__)
        super().__init__(**traits)
        keep_browser_routing(self)
        self.on_msg(self._receive)

    # -- what a subclass defines -------------------------------------------------------------

    @abstractmethod
    def snapshot(self, reading: Reading) -> Update:
        """Return everything that a view shows."""

    @abstractmethod
    def changes(self, reading: Reading) -> Update | None:
        """Return what changed since the last message, None if nothing did."""

    def handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Handle a message of a view that is the subclass's own."""

    def release(self) -> None:
        """Free what is needed only while a view is on a page."""

    # -- messages of the browser, on any thread ----------------------------------------------

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
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
            self.attempt(lambda: self.handle(kind, content))
        self._publisher.serve(self)

    def attempt(self, act: Callable[[], None]) -> None:
        """Call a function for a view; the widget shows its error."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 (a view never raises into a cell)
            self._faults.report_unexpected(error)
            self._notice.show_briefly(error_text(error))

    def close(self) -> None:
        """Close the widget for good, and its views."""
        vars(self).get("_views", {}).clear()  # the constructor may have failed before
        super().close()
        close_looks(self)

    # -- recordings --------------------------------------------------------------------------

    def pictures(self) -> Sequence[LiveWidget]:
        """Return the widget itself."""
        return [self]

    def start_recording(self) -> Recording:
        """Record what is sent to views from now on; the recording counts as a view."""
        recording = Recording()
        with self._guard:
            self._recordings = (*self._recordings, recording)
        self._receive(self, {"kind": "ready", "view": _view_of(recording)}, [])
        return recording

    def stop_recording(self, recording: Recording) -> None:
        """End a recording and make it the widget's, unless it is empty."""
        with self._guard:
            self._recordings = tuple(each for each in self._recordings if each is not recording)
        self._receive(self, {"kind": "gone", "view": _view_of(recording)}, [])
        if recording.wait(0):
            self.recording = recording.state()

    def page_state(self) -> Mapping[str, Any]:
        """Return what a page needs to show the widget: its script and its own traits."""
        own = self.traits(sync=True).keys() - ipywidgets.DOMWidget.class_traits(sync=True).keys()
        traits = {name: getattr(self, name) for name in sorted(own) if not name.startswith("_")}
        return {"script": self._esm, "traits": traits}

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
        """Return whether enough time has passed since the last message."""
        return self._wants_snapshot or now - self._sent_at >= EARLY * self.refresh_every

    def publish(self, reading: Reading) -> None:
        """Send one message: a snapshot if a view asked for one, otherwise the changes."""
        began = time.monotonic()
        with self._guard:
            snapshot, self._wants_snapshot = self._wants_snapshot, False
        try:
            update = self.snapshot(reading) if snapshot else self.changes(reading)
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
            self.send(content, list(update.buffers))
        except Exception as error:  # noqa: BLE001 (the channel is closed: the kernel may be ending)
            self._faults.report(error)
            with self._guard:
                self._views.clear()


class Composite(Recordable, ipywidgets.VBox):  # type: ignore[misc]
    """A widget made of others, which it owns: they are closed with it."""

    def parts(self) -> Iterator[Any]:
        """Yield every widget inside it, this one last."""
        yield from _inside(self)
        yield self

    def recorded(self) -> list[LiveWidget]:
        """Return every live widget inside it, those of its panels too."""
        return [part for part in self.parts() if isinstance(part, LiveWidget)]

    def _display_(self) -> Any:
        """Return what marimo shows, which calls this: it hosts anywidgets, but no ipywidgets."""
        import marimo  # noqa: PLC0415 - only there

        shown = [part for part in self.parts() if isinstance(part, anywidget.AnyWidget)]
        return marimo.vstack([*shown, marimo.md(WITHOUT_BUTTONS)])

    def close(self) -> None:
        """Close the widget and all its parts for good."""
        for part in tuple(self.parts()):
            if part is not self:
                part.close()
            close_looks(part)
        super().close()


def close_looks(widget: Any) -> None:
    """Close a widget's layout and style, which are widgets that would otherwise stay open."""
    for name in ("layout", "style"):
        if isinstance(look := getattr(widget, name, None), ipywidgets.Widget):
            look.close()


def _inside(widget: Any) -> Iterator[Any]:
    for child in getattr(widget, "children", ()):
        yield from _inside(child)
        yield child


def _view_of(recording: Recording) -> str:
    return f"recording-{id(recording)}"
