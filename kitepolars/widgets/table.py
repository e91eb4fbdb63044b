"""The live table, ``ticker.watch()``: changed rows are sent as binary columns. UI thread.

The view holds every row, so that scrolling and sorting need no kernel. Changed rows on its
screen are sent at each refresh, the others every `SAMPLE_EVERY` seconds, when the sparklines
get a point, too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import traitlets

from kitepolars.errors import ConfigError
from kitepolars.widgets.channel import Update
from kitepolars.widgets.columns import (
    COLUMNS,
    DEFAULT_COLUMNS,
    NEEDED,
    checked_columns,
    expressions,
)
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import select_instrument
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of, symbol_of, tokens_of
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.widgets.view import LiveWidget

POINTS: Final = 48
"""Points of a sparkline."""
SAMPLE_EVERY: Final = 2.0
"""Seconds between two points, and between two updates of rows off the screen."""
HISTORY_ROWS: Final = 200_000
"""Latest ticks that the sparklines of a new table are drawn from."""
MAX_WINDOW: Final = 500
"""Most rows that a view may report as its screen."""

Matrix = npt.NDArray[np.float64]


class LiveTable(LiveWidget):
    """A live table of the latest values.

    Click a title to sort, type to filter, click a row to select it
    (`selected`). A row without ticks for `stale_after` seconds turns grey.

    Parameters
    ----------
    ticker
        The ticker.
    instruments
        Names or tokens; None for whatever is subscribed at the moment.
    columns
        Names from `kitepolars.widgets.columns.COLUMNS`. If None, those last chosen in this
        browser, at first `DEFAULT_COLUMNS`.
    height
        Height of the rows' area in pixels.
    stale_after
        Seconds without a tick after which a row turns grey, above 0.
    publisher
        The UI thread; tests pass another one.

    Attributes
    ----------
    selected
        Token of the selected row, 0 if none is.
    remembers
        Whether a view begins with the columns last chosen in it: the code named none.

    Raises
    ------
    ConfigError
        If a column is unknown, or a number out of range.
    UnknownInstrument
        If a name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import LiveTable
    >>> ticker = kp.demo()
    >>> table = LiveTable(ticker, columns=["last_price", "spark", "change"])
    >>> ticker.stop()
    """

    _esm = asset("table.js")

    _refresh_every = TICK

    height = traitlets.Int(360).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    remembers = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instruments: Any = None,
        *,
        columns: Sequence[str] | None = None,
        height: int = 360,
        stale_after: float = 30.0,
        publisher: Publisher | None = None,
    ) -> None:
        if stale_after <= 0:
            raise ConfigError("stale_after", stale_after, "a positive number of seconds")
        shown = checked_columns(DEFAULT_COLUMNS if columns is None else columns)
        self._lay_out(shown)
        self._order = _RowOrder()
        self._fixed = None if instruments is None else _fixed_rows(ticker, instruments)
        self._stale_after = stale_after
        self._windows: dict[str, npt.NDArray[np.int32]] = {}
        self._sampled_at = 0.0
        self._rows = _NO_ROWS
        self._values: Matrix = np.empty((0, len(self._names)))
        self._sparks = np.empty((0, POINTS), np.float32)
        traits = {"height": height, "columns": list(shown), "remembers": columns is None}
        super().__init__(ticker, publisher=publisher, traits=traits)

    def _lay_out(self, columns: Sequence[str]) -> None:
        self._shown = tuple(columns)
        self._names = tuple(dict.fromkeys((*self._shown, *NEEDED)))
        self._expressions = expressions(self._names)

    @traitlets.validate("columns")
    def _check_columns(self, proposal: Any) -> list[str]:
        return list(checked_columns(proposal["value"]))

    @traitlets.observe("columns")
    def _show_columns(self, _change: object) -> None:
        self._channel.refresh()

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take the rows on a view's screen, the selected row, or the columns."""
        if kind == "window":
            rows = np.asarray(content["rows"][:MAX_WINDOW], np.int32)
            self._windows[content["view"]] = rows
        elif kind == "columns":
            self.columns = [str(name) for name in content["columns"]]
        elif kind == "select":
            self.selected = int(content["token"])
            select_instrument(self.ticker, self.selected)

    def _release(self) -> None:
        """Drop the values; the sparklines are kept."""
        self._windows.clear()
        self._values = np.empty((0, len(self._names)))

    def _snapshot(self, reading: Reading) -> Update:
        """Return every row, and how to format it."""
        self._lay_out(self.columns)  # here, where they are read: it may be set on any thread
        rows, values = self._read(reading)
        self._carry_sparklines(reading, rows)
        self._rows, self._values = rows, values
        content = {
            "columns": self._described(),
            "choices": [(name, each.label, each.title) for name, each in COLUMNS.items()],
            "symbols": rows.select(_NAME)["symbol"].to_list(),
            "labels": labels_of(self.ticker, rows["instrument_token"]),
            "stale_after": self._stale_after,
            "points": POINTS,
            "sampled": time.monotonic(),
        }
        tokens = rows["instrument_token"].to_numpy().astype(np.uint32)
        buffers = (tokens, values.T, self._sparks)
        return Update(
            content, [np.ascontiguousarray(buffer).tobytes() for buffer in buffers], whole=True
        )

    def _changes(self, reading: Reading) -> Update | None:
        """Return the changed rows on screen; every `SAMPLE_EVERY` seconds, all changed rows."""
        if tuple(self.columns) != self._shown:
            return self._snapshot(reading)
        rows, values = self._read(reading)
        if not (rows is self._rows or _same_tokens(rows, self._rows)):
            return self._snapshot(reading)  # the instruments changed
        changed = _differs(values, self._values)
        sample = time.monotonic() - self._sampled_at >= SAMPLE_EVERY
        sent = changed if sample else changed & self._on_screen(len(values))
        self._values[sent] = values[sent]
        if sample:
            self._sample()
        indices = np.flatnonzero(sent).astype(np.int32)
        if not len(indices) and not sample:
            return None
        columns = np.ascontiguousarray(values[indices].T)
        return Update(
            {"rows": len(indices), "sample": sample}, [indices.tobytes(), columns.tobytes()]
        )

    def _read(self, reading: Reading) -> tuple[pl.DataFrame, Matrix]:
        """Return token and symbol of each row, and the values beside them."""
        rows = self._fixed
        if rows is None:
            rows = reading.subscriptions
        latest = reading.latest
        values = latest.select(self._expressions).to_numpy()
        wanted, present = (frame["instrument_token"].to_numpy() for frame in (rows, latest))
        return rows, self._order.gathered(values, present, wanted)

    def _described(self) -> list[dict[str, Any]]:
        return [
            {
                "key": name,
                "label": COLUMNS[name].label,
                "kind": COLUMNS[name].kind,
                "width": COLUMNS[name].width,
                "flash": COLUMNS[name].flash,
                "toned": COLUMNS[name].toned,
                "title": COLUMNS[name].title,
                "needs": COLUMNS[name].needs,
                "hidden": name not in self._shown,
            }
            for name in self._names
        ]

    def _on_screen(self, count: int) -> npt.NDArray[np.bool_]:
        mask = np.zeros(count, np.bool_)
        for window in list(self._windows.values()):
            mask[window[(window >= 0) & (window < count)]] = True
        return mask

    def _sample(self) -> None:
        self._sampled_at = time.monotonic()
        self._sparks[:, :-1] = self._sparks[:, 1:]
        self._sparks[:, -1] = self._values[:, self._names.index("last_price")]

    def _carry_sparklines(self, reading: Reading, rows: pl.DataFrame) -> None:
        """Keep the sparklines of instruments that stay; draw new ones from the ticks held."""
        tokens = rows["instrument_token"].to_list()
        known = dict(zip(self._rows["instrument_token"].to_list(), self._sparks, strict=True))
        fresh = [token for token in tokens if token not in known]
        known.update(_recent_prices(reading, fresh))
        nothing = np.full(POINTS, np.nan, np.float32)
        self._sparks = np.array([known.get(token, nothing) for token in tokens], np.float32)
        self._sparks = self._sparks.reshape(len(tokens), POINTS)


