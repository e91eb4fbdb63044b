"""The kernel's end of the line to a widget's views. UI thread; messages arrive on any thread.

A view says ``ready`` until it gets a snapshot; numbered deltas follow, one
message per refresh, and a sign of life each second when nothing changed. What
fails while a message is made is shown in the widget, in words, and told in the
ticker's events, but never raised into a cell. Subclasses say what a snapshot
and a change are.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import anywidget
import ipywidgets
import traitlets

from kitepolars.errors import KitePolarsError
from kitepolars.widgets.failures import Faults, in_words
from kitepolars.widgets.kernel import cell_watch
from kitepolars.widgets.publisher import PUBLISHER, Publisher, Reading
from kitepolars.widgets.recording import (
    Recording,
    record,
    record_before_display,
    write_page,
)
from kitepolars.widgets.routing import keep_browser_routing
from kitepolars.widgets.surface import Feed

STATIC: Final = Path(__file__).parent / "static"
"""The bundles that the package's build makes of ``frontend/``."""

SILENCE: Final = 90.0
"""Seconds without a word after which a view is gone; hidden pages speak once a minute."""
SIGN_OF_LIFE: Final = 1.0
"""Seconds after which something is sent even if nothing changed."""
EARLY: Final = 0.9
"""A view may be refreshed by this share of its interval early, rather than a tick late."""
NOTICE_SECONDS: Final = 8.0
"""How long a widget shows that something asked of it failed."""


def asset(name: str) -> str:
    """Return the text of a bundle.

    The text and not the path: of a path, anywidget would watch the file, and the signal that
    it connects for that keeps every widget, closed or not, for the life of the process.

    Raises
    ------
    KitePolarsError
        If the front end has not been built.
    """
    path = STATIC / name
    if not path.is_file():
        raise KitePolarsError(
            f"the widgets' front end is not built ({path} is missing): "
            "install the package again, or run `python hatch_build.py` in a clone"
        )
    return path.read_text("utf-8")


@dataclass(frozen=True)
class Message:
    """What a view is sent: JSON content and binary columns beside it.

    Parameters
    ----------
    content
        What goes as JSON.
    buffers
        What goes as bytes.
    whole
        Whether a view needs nothing else to paint.
    """

    content: Mapping[str, Any] = field(default_factory=dict)
    buffers: Sequence[bytes | memoryview] = ()
    whole: bool = False


class Notice:
    """The line of text in which a widget says that something failed."""

    def __init__(self) -> None:
        self._standing = ""
        self._passing = ""
        self._until = float("-inf")
        self._told = ""

    def stand(self, text: str) -> bool:
        """Show a text until another takes its place, an empty one for none; say if it is new."""
        is_new, self._standing = text != self._standing, text
        return is_new

    def pass_by(self, text: str) -> None:
        """Show a text for a while."""
        self._passing, self._until = text, time.monotonic() + NOTICE_SECONDS

    def to_tell(self, *, anew: bool) -> str | None:
        """Return the text if the views do not show it yet."""
        text = self._standing or (self._passing if time.monotonic() < self._until else "")
        if text == self._told and not anew:
            return None
        self._told = text
        return text


