"""The subscribed instruments: their list in the panel, and changes that can be undone. UI thread.

The list shows the ticker's subscriptions, whether the panel or code changed them, and marks
those that a tick has confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import polars as pl
import traitlets

from kitepolars.widgets.channel import Update
from kitepolars.widgets.host import asset
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of
from kitepolars.widgets.threads import Publisher
from kitepolars.widgets.view import LiveWidget
from kitepolars.widgets.watchlist import by_mode

REQUESTED, CONFIRMED, SILENT = range(3)
"""States of a subscription, as the view numbers them."""

SILENT_AFTER: Final = 5.0
"""Seconds after which a subscription without a tick is silent."""
NOT_PLACED: Final = 254
"""Number of the connection of an instrument that has none."""

_REQUESTS: Final = pl.Schema(
    {"instrument_token": pl.UInt32(), "mode_code": pl.UInt32(), "since": pl.Float64()}
)


class SubscriptionList(LiveWidget):
    """The list of subscribed instruments: filter and select, with mouse or keyboard.

    Parameters
    ----------
    ticker
        The ticker.
    remove
        Called with the tokens of deleted rows, on any thread.
    on_reading
        Called with each reading, on the UI thread.
    publisher
        The UI thread; tests pass another one.
    """

    _esm = asset("subscriptions.js")

    _refresh_every = 0.5

    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    """Tokens of the selected rows."""

    def __init__(
        self,
        ticker: WatchedTicker,
        *,
        remove: Callable[[list[int]], None],
        on_reading: Callable[[Reading], None],
        publisher: Publisher | None = None,
    ) -> None:
        self._remove = remove
        self._on_reading = on_reading
        self._requests = _REQUESTS.to_frame()
        self._read_at = 0.0
        self._sent: list[bytes] = []
        super().__init__(ticker, publisher=publisher, traits={})

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a selection, or the rows to remove."""
        tokens = [int(token) for token in content.get("tokens", [])]
        if kind == "selection":
            self.selected = tokens
        elif kind == "remove":
            self._remove(tokens)

    def _snapshot(self, reading: Reading) -> Update:
        """Return every row."""
        rows = self._rows(reading)
        self._sent = _columns(rows)
        symbols = pl.coalesce(
            pl.col("symbol").cast(str), pl.col("instrument_token").cast(str)
        ).alias("symbol")
        content = {
            "symbols": rows.select(symbols)["symbol"].to_list(),
            "labels": labels_of(self.ticker, rows["instrument_token"]),
        }
        return Update(content, self._sent, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the states if one changed, everything if the instruments changed."""
        columns = _columns(self._rows(reading))
        if columns == self._sent:
            return None
        if columns[-1] != self._sent[-1]:
            return self._snapshot(reading)
        self._sent = columns
        return Update({}, columns[:-1])

    def _rows(self, reading: Reading) -> pl.DataFrame:
        """Return one row per subscription, with its state."""
        self._on_reading(reading)
        subscribed = reading.subscriptions.with_columns(
            pl.col("mode").to_physical().cast(pl.UInt32).alias("mode_code")
        )
        before, self._read_at = self._read_at, reading.now
        requested = subscribed.join(
            self._requests, on=["instrument_token", "mode_code"], how="left", maintain_order="left"
        ).with_columns(pl.col("since").fill_null(before))  # it is newer than the last reading
        self._requests = requested.select(*_REQUESTS)
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
            .when(reading.now - pl.col("since") > SILENT_AFTER)
            .then(SILENT)
            .otherwise(REQUESTED)
        )
        return requested.join(
            ticks, on="instrument_token", how="left", maintain_order="left"
        ).with_columns(state.alias("state"))


def _columns(rows: pl.DataFrame) -> list[bytes]:
    """Return mode, connection, state and token as binary columns."""
    narrow = rows.select(
        pl.col("mode_code"), pl.col("connection").fill_null(NOT_PLACED), pl.col("state")
    )
    return [
        *(narrow[name].to_numpy().astype(np.uint8).tobytes() for name in narrow.columns),
        rows["instrument_token"].to_numpy().astype(np.uint32).tobytes(),
    ]


def modes_of(subscriptions: pl.DataFrame) -> dict[int, str]:
    """Return the mode of each token in the frame of ``subscriptions()``."""
    columns = (subscriptions[name].to_list() for name in ("instrument_token", "mode"))
    return dict(zip(*columns, strict=True))


@dataclass(frozen=True, kw_only=True)
class SubscriptionChange:
    """What a command changed in the subscriptions.

    Parameters
    ----------
    added
        New mode by token.
    removed
        Previous mode by token.
    changed
        Previous mode by token, where the mode changed.
    """

    added: Mapping[int, str]
    removed: Mapping[int, str]
    changed: Mapping[int, str]

    @classmethod
    def between(cls, before: Mapping[int, str], after: Mapping[int, str]) -> Self:
        """Compare the modes by token before and after.

        Examples
        --------
        >>> str(SubscriptionChange.between({1: "ltp"}, {1: "full", 2: "full"}))
        '1 subscribed, mode of 1 changed'
        """
        return cls(
            added={token: mode for token, mode in after.items() if token not in before},
            removed={token: mode for token, mode in before.items() if token not in after},
            changed={
                token: mode for token, mode in before.items() if after.get(token, mode) != mode
            },
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        """Return the change in words."""
        parts = (
            f"{len(self.added):,} subscribed" if self.added else "",
            f"{len(self.removed):,} removed" if self.removed else "",
            f"mode of {len(self.changed):,} changed" if self.changed else "",
        )
        return ", ".join(part for part in parts if part) or "nothing changed"

    def undo(self, ticker: WatchedTicker) -> None:
        """Restore the instruments that changed, and no others."""
        if self.added:
            ticker.unsubscribe(list(self.added))
        for mode, tokens in by_mode(self.removed).items():
            ticker.subscribe(tokens, mode=mode)
        for mode, tokens in by_mode(self.changed).items():
            ticker.set_mode(tokens, mode)
