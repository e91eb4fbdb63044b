"""The rows that alerts are evaluated on: of a frame, or new ticks where they lie. Any thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.alerting.compiled import Columns
from kitepolars.frames.buffers import Rows
from kitepolars.frames.held import Held
from kitepolars.frames.index import TokenIndex
from kitepolars.frames.schema import SCHEMA, TIMESTAMP

ALERTS: Final = pl.Schema(
    {
        "fired_at": TIMESTAMP,
        "name": pl.String(),
        "instrument_token": pl.UInt32(),
        "symbol": pl.String(),
        "price": pl.Float64(),
    }
)
"""The columns of `alerts`: one row for each time that an alert fired."""


class FiredAlert(NamedTuple):
    """An alert that fired: a row of `Ticker.alerts`.

    Parameters
    ----------
    fired_at
        The arrival of the tick, or the end of the candle; in Indian time.
    name
        The alert's name.
    instrument_token, symbol
        The instrument; of an option chain the symbol is the contract's underlying and strike.
    price
        Its last price, or the candle's close.
    """

    fired_at: dt.datetime
    name: str
    instrument_token: int | None
    symbol: str | None
    price: float | None


class FiredAlerts(NamedTuple):
    """The last of what fired.

    Parameters
    ----------
    number
        How many fired so far; going back in a replay does not make it less.
    rows
        The last ones, the oldest first.
    """

    number: int
    rows: list[FiredAlert]


_FIRED_PRICES: Final = ("last_price", "close", "forward")
"""The price of a tick, of a candle, and of a strike of a chain."""

_Column = tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]


@dataclass(frozen=True)
class RowsToCheck:
    """New rows, as rules need them.

    Parameters
    ----------
    slots
        The slot of what each row is about.
    times
        When each is of: microseconds since the epoch, UTC.
    select
        Returns a frame of some of their columns.
    names
        The columns that they have.
    columns
        Returns a column of numbers without a frame; None if that is not possible.
    """

    slots: npt.NDArray[np.int32]
    times: npt.NDArray[np.int64]
    select: Callable[[Sequence[str]], pl.DataFrame]
    names: Sequence[str]
    columns: Columns | None = None

    @classmethod
    def of_frame(
        cls, frame: pl.DataFrame, slots: npt.NDArray[np.int32], times: npt.NDArray[np.int64]
    ) -> RowsToCheck:
        """Return the rows of a frame."""
        return cls(slots, times, frame.select, frame.columns)

    @classmethod
    def of_ticks(cls, held: Held, begin: int, index: TokenIndex) -> RowsToCheck:
        """Return the ticks from a number on, counted from the first tick received.

        Parameters
        ----------
        held
            The ticks held.
        begin
            The number of the first.
        index
            Gives instruments their slots.
        """

        def select(names: Sequence[str]) -> pl.DataFrame:
            return held.since(begin, tuple(dict.fromkeys(("instrument_token", *names))))

        rows = held.growing_since(begin)
        columns = None if rows is None else TicksInPlace(rows)
        if columns is None:
            known = select(("received_at",))
            tokens, times = (known[name].to_numpy() for name in ("instrument_token", "received_at"))
        else:
            tokens, times = (
                columns.column(name)[0] for name in ("instrument_token", "received_at")
            )
        return cls(index.slots(tokens), times.view(np.int64), select, tuple(SCHEMA), columns)

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.slots)

    @cached_property
    def room(self) -> int:
        """One more than the highest slot."""
        return int(self.slots.max(initial=-1)) + 1

    def are(self, name: str) -> npt.NDArray[np.bool_]:
        """Return a column of truths that are never null."""
        if self.columns is not None:
            return self.columns.column(name)[0]
        return self.select((name,))[name].to_numpy()

    def only(self, some: npt.NDArray[np.int64]) -> RowsToCheck:
        """Return some of the rows."""
        columns = None if self.columns is None else _SomeRows(self.columns, some)
        return RowsToCheck(
            self.slots[some],
            self.times[some],
            lambda names: self.select(names)[some],
            self.names,
            columns,
        )

    def fired(self, name: str, some: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Return `ALERTS` for the rows at which an alert fired.

        Parameters
        ----------
        name
            The alert's name.
        some
            The rows.
        """
        price = next((one for one in _FIRED_PRICES if one in self.names), None)
        shown = {"instrument_token": "instrument_token", "symbol": "symbol", "price": price}
        there = [each for each in shown.values() if each is not None and each in self.names]
        found = self.select(there)[some]
        times = pl.Series(self.times[some]).cast(pl.Datetime("us", "UTC"))
        columns = {
            "fired_at": times.dt.convert_time_zone(TIMESTAMP.time_zone or "UTC"),
            "name": pl.repeat(name, len(some), dtype=pl.String, eager=True),
        } | {
            column: found[each]
            if each in there
            else pl.repeat(None, len(some), dtype=ALERTS[column], eager=True)
            for column, each in shown.items()
        }
        return pl.DataFrame(columns).cast(ALERTS)


class TicksInPlace:
    """The columns of ticks of a buffer, each read once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._known: dict[str, _Column] = {}

    def column(self, name: str) -> _Column:
        """Return a column's values, and where they are not null."""
        if name not in self._known:
            self._known[name] = self._rows.column(name)
        return self._known[name]


class _SomeRows:
    """Some rows of columns."""

    def __init__(self, columns: Columns, some: npt.NDArray[np.int64]) -> None:
        self._columns = columns
        self._some = some
        self._known: dict[str, _Column] = {}

    def column(self, name: str) -> _Column:
        if name not in self._known:
            values, valid = self._columns.column(name)
            self._known[name] = values[self._some], None if valid is None else valid[self._some]
        return self._known[name]