class LiveWidget(anywidget.AnyWidget):
    """A widget whose views are fed by the UI thread.

    Parameters
    ----------
    feed
        The ticker that it shows.
    every
        Seconds between two messages at least.
    publisher
        The UI thread; one of its own for tests.
    traits
        Values of the traits of the subclass.
    """

    _css = asset("widgets.css")

    every: ClassVar[float] = 0.0

    recording = traitlets.Dict().tag(sync=True)
    """What `record` kept: a page without a kernel plays it."""

    def __init__(
        self, feed: Feed, *, publisher: Publisher | None = None, traits: Mapping[str, Any]
    ) -> None:
        self.feed = feed
        self._publisher = PUBLISHER if publisher is None else publisher
        self._cells = cell_watch()
        self._guard = threading.Lock()
        self._views: dict[str, float] = {}
        self._wants_snapshot = False
        self._sequence = 0
        self._sent_at = float("-inf")
        self._recordings: tuple[Recording, ...] = ()
        self._notice = Notice()
        self._faults = Faults(feed, type(self).__name__)
        super().__init__(**traits)
        keep_browser_routing(self)
        self.on_msg(self._receive)

    # What a subclass says.

    @abstractmethod
    def snapshot(self, reading: Reading) -> Message:
        """Return everything that a view needs."""

    @abstractmethod
    def changes(self, reading: Reading) -> Message | None:
        """Return what changed since the last message, if anything did."""

    def heard(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a message of a view other than those of the line itself."""

    def forgotten(self) -> None:
        """Let go of what is only needed while somebody looks."""

    # What the browser says; on any thread.

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Note who is there, and hand the rest on. Malformed messages are ignored."""
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
            self.attempt(lambda: self.heard(kind, content))
        self._publisher.serve(self)

    def attempt(self, act: Callable[[], None]) -> None:
        """Do something on behalf of a view; what fails is shown in it."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 (a view never raises into a cell)
            self._faults.tell_unless_in_vain(error)
            self._notice.pass_by(in_words(error))

    def close(self) -> None:
        """Close the widget for good: its views are gone."""
        vars(self).get("_views", {}).clear()  # the constructor may have failed before
        super().close()
        close_looks(self)

    # What is kept for pages without a kernel.

    def record(self, seconds: float = 0.0) -> None:
        """Keep what the widget shows in its state, for pages without a kernel.

        A notebook that is saved or converted with the widget's state then shows it.

        Parameters
        ----------
        seconds
            For how long, at most 60, while this call waits: the page plays it again and
            again. With 0, a still picture.

        Raises
        ------
        ConfigError
            If `seconds` is out of range.
        """
        record([self], seconds)

    def export_html(
        self, path: str | Path, *, seconds: float = 0.0, title: str | None = None
    ) -> Path:
        """Write the widget as an HTML file that needs neither kernel nor network.

        Parameters
        ----------
        path
            The file; one that exists is replaced.
        seconds
            How long to record what the page plays; with 0, a still picture.
        title
            The page's title; the kind of widget by default.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ConfigError
            If `seconds` is out of range.
        OSError
            If the file cannot be written.
        """
        return export_html([self], path, seconds=seconds, title=title or type(self).__name__)

    def start_recording(self) -> Recording:
        """Record from now on what is sent to views, this recording being one of them."""
        recording = Recording()
        with self._guard:
            self._recordings = (*self._recordings, recording)
        self._receive(self, {"kind": "ready", "view": _view_of(recording)}, [])
        return recording

    def stop_recording(self, recording: Recording) -> None:
        """End a recording, and keep it as the widget's own."""
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

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        record_before_display([self])
        return super()._repr_mimebundle_(**keywords)

    # What the UI thread asks.

    def is_live(self) -> bool:
        """Say whether a view of this widget is on a page."""
        listening = self._cells.listening_since()
        with self._guard:
            if listening is not None:
                now = time.monotonic()
                self._views = {
                    view: at
                    for view, at in self._views.items()
                    if now - max(at, listening) < SILENCE
                }
            return bool(self._views)

    def is_due(self, now: float) -> bool:
        """Say whether enough time has passed since the last message."""
        return self._wants_snapshot or now - self._sent_at >= EARLY * self.every

    def rest(self) -> None:
        """Let go of what was held for the views."""
        self.forgotten()

    def publish(self, reading: Reading) -> None:
        """Send one message: a snapshot if a view asked for one, else what changed."""
        began = time.monotonic()
        with self._guard:
            snapshot, self._wants_snapshot = self._wants_snapshot, False
        try:
            message = self.snapshot(reading) if snapshot else self.changes(reading)
            self._notice.stand("")
        except Exception as error:  # noqa: BLE001 (shown in the widget, never raised)
            if self._notice.stand(in_words(error)):
                self._faults.tell(error)
            message = None
            self._wants_snapshot = True
        self._tell(message, began)

    def _tell(self, message: Message | None, now: float) -> None:
        whole = message is not None and message.whole
        notice = self._notice.to_tell(anew=whole)
        if message is None and notice is None and now - self._sent_at < SIGN_OF_LIFE:
            return
        message = Message() if message is None else message
        self._sent_at = now
        self._sequence += 1
        content = {} if notice is None else {"notice": notice}
        line = {
            "kind": "snapshot" if whole else "delta",
            "seq": self._sequence,
            "clock": time.time() * 1000,
        }
        whole_content = {**content, **message.content, **line}
        for recording in self._recordings:
            recording.take(whole_content, message.buffers)
        try:
            self.send(whole_content, list(message.buffers))
        except Exception as error:  # noqa: BLE001 (nobody can be reached: the kernel may be going)
            self._faults.tell(error)
            with self._guard:
                self._views.clear()


class Composite(ipywidgets.VBox):  # type: ignore[misc]
    """A widget made of others, which it owns: they are closed with it."""

    def parts(self) -> Iterator[Any]:
        """Yield every widget inside it, this one last."""
        yield from _inside(self)
        yield self

    def pictures(self) -> list[LiveWidget]:
        """Return the parts that a page without a kernel shows, in order."""
        return [part for part in self.parts() if isinstance(part, LiveWidget)]

    def record(self, seconds: float = 0.0) -> None:
        """Keep what every part shows in its state; as `LiveWidget.record`."""
        record(self.pictures(), seconds)

    def export_html(
        self, path: str | Path, *, seconds: float = 0.0, title: str | None = None
    ) -> Path:
        """Write the parts as one HTML file; as `LiveWidget.export_html`."""
        name = title or type(self).__name__
        return export_html(self.pictures(), path, seconds=seconds, title=name)

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        record_before_display(self.pictures())
        return super()._repr_mimebundle_(**keywords)

    def close(self) -> None:
        """Close the widget and all its parts for good."""
        for part in tuple(self.parts()):
            if part is not self:
                part.close()
            close_looks(part)
        super().close()


def export_html(
    widgets: Sequence[LiveWidget], path: str | Path, *, seconds: float, title: str
) -> Path:
    """Record widgets, and write them as one page."""
    record(widgets, seconds)
    css, script = asset("widgets.css"), asset("page.js")
    return write_page(path, widgets, css=css, script=script, title=title)


def _view_of(recording: Recording) -> str:
    return f"recording-{id(recording)}"


def close_looks(widget: Any) -> None:
    """Close the layout and the style of a widget: models of their own that outlive it else."""
    for name in ("layout", "style"):
        if isinstance(look := getattr(widget, name, None), ipywidgets.Widget):
            look.close()


def _inside(widget: Any) -> Iterator[Any]:
    for child in getattr(widget, "children", ()):
        yield from _inside(child)
        yield child
