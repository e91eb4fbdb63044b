"""The subscription panel, ``ticker.controls()``: ipywidgets around a search box and a list.

The kernel runs callbacks on any thread; they only post commands. The command thread calls the
ticker, the UI thread refreshes the panel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import ipywidgets
import polars as pl

from kitepolars.errors import KitePolarsError, UnknownInstrument
from kitepolars.widgets import watchlist
from kitepolars.widgets.channel import Channel, Faults, error_text
from kitepolars.widgets.host import keep_browser_routing
from kitepolars.widgets.markup import message, meters, status_line
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.search import SearchBox
from kitepolars.widgets.subscriptions import SubscriptionChange, SubscriptionList, modes_of
from kitepolars.widgets.threads import COMMANDS, CommandQueue, Publisher
from kitepolars.widgets.view import Composite, channel_of
from kitepolars.wire.layouts import MODES, Mode

UNDO_DEPTH: Final = 50
"""Number of changes that can be undone."""
NAMES_SHOWN: Final = 5
"""Unknown names listed in a message."""


class Controls(Composite):
    """The subscriptions of a ticker by hand: search, subscribe, change modes, remove, undo.

    Parameters
    ----------
    ticker
        The ticker.
    mode
        The mode that is selected at first for new subscriptions; the ticker's default mode
        if None.
    watch_list
        The file name proposed for saving and loading.
    publisher, commands
        The UI thread and the command thread; its own ones for tests.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Controls
    >>> ticker = kp.demo()
    >>> controls = Controls(ticker, mode="full")
    >>> ticker.stop()
    """

    def __init__(
        self,
        ticker: WatchedTicker,
        *,
        mode: Mode | str | None = None,
        watch_list: str = "watchlist.txt",
        publisher: Publisher | None = None,
        commands: CommandQueue | None = None,
    ) -> None:
        self._ticker = ticker
        self._commands = COMMANDS if commands is None else commands
        self._faults = Faults(ticker, type(self).__name__)
        self._undo: list[SubscriptionChange] = []
        self._search = SearchBox(ticker, add=self._add, publisher=publisher)
        self._subscribed = SubscriptionList(
            ticker, remove=self._remove, on_reading=self._refresh, publisher=publisher
        )
        self._make_parts(Mode(ticker.default_mode if mode is None else mode), watch_list)
        super().__init__(self._arranged())
        self.add_class("kp")
        self.add_class("kp-controls")
        for part in self._parts():
            keep_browser_routing(part)

    def _pictures(self) -> list[Channel]:
        """Return that of the list of subscriptions; everything else needs a kernel."""
        return [channel_of(self._subscribed)]

    # -- the parts ---------------------------------------------------------------------------

    def _make_parts(self, mode: Mode, watch_list: str) -> None:
        self._status = ipywidgets.HTML()
        self._meters = ipywidgets.HTML()
        self._message = ipywidgets.HTML(message(""))
        self._mode = ipywidgets.ToggleButtons(
            options=[each.value for each in MODES], value=mode.value, style={"button_width": "58px"}
        )
        self._mode.add_class("kp-mode")
        self._add_button = self._button("Subscribe", "plus", self._add_picked, "primary")
        self._remove_button = self._button("Remove", "trash", self._remove_selected)
        self._mode_buttons = {
            each: self._button(each.value, "", partial(self._set_mode, each), width="58px")
            for each in MODES
        }
        self._undo_button = self._button("Undo", "undo", self._undo_last)
        self._start_button = self._button("Start", "play", self._start)
        self._stop_button = self._button("Stop", "stop", self._stop)
        self._paste = ipywidgets.Textarea(
            placeholder="NSE:INFY full\nNSE:NIFTY 50 ltp\n408065, 738561", rows=4
        )
        self._paste.layout.width = "100%"
        self._paste_button = self._button(
            "Subscribe these", "plus", self._add_pasted, width="160px"
        )
        self._file = ipywidgets.Text(watch_list, placeholder="file name")
        self._load_button = self._button("Load", "folder-open", self._load)
        self._save_button = self._button("Save", "save", self._save)

    def _button(
        self, label: str, icon: str, act: Callable[[], None], style: str = "", width: str = "auto"
    ) -> Any:
        button = ipywidgets.Button(description=label, icon=icon, button_style=style)
        button.layout.width = width
        button.on_click(lambda _: self._attempt(act))
        return button

    def _arranged(self) -> list[Any]:
        top = _row(self._status, self._start_button, self._stop_button, self._undo_button)
        adding = _column(
            self._search, _row(ipywidgets.Label("In mode"), self._mode, self._add_button)
        )
        holding = _column(
            self._subscribed,
            _row(ipywidgets.Label("Selected:"), *self._mode_buttons.values(), self._remove_button),
        )
        both = ipywidgets.HBox([adding, holding])
        both.add_class("kp-columns")
        more = ipywidgets.Accordion(
            [
                ipywidgets.VBox([self._paste, self._paste_button]),
                _row(self._file, self._load_button, self._save_button),
            ],
            titles=("Paste a list", "Watch list in a file"),
        )
        return [top, both, self._message, self._meters, more]

    # -- the buttons: each posts a command ---------------------------------------------------

    def _add_picked(self) -> None:
        self._add(self._search.picked)

    def _add(self, tokens: list[int]) -> None:
        mode = Mode(self._mode.value)
        if not tokens:
            self._say("Search first, then choose instruments.", "error")
            return
        self._post(lambda: self._ticker.subscribe(tokens, mode=mode))

    def _selected(self) -> list[int]:
        tokens = list(self._subscribed.selected)
        if not tokens:
            self._say("Select rows in the list first.", "error")
        return tokens

    def _remove_selected(self) -> None:
        self._remove(self._selected())

    def _remove(self, tokens: list[int]) -> None:
        if tokens:
            self._post(lambda: self._ticker.unsubscribe(tokens))

    def _set_mode(self, mode: Mode) -> None:
        if tokens := self._selected():
            self._post(lambda: self._ticker.set_mode(tokens, mode))

    def _start(self) -> None:
        self._say("Connecting …")
        self._post(self._ticker.start, done="Started.")

    def _stop(self) -> None:
        self._post(self._ticker.stop, done="Stopped. Subscriptions are kept.")

    def _undo_last(self) -> None:
        self._commands.post(lambda: self._attempt(self._undo_now))

    def _undo_now(self) -> None:
        if not self._undo:
            self._say("Nothing to undo.", "error")
            return
        change = self._undo.pop()
        change.undo(self._ticker)
        self._say(f"Undone: {change}.", "good")

    def _add_pasted(self) -> None:
        text, mode = self._paste.value, Mode(self._mode.value)
        self._post(lambda: self._subscribe_list(watchlist.parse(text, mode)))

    def _load(self) -> None:
        path, mode = self._file.value, Mode(self._mode.value)
        self._post(lambda: self._subscribe_list(watchlist.load(path, mode)))

    def _save(self) -> None:
        path = self._file.value
        self._commands.post(lambda: self._attempt(lambda: self._save_now(path)))

    def _save_now(self, path: str) -> None:
        name = pl.coalesce(pl.col("symbol").cast(str), pl.col("instrument_token").cast(str))
        rows = self._ticker.subscriptions().select(name.alias("name"), pl.col("mode").cast(str))
        file = watchlist.save(path, rows.iter_rows())
        self._say(f"Saved {rows.height:,} instruments to {file}.", "good")

    def _subscribe_list(self, entries: dict[str | int, Mode]) -> None:
        """Subscribe the known names, then raise for the unknown ones."""
        known: dict[int, str] = {}
        unknown: list[str] = []
        for name, mode in entries.items():
            try:
                known.update(dict.fromkeys(self._ticker.instruments.tokens([name]), mode))
            except UnknownInstrument as error:
                unknown.append(str(error))
        for mode, tokens in watchlist.by_mode(known).items():
            self._ticker.subscribe(tokens, mode=mode)
        if unknown:
            more = len(unknown) - NAMES_SHOWN
            rest = [f"… and {more:,} more"] if more > 0 else []
            raise _PartlyUnknownError("\n".join([*unknown[:NAMES_SHOWN], *rest]))

    # -- on the command thread ---------------------------------------------------------------

    def _post(self, act: Callable[[], object], *, done: str = "") -> None:
        self._commands.post(lambda: self._attempt(lambda: self._run(act, done)))

    def _run(self, act: Callable[[], object], done: str) -> None:
        """Run a command, show what it changed, and keep that for undo."""
        before = modes_of(self._ticker.subscriptions())
        try:
            act()
        finally:
            change = SubscriptionChange.between(before, modes_of(self._ticker.subscriptions()))
            if change:
                self._undo = [*self._undo[1 - UNDO_DEPTH :], change]
        self._say(done or f"{str(change)[0].upper()}{str(change)[1:]}.", "good")

    # -- on any thread -----------------------------------------------------------------------

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 (the panel shows it)
            self._faults.report_unexpected(error)
            text = str(error) if isinstance(error, _PartlyUnknownError) else error_text(error)
            self._say(text, "error")
        finally:
            channel_of(self._subscribed).refresh()

    def _say(self, text: str, tone: str = "") -> None:
        self._message.value = message(text, tone)

    # -- on the UI thread --------------------------------------------------------------------

    def _refresh(self, reading: Reading) -> None:
        running = reading.ticker.is_running
        _set(self._status, value=status_line(reading.connections, running=running))
        _set(self._meters, value=meters(reading.connections))
        _set(self._start_button, disabled=running)
        _set(self._stop_button, disabled=not running)
        _set(self._undo_button, disabled=not self._undo)


class _PartlyUnknownError(KitePolarsError):
    """Some names of a list are unknown; the others are subscribed."""


def _set(part: Any, **values: object) -> None:
    """Set the attributes that differ: ipywidgets would send equal values, too."""
    for name, value in values.items():
        if getattr(part, name) != value:
            setattr(part, name, value)


def _row(*parts: Any) -> Any:
    row = ipywidgets.HBox(parts)
    row.add_class("kp-tools")
    return row


def _column(*parts: Any) -> Any:
    column = ipywidgets.VBox(parts)
    column.add_class("kp-column")
    return column
