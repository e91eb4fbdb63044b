"""The list of what is subscribed, in the subscription panel. UI thread.

The ticker's subscriptions are the truth: the list shows them as they are,
whether the panel or code changed them, and marks what a tick has confirmed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
import traitlets

from kitepolars.widgets.publisher import Publisher, Reading
from kitepolars.widgets.surface import Feed
from kitepolars.widgets.view import LiveWidget, Message, asset

ASKED, CONFIRMED, SILENT = range(3)
"""States of a subscription, as the view knows them."""

SILENT_AFTER: Final = 5.0
"""Seconds without a tick after which "asked for" becomes "no tick so far"."""
NO_CONNECTION: Final = 254
"""Shown as #255: an instrument without a place."""

_ASKED_AT: Final = pl.Schema(
    {"instrument_token": pl.UInt32(), "mode_code": pl.UInt32(), "since": pl.Float64()}
)


class SubscriptionList(LiveWidget):
    """The subscribed instruments: filter, select several, with mouse or keyboard.

    Parameters
    ----------
    ticker
        Whose subscriptions are shown.
    remove
        Called with the tokens of rows that were deleted, on any thread.
    notice
        Called with each reading, on the UI thread.
    publisher
        The UI thread; one of its own for tests.
    """

    _esm = asset("subscriptions.js")

    every = 0.5

    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    """Tokens of the selected rows."""

    def __init__(
        self,
        ticker: Feed,
        *,
        remove: Callable[[list[int]], None],
        notice: Callable[[Reading], None],
        publisher: Publisher | None = None,
    ) -> None:
        self._remove = remove
        self._notice_reading = notice
        self._asked_at = _ASKED_AT.to_frame()
        self._hurry = False
        self._looked_at = 0.0
        self._sent: list[bytes] = []
        super().__init__(ticker, publisher=publisher, traits={})

    def heard(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a selection, or rows to remove."""
        tokens = [int(token) for token in content.get("tokens", [])]
        if kind == "selection":
            self.selected = tokens
        elif kind == "remove":
            self._remove(tokens)

    def is_due(self, now: float) -> bool:
        """Say whether it is time, or a command has just changed something."""
        return self._hurry or super().is_due(now)

    def hurry(self) -> None:
        """Show what is subscribed now, not at the next refresh. Any thread."""
        self._hurry = True
        self._publisher.wake()

    def snapshot(self, reading: Reading) -> Message:
        """Return every row."""
        rows = self._rows(reading)
        self._sent = _columns(rows)
        symbols = pl.coalesce(
            pl.col("symbol").cast(str), pl.col("instrument_token").cast(str)
        ).alias("symbol")
        content = {"symbols": rows.select(symbols)["symbol"].to_list()}
        return Message(content, self._sent, whole=True)

    def changes(self, reading: Reading) -> Message | None:
        """Return the states if one changed, or everything if there are other instruments."""
        columns = _columns(self._rows(reading))
        if columns == self._sent:
            return None
        if columns[-1] != self._sent[-1]:
            return self.snapshot(reading)
        self._sent = columns
        return Message({}, columns[:-1])

    def _rows(self, reading: Reading) -> pl.DataFrame:
        """Return a row a subscription, with the state it is in."""
        self._hurry = False
        self._notice_reading(reading)
        subscribed = reading.subscriptions.with_columns(
            pl.col("mode").to_physical().cast(pl.UInt32).alias("mode_code")
        )
        before, self._looked_at = self._looked_at, reading.clock / 1000
        asked = subscribed.join(
            self._asked_at, on=["instrument_token", "mode_code"], how="left", maintain_order="left"
        ).with_columns(pl.col("since").fill_null(before))  # when it was not there yet
        self._asked_at = asked.select(*_ASKED_AT)
        ticks = reading.latest.select(
            "instrument_token",
            pl.col("mode").to_physical().cast(pl.UInt32).alias("tick_code"),
            (pl.col("received_at").dt.epoch("us") / 1e6).alias("tick_at"),
        )
        confirmed = (pl.col("tick_code") == pl.col("mode_code")) & (
            pl.col("tick_at") > pl.col("since")
        )
        state = (
            pl.when(confirmed)
            .then(CONFIRMED)
            .when(time.time() - pl.col("since") > SILENT_AFTER)
            .then(SILENT)
            .otherwise(ASKED)
        )
        return asked.join(
            ticks, on="instrument_token", how="left", maintain_order="left"
        ).with_columns(state.alias("state"))


def _columns(rows: pl.DataFrame) -> list[bytes]:
    """Return mode, connection and state as bytes, and the tokens."""
    narrow = rows.select(
        pl.col("mode_code"), pl.col("connection").fill_null(NO_CONNECTION), pl.col("state")
    )
    return [
        *(narrow[name].to_numpy().astype(np.uint8).tobytes() for name in narrow.columns),
        rows["instrument_token"].to_numpy().astype(np.uint32).tobytes(),
    ]
