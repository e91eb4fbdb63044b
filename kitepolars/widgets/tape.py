"""Time and sales, ``ticker.tape()``, and the book through time, ``ticker.depth_map()``. UI thread.

Both show one instrument and grow with its ticks: a message holds the rows that are new.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import traitlets

from kitepolars.analytics.tape import book_history, last_move, time_and_sales
from kitepolars.widgets.channel import Update
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import InstrumentView, is_subscribed, last_tick
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.wire.layouts import Mode

TRADES_SHOWN: Final = 1_000
"""Most trades listed: the latest ones."""
BOOKS_SHOWN: Final = 1_200
"""Most books drawn: the latest ones."""

Rows = npt.NDArray[np.float64]


class TickView(InstrumentView):
    """A widget that shows rows made of the ticks of one instrument.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token.
    height
        Height in pixels.
    publisher
        The UI thread; tests pass another one.
    """

    _refresh_every = TICK

    _kept: ClassVar[int]
    """Most rows shown."""

    height = traitlets.Int(320).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int,
        *,
        height: int = 320,
        publisher: Publisher | None = None,
    ) -> None:
        self._next = 0
        self._before = pl.DataFrame()
        self._shown: object = None
        super().__init__(ticker, instrument, publisher=publisher, traits={"height": height})

    @abstractmethod
    def _rows_of(self, ticks: pl.DataFrame, before: int) -> pl.DataFrame:
        """Return rows from ticks of the instrument; the first `before` were shown already."""

    @abstractmethod
    def _advice(self, mode: str | None) -> str:
        """Return why there is nothing to show, "" if there is; None for no tick yet."""

    def _snapshot(self, reading: Reading) -> Update:
        """Return the latest rows."""
        token = self.instrument_token
        ticks = self._own(reading, 0)
        self._shown = self._state(reading)
        row = last_tick(reading, token)
        subscribed = is_subscribed(reading, token)
        mode = None if row is None else row["mode"]
        content = {
            "symbol": self.instrument,
            "label": labels_of(self.ticker, [token])[0],
            "kept": self._kept,
            "advice": self._advice(mode) if subscribed else "Not subscribed.",
            "offer": "" if subscribed and mode in {None, Mode.FULL} else "Subscribe in full",
        }
        return Update(content, [_packed(self._rows_of(ticks, 0).tail(self._kept))], whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the rows that are new, everything if the instrument or its mode is another."""
        if self._state(reading) != self._shown:
            return self._snapshot(reading)
        if reading.held.total == self._next:
            return None
        before = self._before
        ticks = self._own(reading, self._next)
        rows = self._rows_of(pl.concat([before, ticks]), before.height)
        return Update({"added": rows.height}, [_packed(rows)]) if rows.height else None

    def _own(self, reading: Reading, first: int) -> pl.DataFrame:
        """Return the instrument's ticks from a number on, and remember the last."""
        own = pl.col("instrument_token") == self.instrument_token
        ticks = reading.held.since(first).filter(own)
        self._next = reading.held.total
        if ticks.height or not first:
            self._before = ticks.tail(1)
        return ticks

    def _state(self, reading: Reading) -> object:
        row = last_tick(reading, self.instrument_token)
        mode = None if row is None else row["mode"]
        return self.instrument_token, mode, is_subscribed(reading, self.instrument_token)


class TimeAndSales(TickView):
    """What traded, newest first: time, price, quantity, and on which side.

    A row is what traded between two ticks: Kite sends one for several trades.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token. Sides need mode full, times of trades too.
    height
        Height of the rows in pixels.
    publisher
        The UI thread; tests pass another one.

    Raises
    ------
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import TimeAndSales
    >>> ticker = kp.demo()
    >>> tape = TimeAndSales(ticker, "NSE:INFY")
    >>> ticker.stop()
    """

    _esm = asset("tape.js")

    _kept = TRADES_SHOWN

    _move = 0  # the sign of the last change of price that was shown

    def _rows_of(self, ticks: pl.DataFrame, before: int) -> pl.DataFrame:
        """Return the trades; the first tick is only compared with."""
        move = self._move if before else 0
        self._move = last_move(ticks, move)
        return time_and_sales(ticks, move=move)

    def _advice(self, mode: str | None) -> str:
        """Return why sides or times are missing."""
        if mode == Mode.QUOTE:
            return "Mode quote carries no book: sides are by the change of the price."
        return "Mode ltp carries no volume." if mode == Mode.LTP else ""


class DepthMap(TickView):
    """The book through time as a heat map: the darker, the larger the quantity at a price.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        A name or a token; its ticks in mode full are drawn.
    height
        Height in pixels.
    publisher
        The UI thread; tests pass another one.

    Raises
    ------
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import DepthMap
    >>> ticker = kp.demo()
    >>> depth_map = DepthMap(ticker, "NSE:INFY", height=240)
    >>> ticker.stop()
    """

    _esm = asset("depth-map.js")

    _kept = BOOKS_SHOWN

    def _rows_of(self, ticks: pl.DataFrame, before: int) -> pl.DataFrame:
        """Return the books of the ticks that are new."""
        return book_history(ticks.slice(before))

    def _advice(self, mode: str | None) -> str:
        """Return why there is no book."""
        return "" if mode in {None, Mode.FULL} else f"Mode {mode} carries no order book."


def _packed(rows: pl.DataFrame) -> bytes:
    """Return a frame as float64 numbers, row by row: times in ms since the epoch, NaN for null."""
    numbers = rows.select(
        (pl.col(pl.Datetime("us", "*")).dt.epoch("us") / 1000),
        pl.exclude(pl.Datetime("us", "*")).cast(pl.Float64).fill_null(float("nan")),
    )
    return numbers.to_numpy(order="c").tobytes()
