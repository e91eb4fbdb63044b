"""The five-level order book, ``ticker.ladder()``: each message is the whole book. UI thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from kitepolars.widgets.channel import Update, milliseconds
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import InstrumentView, is_subscribed, last_tick
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.wire.layouts import DEPTH_LEVELS, SEGMENT_MASK, SEGMENTS, Mode

PLACES: Final = (
    "bid_orders",
    "bid_quantity",
    "bid_price",
    "ask_price",
    "ask_quantity",
    "ask_orders",
)
"""Columns of a level, in the order in which the view reads them."""

FACTS: Final = (
    "last_price",
    "last_traded_quantity",
    "average_traded_price",
    "volume_traded",
    "total_buy_quantity",
    "total_sell_quantity",
)
"""Columns of ``latest()`` that are sent as they are."""


class Ladder(InstrumentView):
    """The order book of one instrument, with quantity bars, spread and imbalance.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token. The book needs mode full, which the widget offers to subscribe.
    publisher
        The UI thread; tests pass another one.

    Raises
    ------
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Ladder
    >>> ticker = kp.demo()
    >>> ladder = Ladder(ticker, "NSE:INFY")
    >>> ladder.instrument = "NSE:RELIANCE"
    >>> ticker.stop()
    """

    _esm = asset("ladder.js")

    _refresh_every = TICK

    def __init__(
        self, ticker: WatchedTicker, instrument: str | int, *, publisher: Publisher | None = None
    ) -> None:
        self._shown: object = None
        super().__init__(ticker, instrument, publisher=publisher, traits={})

    def _snapshot(self, reading: Reading) -> Update:
        """Return the whole book."""
        row = last_tick(reading, self.instrument_token)
        self._shown = self._state(row)
        token = self.instrument_token
        content = {
            "symbol": self.instrument,
            "label": labels_of(self.ticker, [token])[0],
            **_advice(token, row, subscribed=is_subscribed(reading, token)),
        }
        if row is None:
            return Update({**content, "received_at": None}, whole=True)
        book = _book(row)
        buffers = [] if book is None else [book.tobytes()]
        return Update({**content, **_figures(row)}, buffers, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the whole book after a new tick or a change of instrument."""
        same = self._state(last_tick(reading, self.instrument_token)) == self._shown
        return None if same else self._snapshot(reading)

    def _state(self, row: Mapping[str, Any] | None) -> object:
        return (self.instrument_token, None if row is None else (row["received_at"], row["mode"]))


def _book(row: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if row["bid_price"] is None:
        return None
    return np.array([row[place] for place in PLACES], np.float64).T.copy()


def _advice(token: int, row: Mapping[str, Any] | None, *, subscribed: bool) -> dict[str, Any]:
    """Return why there is no book, and the button that would bring one."""
    segment = SEGMENTS.get(token & SEGMENT_MASK)
    if segment is not None and not segment.tradable:
        return {"advice": "An index is not traded: it has no order book."}
    if not subscribed:
        return {"advice": "Not subscribed.", "offer": "Subscribe in full"}
    if row is not None and row["mode"] != Mode.FULL:
        return {"advice": f"Mode {row['mode']} carries no order book.", "offer": "Switch to full"}
    return {}


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    last, close, traded = row["last_price"], row["close"], row["last_trade_time"]
    change = 100 * (last - close) / close if close else None
    return {
        **{name: row[name] for name in FACTS},
        **_balance(row),
        "price_change": last - close if close else None,
        "change": change,
        "received_at": milliseconds(row["received_at"]),
        "last_trade_time": traded and milliseconds(traded),
    }


def _balance(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return spread and mid in rupees, and the imbalance of the five levels in percent."""
    if row["bid_price"] is None:
        return {}
    bid, ask = row["bid_price"][0], row["ask_price"][0]
    both = row["bid_quantity"][0] > 0 and row["ask_quantity"][0] > 0
    bids, asks = (sum(row[side][:DEPTH_LEVELS]) for side in ("bid_quantity", "ask_quantity"))
    return {
        "spread": ask - bid if both else None,
        "mid": (bid + ask) / 2 if both else None,
        "imbalance": 100 * (bids - asks) / (bids + asks) if bids + asks else None,
    }
