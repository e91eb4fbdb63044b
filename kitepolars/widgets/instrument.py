"""What views of one instrument share, and the selection that they follow. Any thread.

A click on an instrument, in the table or the option chain, is shown by the chart and the ladder
of the same ticker that were made last; their "Follow" button changes that.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import traitlets

from kitepolars.widgets.reading import Reading, WatchedTicker, symbol_of, tokens_of
from kitepolars.widgets.threads import Publisher
from kitepolars.widgets.view import LiveWidget
from kitepolars.wire.layouts import Mode

_views_lock: Final = threading.Lock()
_views: Final[weakref.WeakSet[InstrumentView]] = weakref.WeakSet()


class InstrumentView(LiveWidget):
    """A widget that shows one instrument.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token; None for none yet.
    publisher
        The UI thread; tests pass another one.
    traits
        Values of the subclass's traits.

    Attributes
    ----------
    instrument_token
        Token of the instrument shown; 0 for none.
    follows
        Whether a click on another instrument, in a table or a chain, shows it here.

    Raises
    ------
    UnknownInstrument
        If the name is unknown.
    """

    instrument_token = traitlets.Int()
    follows = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int | None,
        *,
        publisher: Publisher | None,
        traits: Mapping[str, Any],
    ) -> None:
        (token,) = [0] if instrument is None else tokens_of(ticker, instrument)
        traits = {**traits, "instrument_token": token}
        super().__init__(ticker, publisher=publisher, traits=traits)
        for other in _views_of(ticker):
            # The last one made follows. Adding traits has given each widget its own class.
            if type(other).__name__ == type(self).__name__:
                other.follows = False
        with _views_lock:
            _views.add(self)

    @property
    def instrument(self) -> str:
        """The instrument shown. Set a name or a token to show another."""
        return symbol_of(self.ticker, self.instrument_token)

    @instrument.setter
    def instrument(self, instrument: str | int) -> None:
        (self.instrument_token,) = tokens_of(self.ticker, instrument)
        self._channel.refresh()

    def subscribe(self, mode: str | None = None) -> None:
        """Subscribe the instrument, on the command thread; the widget shows an error."""
        ask = partial(self.ticker.subscribe, [self.instrument_token], mode=mode)
        self._channel.post(ask)

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Subscribe in mode full, when the view's button was pressed."""
        if kind == "full":
            self.subscribe(Mode.FULL)

    def close(self) -> None:
        """Close the widget and its views."""
        with _views_lock:
            _views.discard(self)
        super().close()


def select_instrument(ticker: WatchedTicker, instrument_token: int) -> None:
    """Show an instrument in the views of a ticker that follow the selection."""
    for view in _views_of(ticker):
        if view.follows:
            view.instrument = instrument_token


def last_tick(reading: Reading, instrument_token: int) -> dict[str, Any] | None:
    """Return the last tick of an instrument, None if there is none."""
    rows = reading.latest_of(np.array([instrument_token], np.uint32))
    return rows.row(0, named=True) if rows.height else None


def is_subscribed(reading: Reading, instrument_token: int) -> bool:
    """Return whether an instrument is subscribed."""
    return instrument_token in reading.subscriptions["instrument_token"]


def _views_of(ticker: WatchedTicker) -> list[InstrumentView]:
    with _views_lock:
        return [view for view in _views if view.ticker is ticker]
