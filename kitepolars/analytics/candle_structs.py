"""The structs of `candles.c`, and the trading calendar as it reads it.

Each struct names the fields of its counterpart there, in the same order.
"""

from __future__ import annotations

import ctypes
import datetime as dt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.calendar import (
    DAY,
    MARKETS,
    Market,
    market_of_token,
    since_midnight,
    us_summers,
)
from kitepolars.wire.layouts import SEGMENT_MASK, segment_divisors

_SUMMERS: Final = (2000, 2099)
"""The years whose days of US summer time are known; it moves the close of some markets."""


def _record(fields: str) -> np.dtype[Any]:
    """Return the dtype of a C struct from ``"kind name name …, kind name …"``."""
    parts = [part.split() for part in fields.split(",")]
    return np.dtype([(name, kind) for kind, *names in parts for name in names], align=True)


STATE_RECORD: Final = _record(
    "u4 token, i4 name, u4 symbol, i4 market, i8 newest reached day base dip worth pending_volume "
    "pending_turnover bar official_day official_at, f8 official_open official_high official_low "
    "price divisor, u1 has_symbol base_of is_rising is_on_arrival"
)
BAR_RECORD: Final = _record(
    "i8 start end opened_at closed_at, f8 open high low close, i8 volume turnover priced "
    "priced_turnover count, i4 slot name, u4 ticks oi, u1 has_oi is_shown is_settled"
)
MARKET_RECORD: Final = _record("i8 pre_open opens winter summer resumes settles newest horizon")
HORIZON_RECORD: Final = _record("i8 market day newest")

READ: Final = (
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

NO_TIME: Final = -(1 << 63)
_WORD64: Final = ctypes.c_int64
_POINTER: Final = ctypes.c_void_p


def _words(fields: str) -> list[tuple[str, type[ctypes.c_int64 | ctypes.c_void_p]]]:
    """Return fields of 64 bits from ``"number *pointer …"``."""
    return [
        (name.removeprefix("*"), _POINTER if name.startswith("*") else _WORD64)
        for name in fields.split()
    ]


class EngineStruct(ctypes.Structure):
    """`struct engine`."""

    _fields_ = _words(
        "interval any_hour check_arrival ahead earliest *states slots slot_room *table table_size "
        "*bars bar_count bar_room *markets *horizons horizon_count horizon_room *name_rows names "
        "first_new_name name_room *market_of *needs_symbol *divisors *is_summer first_day days day "
        "midnight asked begins last_settled on_arrival"
    )


class ColumnStruct(ctypes.Structure):
    """`struct column`: the stream, and room for what the loop keeps of it."""

    _fields_ = (("stream", _POINTER), ("chunk", _WORD64 * 10), ("place", _WORD64))


class CursorStruct(ctypes.Structure):
    """`struct cursor`."""

    _fields_ = (("columns", ColumnStruct * len(READ)), ("row", _WORD64))


def _clock(time: dt.time | None, otherwise: int) -> int:
    return otherwise if time is None else since_midnight(time)


def market_row(market: Market) -> tuple[int, ...]:
    """Return a `MARKET_RECORD` of a market in which nothing has happened yet."""
    opens, summer = _clock(market.opens, 0), _clock(market.closes, 0)
    winter = _clock(market.closes_in_winter, summer)
    return (
        _clock(market.pre_open, opens),
        opens,
        winter,
        summer,
        _clock(market.closing_session, DAY),
        _clock(market.settles, 0),
        NO_TIME,
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


FIRST_DAY, IS_SUMMER = _summer_days()
MARKET_OF_SEGMENT: Final = np.array(
    [MARKETS.index(market_of_token(code)) for code in range(SEGMENT_MASK + 1)], np.uint8
)
NEEDS_SYMBOL: Final = np.isin(np.arange(SEGMENT_MASK + 1), (7, 9)).astype(np.uint8)
"""Commodities and indices: their market depends on what they are on, or listed at."""

DIVISOR_OF_SEGMENT: Final = segment_divisors()
