"""The search box of the subscription panel: instruments as one types. UI thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import polars as pl

from kitepolars.widgets.hits import found, marked
from kitepolars.widgets.publisher import TICK, Publisher, Reading
from kitepolars.widgets.surface import Feed
from kitepolars.widgets.view import LiveWidget, Message, asset

_HINT: Final = "Type a symbol, a name, an expiry or a strike. ↑ ↓ choose, Enter subscribes."
_UNKNOWN: Final = "Nothing is called like that."
_NO_INSTRUMENTS: Final = (
    "This ticker knows no instruments. Give it some: "
    "kp.Ticker(…, instruments=kp.Instruments.fetch()); or paste tokens below."
)


class InstrumentSearch(LiveWidget):
    """A search box over the ticker's instruments, ranked, for mouse and keyboard.

    Parameters
    ----------
    ticker
        Whose instruments are searched.
    add
        Called with the tokens that were chosen, on any thread.
    publisher
        The UI thread; one of its own for tests.
    """

    _esm = asset("search.js")

    every = TICK

    def __init__(
        self,
        ticker: Feed,
        *,
        add: Callable[[list[int]], None],
        publisher: Publisher | None = None,
    ) -> None:
        self._add = add
        self._text = ""
        self._answered: tuple[str, pl.DataFrame] = ("", pl.DataFrame())
        self.picked: list[int] = []
        super().__init__(ticker, publisher=publisher, traits={})

    def heard(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take what was typed, or what was chosen."""
        if kind == "query":
            self._text = str(content["text"]).strip()
        elif kind == "picked":
            self.picked = [int(token) for token in content["tokens"]]
        elif kind == "add":
            self._add([int(token) for token in content["tokens"]])

    def snapshot(self, reading: Reading) -> Message:
        """Return what was found for the text as it is now."""
        text = self._text
        hits = marked(found(self.feed, text), reading.subscriptions)
        self._answered = (text, reading.subscriptions)
        return Message({"text": text, "hits": hits, "hint": self._hint(text)}, whole=True)

    def changes(self, reading: Reading) -> Message | None:
        """Answer again if the text or the subscriptions have changed."""
        text, subscriptions = self._answered
        same = self._text == text and reading.subscriptions.equals(subscriptions)
        return None if same else self.snapshot(reading)

    def _hint(self, text: str) -> str:
        if self.feed.instruments is None:
            return _NO_INSTRUMENTS
        return _UNKNOWN if text else _HINT
