"""The pass over ticks that makes candles: its memory and its view of the trading calendar.

The pass itself is compiled (`candles.c`); ``tests/analytics/reference.py`` says its rules in plain
Python. One owner; any thread.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.analytics.columns import check_time, require
from kitepolars.calendar import (
    DAY,
    EARLIEST_TIME,
    IST_OFFSET,
    MARKETS,
    SECOND,
    Market,
    market_of_token,
    us_summers,
)
from kitepolars.errors import ConfigError
from kitepolars.frames.arrow import BatchSchema, RecordBatch, numpy_dtype
from kitepolars.frames.buffers import SLOT, Rows
from kitepolars.frames.schema import SCHEMA, TIMESTAMP
from kitepolars.frames.times import MAX_AHEAD
from kitepolars.wire.layouts import SEGMENT_MASK, segment_divisors

Clock = Literal["exchange_timestamp", "received_at"]
"""The times that bars can be cut on."""

Hours = Literal["exchange", "any"]
"""Which hours have bars: those of the trading calendar, or any."""

PATIENCE: Final = 2 * SECOND
"""A bar of an instrument that stays silent is finished when its market's clock is this far past
its end: ticks of other instruments overtake each other by a second."""

KEPT_AFTER_END: Final = 5 * SECOND
"""How long after their end bars are kept where they can change."""

_SUMMERS: Final = (2000, 2099)
_READ: Final = (
    "instrument_token",
    "seen",  # the time that bars are cut on
    "received_at",
    "is_snapshot",
    "last_price",
    "volume_traded",
    "average_traded_price",
    "oi",
    "last_trade_time",
    "open",
    "high",
    "low",
    "symbol",
)
"""The fields that the pass reads, in the order of `enum field` in `candles.c`."""

_TIME_COLUMNS: Final = ("exchange_timestamp", "received_at", "last_trade_time")
_DONE, _NEEDS_SLOTS, _NEEDS_BARS, _NEEDS_HORIZONS, _NEEDS_MARKET = range(5)


def _record(fields: str) -> np.dtype[Any]:
    """Return the dtype of a C struct from ``"kind name name …, kind name …"``."""
    parts = [part.split() for part in fields.split(",")]
    return np.dtype([(name, kind) for kind, *names in parts for name in names], align=True)


_STATE: Final = _record(
    "u4 token, i4 name, u4 symbol, i4 market, i8 newest reached day base dip worth pending_volume "
    "pending_turnover bar official_day official_at, f8 official_open official_high official_low "
    "price divisor, u1 has_symbol base_of is_rising is_on_arrival"
)
_BAR_RECORD: Final = _record(
    "i8 start end opened_at closed_at, f8 open high low close, i8 volume turnover priced "
    "priced_turnover count, i4 slot name, u4 ticks oi, u1 has_oi is_shown is_settled"
)
_MARKET: Final = _record("i8 pre_open opens winter summer resumes settles newest horizon")
_HORIZON: Final = _record("i8 market day newest")

_NO_TIME: Final = -(1 << 63)
_WORD64: Final = ctypes.c_int64
_POINTER: Final = ctypes.c_void_p


class _EngineStruct(ctypes.Structure):
    """`struct engine` of `candles.c`."""

    _fields_ = (
        *(
            (name, _WORD64)
            for name in ("interval", "any_hour", "check_arrival", "ahead", "earliest")
        ),
        ("states", _POINTER),
        ("slots", _WORD64),
        ("slot_room", _WORD64),
        ("table", _POINTER),
        ("table_size", _WORD64),
        ("bars", _POINTER),
        ("bar_count", _WORD64),
        ("bar_room", _WORD64),
        ("markets", _POINTER),
        ("horizons", _POINTER),
        ("horizon_count", _WORD64),
        ("horizon_room", _WORD64),
        ("name_rows", _POINTER),
        ("names", _WORD64),
        ("first_new_name", _WORD64),
        ("name_room", _WORD64),
        ("market_of", _POINTER),
        ("needs_symbol", _POINTER),
        ("divisors", _POINTER),
        ("is_summer", _POINTER),
        ("first_day", _WORD64),
        ("days", _WORD64),
        ("day", _WORD64),
        ("midnight", _WORD64),
        ("asked", _WORD64),
        ("begins", _WORD64),
        ("last_settled", _WORD64),
        ("on_arrival", _WORD64),
    )


class _Column(ctypes.Structure):
    """`struct column`: the stream, and room for what the loop keeps of it."""

    _fields_ = (("stream", _POINTER), ("chunk", _WORD64 * 10), ("place", _WORD64))


class _Cursor(ctypes.Structure):
    """`struct cursor`."""

    _fields_ = (("columns", _Column * len(_READ)), ("row", _WORD64))


_CHUNK_LENGTH, _CHUNK_OFFSET, _CHUNK_BUFFERS = 0, 2, 5  # words of an Arrow array


class _Given:
    """Ticks that a pass reads, and the symbols of their rows.

    Parameters
    ----------
    symbols
        The Categorical symbol of each row, or of each slot; None if they are not known.
    slots
        The slot of each row, where the symbols are those of slots.
    """

    def __init__(
        self, symbols: pl.Series | None, slots: npt.NDArray[np.uint32] | None = None
    ) -> None:
        self.cursor = _Cursor()
        self.at = ctypes.byref(self.cursor)
        self._symbols = symbols
        self._slots = slots
        self._kept: list[object] = []

    def keep(self, *owners: object) -> None:
        """Keep what owns memory that the cursor points to."""
        self._kept += owners

    def names(self, rows: npt.NDArray[np.int64]) -> pl.Series:
        """Return the symbols of rows."""
        if self._symbols is None:
            return pl.Series("symbol", [None] * len(rows), pl.Categorical)
        return self._symbols[rows if self._slots is None else self._slots[rows]].alias("symbol")


_stream_of: Final = ctypes.pythonapi.PyCapsule_GetPointer
_stream_of.restype = ctypes.c_void_p
_stream_of.argtypes = [ctypes.py_object, ctypes.c_char_p]

_BAR_COLUMNS: Final = {
    "instrument_token": pl.UInt32(),
    "symbol": pl.Int32(),
    "start": TIMESTAMP,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.UInt64(),
    "ticks": pl.UInt32(),
    "oi": pl.UInt32(),
    "vwap": pl.Float64(),
    "is_partial": pl.Boolean(),
}
"""The columns of candles with the number of a name for the symbol."""

_CANDLE_BATCH: Final = BatchSchema(_BAR_COLUMNS)
_CANDLE_DTYPES: Final = [
    None if dtype == pl.Boolean else numpy_dtype(name, dtype)
    for name, dtype in _BAR_COLUMNS.items()
]
_HAS_NULLS: Final = [name in {"oi", "vwap"} for name in _BAR_COLUMNS]


def _clock(time: dt.time | None, otherwise: int) -> int:
    """Return microseconds since midnight."""
    if time is None:
        return otherwise
    return ((time.hour * 60 + time.minute) * 60 + time.second) * SECOND


def _market_row(market: Market) -> tuple[int, ...]:
    opens, summer = _clock(market.opens, 0), _clock(market.closes, 0)
    winter = _clock(market.closes_in_winter, summer)
    return (
        _clock(market.pre_open, opens),
        opens,
        winter,
        summer,
        _clock(market.closing_session, DAY),
        _clock(market.settles, 0),
        _NO_TIME,
        -1,
    )


def _summer_days() -> tuple[int, npt.NDArray[np.uint8]]:
    """Return the first day known, in days since 1970, and whether each day is of US summer time."""
    epoch = dt.date(1970, 1, 1)
    first = (dt.date(_SUMMERS[0], 1, 1) - epoch).days
    days = np.zeros((dt.date(_SUMMERS[1] + 1, 1, 1) - epoch).days - first, np.uint8)
    for begins, ends in us_summers(*_SUMMERS):
        days[(begins - epoch).days - first : (ends - epoch).days - first] = 1
    return first, days


_FIRST_DAY, _IS_SUMMER = _summer_days()
_MARKET_OF: Final = np.array(
    [MARKETS.index(market_of_token(code)) for code in range(SEGMENT_MASK + 1)], np.uint8
)
_NEEDS_SYMBOL: Final = np.isin(np.arange(SEGMENT_MASK + 1), (7, 9)).astype(np.uint8)
"""Commodities and indices: their market depends on what they are on, or listed at."""

_DIVISOR_OF_SEGMENT: Final = segment_divisors()


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
        self.on: Clock = on
        self._names = [
            (place, on if field == "seen" else field)
            for place, field in enumerate(_READ)
            if not (field == "received_at" and on == field)  # it is there as "seen"
        ]
        self._states = np.zeros(1 << 8, _STATE)
        self._table = np.zeros(1 << 10, np.int32)
        self._bars = np.zeros(1 << 10, _BAR_RECORD)
        self._markets = np.array([_market_row(market) for market in MARKETS], _MARKET)
        self._horizons = np.zeros(1 << 6, _HORIZON)
        self._name_rows = np.zeros(1 << 8, np.int64)
        self._places = np.empty(0, np.int64)  # sorted, and of how many bars
        self._ordered = -1
        self.names = pl.Series("symbol", [], dtype=pl.Categorical)
        self._codes_of: pl.Series | None = None
        self._codes: npt.NDArray[np.uint32] = np.empty(0, np.uint32)  # of the symbols of slots
        self._symbols_key, self._symbols_made = (self._places, 0), self.names
        self._struct = _EngineStruct(
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
            market_of=native.address(_MARKET_OF),
            needs_symbol=native.address(_NEEDS_SYMBOL),
            divisors=native.address(_DIVISOR_OF_SEGMENT),
            is_summer=native.address(_IS_SUMMER),
            first_day=_FIRST_DAY,
            days=len(_IS_SUMMER),
            day=-1,
            midnight=-DAY - IST_OFFSET,
            asked=-1,
            begins=_NO_TIME,
            last_settled=_NO_TIME,
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
        given = self._streams(ticks) if isinstance(ticks, pl.DataFrame) else self._in_place(ticks)
        try:
            while (need := native.candle_rows(self._reference, given.at)) != _DONE:
                self._provide(need, given)
            self._take_names(given)
        finally:
            native.candle_close(given.at)

    def _streams(self, ticks: pl.DataFrame) -> _Given:
        """Return the columns of a frame as Arrow streams."""
        schema = check(ticks, self.on)
        symbols = _typed(ticks, schema, "symbol") if "symbol" in schema else None
        given = _Given(symbols)
        for place, name in self._names:
            if name not in schema:
                continue
            codes = (
                symbols.to_physical()
                if name == "symbol" and symbols is not None
                else _typed(ticks, schema, name)
            )
            capsule = codes.__arrow_c_stream__()
            given.keep(capsule)
            given.cursor.columns[place].stream = _stream_of(capsule, b"arrow_array_stream")
        return given

    def _in_place(self, rows: Rows) -> _Given:
        """Return the columns of a buffer as one chunk without a stream."""
        if rows.symbols is not self._codes_of:
            self._codes_of = rows.symbols
            self._codes = rows.symbols.to_physical().to_numpy()
        slots = rows.buffer.columns[SLOT][rows.start : rows.stop]
        codes = self._codes[slots]
        given = _Given(rows.symbols, slots)
        buffers = np.array(
            [
                (0, native.address(codes)) if name == SLOT else rows.buffer.buffers_of(name)
                for _, name in self._names
            ],
            np.int64,
        )
        given.keep(codes, buffers, rows.buffer)
        for row, (place, name) in enumerate(self._names):
            chunk = given.cursor.columns[place].chunk
            chunk[_CHUNK_LENGTH] = rows.height
            chunk[_CHUNK_OFFSET] = 0 if name == SLOT else rows.start
            chunk[_CHUNK_BUFFERS] = native.address(buffers) + row * buffers.strides[0]
        return given

    @property
    def _reference(self) -> Any:
        return ctypes.byref(self._struct)

    def _provide(self, need: int, given: _Given) -> None:
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

    def _take_names(self, given: _Given) -> None:
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
        places = np.clip(rows["day"] - _FIRST_DAY, 0, len(_IS_SUMMER) - 1)
        closes = np.where(_IS_SUMMER[places], markets["summer"], markets["winter"])
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


def _typed(ticks: pl.DataFrame, schema: pl.Schema, name: str) -> pl.Series:
    """Return a column in the contract's dtype; its unit of time, whatever the zone."""
    column, dtype = ticks.get_column(name), schema[name]
    if isinstance(dtype, pl.Datetime):
        return column if dtype.time_unit == "us" else column.dt.cast_time_unit("us")
    return column if dtype == SCHEMA[name] else column.cast(SCHEMA[name])


def check(frame: pl.DataFrame | pl.LazyFrame, on: Clock) -> pl.Schema:
    """Return the schema of a frame that an `Engine` can read.

    Raises
    ------
    ConfigError
        If columns are missing, or a time has no time zone.
    """
    schema = require(frame, ("instrument_token", "last_price"), "candles")
    if on not in schema:
        require(frame, ("received_at",), f"candles without {on}")
    for name in _TIME_COLUMNS:
        check_time(schema, name)
    return schema


@functools.cache
def fields(on: Clock) -> tuple[str, ...]:
    """Return the columns that an `Engine` reads, where a frame has them."""
    names = {on, *_READ}
    return tuple(name for name in SCHEMA if name in names)


def check_clock(on: str) -> None:
    """Raise `ConfigError` unless it is a time that bars can be cut on."""
    if on not in get_args(Clock):
        raise ConfigError("on", on, " or ".join(repr(name) for name in get_args(Clock)))


def check_hours(hours: str) -> None:
    """Raise `ConfigError` unless they are hours that can have bars."""
    if hours not in get_args(Hours):
        raise ConfigError("hours", hours, " or ".join(repr(name) for name in get_args(Hours)))
