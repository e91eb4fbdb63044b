"""The pass over ticks that makes candles, and the memory that it works in.

The pass itself is compiled (`candles.c`); ``tests/analytics/reference.py`` says its rules in plain
Python. One owner; any thread.
"""

from __future__ import annotations

import ctypes
import datetime as dt
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.analytics.bars import CANDLES, Clock, Hours
from kitepolars.analytics.candle_input import ColumnReader, TickColumns
from kitepolars.analytics.candle_structs import (
    BAR_RECORD,
    DIVISOR_OF_SEGMENT,
    FIRST_DAY,
    HORIZON_RECORD,
    IS_SUMMER,
    MARKET_OF_SEGMENT,
    MARKET_RECORD,
    NEEDS_SYMBOL,
    NO_TIME,
    STATE_RECORD,
    EngineStruct,
    market_row,
)
from kitepolars.calendar import (
    DAY,
    EARLIEST_TIME,
    IST_OFFSET,
    MARKETS,
    SECOND,
    market_of_token,
)
from kitepolars.frames.arrow import BatchSchema, RecordBatch, numpy_dtype
from kitepolars.frames.buffers import Rows
from kitepolars.frames.times import MAX_AHEAD

PATIENCE: Final = 2 * SECOND
"""A bar of an instrument that stays silent is finished when its market's clock is this far past
its end: ticks of other instruments overtake each other by a second."""

KEPT_AFTER_END: Final = 5 * SECOND
"""How long after their end bars are kept where they can change."""

_DONE, _NEEDS_SLOTS, _NEEDS_BARS, _NEEDS_HORIZONS, _NEEDS_MARKET = range(5)


_BAR_COLUMNS: Final = {**CANDLES, "symbol": pl.Int32()}
"""The columns of candles with the number of a name for the symbol."""

_CANDLE_BATCH: Final = BatchSchema(_BAR_COLUMNS)
_CANDLE_DTYPES: Final = [
    None if dtype == pl.Boolean else numpy_dtype(name, dtype)
    for name, dtype in _BAR_COLUMNS.items()
]
_HAS_NULLS: Final = [name in {"oi", "vwap"} for name in _BAR_COLUMNS]