_NO_ROWS: Final = pl.DataFrame(schema={"instrument_token": pl.UInt32, "symbol": pl.String})


_NAME: Final = pl.coalesce(
    pl.col("symbol").cast(pl.String), pl.col("instrument_token").cast(pl.String)
).alias("symbol")


def _same_tokens(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one["instrument_token"].equals(other["instrument_token"])


class _RowOrder:
    """Positions of the wanted tokens among those present, kept while neither change."""

    def __init__(self) -> None:
        self._present = self._wanted = np.empty(0, np.uint32)
        self._places = np.empty(0, np.int64)

    def gathered(
        self, values: Matrix, present: npt.NDArray[np.uint32], wanted: npt.NDArray[np.uint32]
    ) -> Matrix:
        """Return the rows of the wanted tokens, NaN where there is no tick."""
        known = np.array_equal(present, self._present) and np.array_equal(wanted, self._wanted)
        if not known:
            self._places = self._find(present, wanted)
            self._present, self._wanted = present, wanted
        gathered = np.full((len(wanted), values.shape[1]), np.nan)
        found = self._places >= 0
        gathered[found] = values[self._places[found]]
        return gathered

    @staticmethod
    def _find(
        present: npt.NDArray[np.uint32], wanted: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.int64]:
        if not len(present):
            return np.full(len(wanted), -1)
        order = np.argsort(present)
        places = order[np.searchsorted(present, wanted, sorter=order).clip(max=len(present) - 1)]
        return np.where(present[places] == wanted, places, -1)


def _fixed_rows(ticker: WatchedTicker, instruments: Any) -> pl.DataFrame:
    tokens = tokens_of(ticker, instruments)
    symbols = [symbol_of(ticker, token) for token in tokens]
    return pl.DataFrame(
        {"instrument_token": tokens, "symbol": symbols}, schema=_NO_ROWS.schema
    ).unique("instrument_token", maintain_order=True)


def _differs(new: Matrix, old: Matrix) -> npt.NDArray[np.bool_]:
    same = (new == old) | (np.isnan(new) & np.isnan(old))
    different: npt.NDArray[np.bool_] = ~same.all(axis=1)
    return different


def _recent_prices(reading: Reading, tokens: list[int]) -> dict[int, npt.NDArray[np.float32]]:
    if not tokens:
        return {}
    recent = (
        reading.ticker.frame()
        .select("instrument_token", "last_price")
        .tail(HISTORY_ROWS)
        .group_by("instrument_token")
        .agg(pl.col("last_price").tail(POINTS).cast(pl.Float32))
    )
    lines = {}
    for token, prices in recent.iter_rows():
        line = np.full(POINTS, np.nan, np.float32)
        line[POINTS - len(prices) :] = prices
        lines[token] = line
    return lines
