"""Instrument search as one types: in the subscription panel, and in the chart's box."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import polars as pl

from kitepolars.widgets.channel import Update
from kitepolars.widgets.host import asset
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of
from kitepolars.widgets.subscriptions import modes_of
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.widgets.view import LiveWidget

MAX_HITS: Final = 50
"""Instruments shown for one search."""
MAX_QUERY: Final = 100
"""Longest query, in characters."""

_HINT: Final = "Type a symbol, a name, an expiry or a strike. ↑ ↓ to choose, Enter to subscribe."
_NO_HITS: Final = "No instrument matches."
_NO_INSTRUMENTS: Final = (
    "This ticker has no list of instruments. Give it one, "
    "kp.Ticker(…, instruments=kp.Instruments.fetch()), or paste tokens below."
)


class SearchBox(LiveWidget):
    """A search box over the ticker's instruments, for mouse and keyboard.

    Parameters
    ----------
    ticker
        The ticker whose instruments are searched.
    add
        Called with the chosen tokens, on any thread.
    publisher
        The UI thread; tests pass another one.
    """

    _esm = asset("search.js")

    _refresh_every = TICK

    def __init__(
        self,
        ticker: WatchedTicker,
        *,
        add: Callable[[list[int]], None],
        publisher: Publisher | None = None,
    ) -> None:
        self._add = add
        self._query = ""
        self._answered: tuple[str, pl.DataFrame] = ("", pl.DataFrame())
        self.picked: list[int] = []
        super().__init__(ticker, publisher=publisher, traits={})

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a query, a choice, or a choice to subscribe."""
        if kind == "query":
            self._query = str(content["text"]).strip()
        elif kind == "picked":
            self.picked = [int(token) for token in content["tokens"]]
        elif kind == "add":
            self._add([int(token) for token in content["tokens"]])

    def _snapshot(self, reading: Reading) -> Update:
        """Return the hits of the current query."""
        query = self._query
        hits = with_modes(find(self.ticker, query), reading.subscriptions)
        self._answered = (query, reading.subscriptions)
        return Update({"text": query, "hits": hits, "hint": self._hint(query)}, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the hits again if the query or the subscriptions changed."""
        query, subscriptions = self._answered
        same = self._query == query and reading.subscriptions.equals(subscriptions)
        return None if same else self._snapshot(reading)

    def _hint(self, query: str) -> str:
        if not len(self.ticker.instruments):
            return _NO_INSTRUMENTS
        return _NO_HITS if query else _HINT


def find(ticker: WatchedTicker, query: str, limit: int = MAX_HITS) -> list[dict[str, Any]]:
    """Search a ticker's instruments; return token, symbol, label and description of each hit."""
    words = query.strip()[:MAX_QUERY]
    if not words:
        return []
    rows = ticker.instruments.search(words, limit)
    labels = labels_of(ticker, rows["instrument_token"])
    return [
        {
            "token": row["instrument_token"],
            "symbol": row["symbol"],
            "label": label,
            "detail": describe(row),
        }
        for row, label in zip(rows.iter_rows(named=True), labels, strict=True)
    ]


def with_modes(hits: list[dict[str, Any]], subscriptions: pl.DataFrame) -> list[dict[str, Any]]:
    """Add to each hit the mode in which it is subscribed, "" if it is not."""
    tokens = [hit["token"] for hit in hits]
    modes = modes_of(subscriptions.filter(pl.col("instrument_token").is_in(tokens)))
    return [{**hit, "mode": modes.get(hit["token"], "")} for hit in hits]


def describe(row: Mapping[str, Any]) -> str:
    """Return what the label of an instrument leaves out: the company, or expiry and lot size.

    Examples
    --------
    >>> describe({"name": "NIFTY", "expiry": date(2026, 11, 26), "lot_size": 75})
    'expires 26 Nov 2026 · lot 75'
    >>> describe({"name": "INFOSYS", "expiry": None, "lot_size": 1})
    'INFOSYS'
    """
    expiry: date | None = row.get("expiry")
    lot = row.get("lot_size") or 0
    parts = [
        str(row.get("name") or "") if expiry is None else f"expires {expiry.day} {expiry:%b %Y}",
        f"lot {lot:,}" if lot > 1 else "",
    ]
    return " · ".join(part for part in parts if part)