class Engine:
    """Takes in ticks and gives out candles; see `kitepolars.CandleBuilder`, its user.

    Parameters
    ----------
    interval
        The length of a bar in microseconds.
    on
        The time that bars are cut on.
    hours
        Which hours have bars.
    """

    def __init__(self, interval: int, on: Clock, hours: Hours) -> None:
        self._reader = ColumnReader(on)
        self._states = np.zeros(1 << 8, STATE_RECORD)
        self._table = np.zeros(1 << 10, np.int32)
        self._bars = np.zeros(1 << 10, BAR_RECORD)
        self._markets = np.array([market_row(market) for market in MARKETS], MARKET_RECORD)
        self._horizons = np.zeros(1 << 6, HORIZON_RECORD)
        self._name_rows = np.zeros(1 << 8, np.int64)
        self._places = np.empty(0, np.int64)  # sorted, and of how many bars
        self._ordered = -1
        self.names = pl.Series("symbol", [], dtype=pl.Categorical)
        self._symbols_key, self._symbols_made = (self._places, 0), self.names
        self._struct = EngineStruct(
            interval=interval,
            any_hour=hours == "any",
            check_arrival=on == "exchange_timestamp",
            ahead=MAX_AHEAD,
            earliest=EARLIEST_TIME,
            slots=0,
            bar_count=0,
            horizon_count=0,
            names=0,
            first_new_name=0,
            market_of=native.address(MARKET_OF_SEGMENT),
            needs_symbol=native.address(NEEDS_SYMBOL),
            divisors=native.address(DIVISOR_OF_SEGMENT),
            is_summer=native.address(IS_SUMMER),
            first_day=FIRST_DAY,
            days=len(IS_SUMMER),
            day=-1,
            midnight=-DAY - IST_OFFSET,
            asked=-1,
            begins=NO_TIME,
            last_settled=NO_TIME,
            on_arrival=0,
        )
        self._attach()

    def _attach(self) -> None:
        """Tell the loop where its memory is, and how much there is."""
        struct = self._struct
        struct.states, struct.slot_room = native.address(self._states), len(self._states)
        struct.table, struct.table_size = native.address(self._table), len(self._table)
        struct.bars, struct.bar_room = native.address(self._bars), len(self._bars)
        struct.markets = native.address(self._markets)
        struct.horizons, struct.horizon_room = native.address(self._horizons), len(self._horizons)
        struct.name_rows, struct.name_room = native.address(self._name_rows), len(self._name_rows)

    def begin_at(self, moment: dt.datetime) -> None:
        """Take bars that start before a moment as partial."""
        self._struct.begins = int(moment.timestamp() * SECOND)

    def take(self, ticks: pl.DataFrame | Rows) -> None:
        """Take in ticks in arrival order.

        Raises
        ------
        ConfigError
            If columns of a frame are missing, or a time has no time zone; nothing is taken in.
        """
        given = self._reader.read(ticks)
        try:
            while (need := native.candle_rows(self._reference, given.at)) != _DONE:
                self._provide(need, given)
            self._take_names(given)
        finally:
            native.candle_close(given.at)

    @property
    def _reference(self) -> Any:
        return ctypes.byref(self._struct)

    def _provide(self, need: int, given: TickColumns) -> None:
        """Make the room, or find the market, that the loop waits for."""
        if need == _NEEDS_MARKET:
            state = self._states[self._struct.asked]
            symbol = given.names(np.array([given.cursor.row]))[0]
            state["market"] = MARKETS.index(market_of_token(int(state["token"]), symbol))
        elif need == _NEEDS_BARS:
            self._bars = _doubled(self._bars)
        elif need == _NEEDS_HORIZONS:
            self._horizons = _doubled(self._horizons)
        elif need == _NEEDS_SLOTS:
            self._take_names(given)
            if self._struct.slots == len(self._states):
                self._states = _doubled(self._states)
                self._table = np.zeros(2 * len(self._table), np.int32)
                self._attach()
                native.candle_rehash(self._reference)
        self._attach()

    def _take_names(self, given: TickColumns) -> None:
        """Note the symbols of the instruments that are new, or have a new one."""
        struct = self._struct
        new = struct.names - struct.first_new_name
        if new:
            self.names = pl.concat([self.names, given.names(self._name_rows[:new])])
            struct.first_new_name = struct.names

    def order(self) -> tuple[npt.NDArray[np.int64], int]:
        """Return the places of the bars that are not settled, sorted, and how many can be now."""
        bars = self._struct.bar_count
        if self._ordered != bars:
            places, keys = np.empty(2 * bars, np.int64), np.empty(2 * bars, np.uint64)
            arrays = native.address(places), native.address(keys)
            self._places = places[: native.candle_order(self._reference, *arrays)]
            self._ordered = bars
        places = self._places
        done = native.candle_done(
            self._reference, native.address(places), len(places), len(self._markets), KEPT_AFTER_END
        )
        return places, done

    def unsure(self) -> npt.NDArray[np.int64]:
        """Return the places of bars that are settled and may still change."""
        places = np.empty(self._struct.bar_count, np.int64)
        return places[: native.candle_unsure(self._reference, native.address(places))]

    def settle(self, places: npt.NDArray[np.int64]) -> None:
        """Forget bars that are in a block, but for those that may still change."""
        self._ordered = -1
        native.candle_settle(self._reference, native.address(places), len(places))

    def columns(self, places: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Return bars as a frame; those that are finished will not change any more."""
        many = len(places)
        bits = (many + 7) // 8
        values: list[npt.NDArray[Any]] = [
            np.zeros(bits, np.uint8) if dtype is None else np.empty(many, dtype)
            for dtype in _CANDLE_DTYPES
        ]
        validity = [np.zeros(bits, np.uint8) if has_nulls else None for has_nulls in _HAS_NULLS]
        arrays = [*values, *(bitmap for bitmap in validity if bitmap is not None)]
        pointers = (ctypes.c_void_p * len(arrays))(*map(native.address, arrays))
        native.candle_columns(
            self._reference, native.address(places), many, PATIENCE, ctypes.byref(pointers)
        )
        frame = RecordBatch(_CANDLE_BATCH, values, validity).frame(0, many)
        return frame.replace_column(1, self._symbols(places, values[1]))

    def _symbols(self, places: npt.NDArray[np.int64], names: npt.NDArray[np.int32]) -> pl.Series:
        """Return the symbols of bars; looking them up takes longer than writing the columns."""
        key = places, self._struct.names  # a bar's name changes to a new one only
        if self._symbols_key[0] is not places or self._symbols_key[1] != key[1]:
            self._symbols_key, self._symbols_made = key, self.names[names]
        return self._symbols_made

    def cut_on_arrival(self) -> list[str]:
        """Return the names of instruments with bars cut on arrival time."""
        if not self._struct.on_arrival:
            return []
        states = self._states[: self._struct.slots]
        found = states[states["is_on_arrival"] != 0]
        names = self.names[found["name"]].cast(pl.String)
        return sorted(
            str(token) if name is None else name
            for token, name in zip(found["token"].tolist(), names, strict=True)
        )

    def sessions(self) -> pl.DataFrame:
        """Return when each market was open on the days seen.

        Returns
        -------
        DataFrame
            ``market`` (its place in `MARKETS`), ``day`` (since 1970), ``opens``, ``closes`` and
            ``until``: the close, or the latest time seen of the day if that is earlier.
        """
        rows = self._horizons[: self._struct.horizon_count]
        markets = self._markets[rows["market"]]
        midnight = rows["day"] * DAY - IST_OFFSET
        places = np.clip(rows["day"] - FIRST_DAY, 0, len(IS_SUMMER) - 1)
        closes = np.where(IS_SUMMER[places], markets["summer"], markets["winter"])
        opens = markets["opens"]
        if self._struct.any_hour:
            opens, closes = np.zeros_like(opens), np.full_like(closes, DAY)
        return pl.DataFrame(
            {
                "market": rows["market"],
                "day": rows["day"],
                "opens": midnight + opens,
                "closes": midnight + closes,
                "until": np.minimum(midnight + closes, rows["newest"] + 1),
            }
        )

    def markets(self) -> pl.DataFrame:
        """Return the market of each instrument: ``instrument_token``, ``market``."""
        states = self._states[: self._struct.slots]
        return pl.DataFrame(
            {"instrument_token": states["token"], "market": states["market"].astype(np.int64)}
        )

    def is_forming(self, end: pl.Expr, market: pl.Expr) -> pl.Expr:
        """Whether the clock of a market is not yet past an end, so that a bar may change."""
        clocks = pl.lit(pl.Series(self._markets["newest"].copy())).gather(market)
        return end + PATIENCE > clocks


def _doubled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)])
