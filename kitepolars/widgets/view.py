"""The base classes of all widgets: one that has views, and one made of several. Any thread."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import anywidget
import ipywidgets
import traitlets

from kitepolars.widgets.channel import Channel, Hooks, Update
from kitepolars.widgets.host import asset, keep_browser_routing
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.recording import Recordable
from kitepolars.widgets.threads import Publisher

WITHOUT_BUTTONS: Final = (
    "marimo hosts no plain ipywidgets, so the buttons, menus and tabs between these parts are left "
    "out. `ticker.subscribe()`, `ticker.set_mode()`, `ticker.unsubscribe()` and `ticker.alert()` "
    "do what they do."
)
"""What marimo shows below the parts of a composite."""


class LiveWidget(Recordable, anywidget.AnyWidget):
    """A widget whose views the UI thread keeps current, through its `Channel`.

    Parameters
    ----------
    ticker
        The ticker that it shows.
    publisher
        The UI thread; tests pass another one.
    traits
        Values of the subclass's traits.

    Attributes
    ----------
    ticker
        The ticker that it shows.
    recording
        What `record` kept; a page without a kernel plays it.
    """

    _css = asset("widgets.css")

    _refresh_every: ClassVar[float] = 0.0
    """Least number of seconds between two messages."""

    recording = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        *,
        publisher: Publisher | None = None,
        traits: Mapping[str, Any],
    ) -> None:
        self.ticker = ticker
        hooks = Hooks(
            snapshot=self._snapshot,
            changes=self._changes,
            release=self._release,
            handle=self._handle,
            send=self._send_to_views,
            page_state=self._page_state,
            keep=partial(setattr, self, "recording"),
        )
        self._channel = Channel(
            ticker, type(self).__name__, hooks, every=self._refresh_every, publisher=publisher
        )
        super().__init__(**traits)
        keep_browser_routing(self)
        self.on_msg(lambda _widget, content, _buffers: self._channel.receive(content))

    # -- what a subclass defines -------------------------------------------------------------

    @abstractmethod
    def _snapshot(self, reading: Reading) -> Update:
        """Return everything that a view shows."""

    @abstractmethod
    def _changes(self, reading: Reading) -> Update | None:
        """Return what changed since the last message, None if nothing did."""

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Handle a message of a view that is the subclass's own."""

    def _release(self) -> None:
        """Free what is needed only while a view is on a page."""

    # -- what its channel calls --------------------------------------------------------------

    def _send_to_views(self, content: dict[str, Any], buffers: list[Any]) -> None:
        self.send(content, buffers)

    def _page_state(self) -> Mapping[str, Any]:
        """Return what a page needs to show the widget: its script and its own traits."""
        own = self.traits(sync=True).keys() - ipywidgets.DOMWidget.class_traits(sync=True).keys()
        traits = {name: getattr(self, name) for name in sorted(own) if not name.startswith("_")}
        return {"script": self._esm, "traits": traits}

    # ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the widget and its views."""
        if "_channel" in vars(self):  # the constructor may have failed before
            self._channel.close()
        super().close()
        close_looks(self)

    def _pictures(self) -> Sequence[Channel]:
        """Return the widget's own channel."""
        return [self._channel]


class Composite(Recordable, ipywidgets.VBox):  # type: ignore[misc]
    """A widget made of others, which it owns: they are closed with it."""

    def _parts(self) -> Iterator[Any]:
        """Yield every widget inside it, this one last."""
        yield from _inside(self)
        yield self

    def _recorded(self) -> list[Channel]:
        """Return those of every live widget inside it, in its panels too."""
        return [channel_of(part) for part in self._parts() if isinstance(part, LiveWidget)]

    def _display_(self) -> Any:
        """Return what marimo shows, which calls this: it hosts anywidgets, but no ipywidgets."""
        import marimo  # noqa: PLC0415 - only there

        shown = [part for part in self._parts() if isinstance(part, anywidget.AnyWidget)]
        return marimo.vstack([*shown, marimo.md(WITHOUT_BUTTONS)])

    def close(self) -> None:
        """Close the widget and all its parts."""
        for part in tuple(self._parts()):
            if part is not self:
                part.close()
            close_looks(part)
        super().close()


def channel_of(widget: LiveWidget) -> Channel:
    """Return the channel of a widget, for one that has it as a part."""
    return widget._channel  # noqa: SLF001 - the one way to it from outside


def close_looks(widget: Any) -> None:
    """Close a widget's layout and style, which are widgets that would otherwise stay open."""
    for name in ("layout", "style"):
        if isinstance(look := getattr(widget, name, None), ipywidgets.Widget):
            look.close()


def _inside(widget: Any) -> Iterator[Any]:
    for child in getattr(widget, "children", ()):
        yield from _inside(child)
        yield child
