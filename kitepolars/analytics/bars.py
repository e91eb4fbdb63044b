"""What a bar is: its columns, its length, the time it is cut on, the hours that have bars."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Final, Literal

import polars as pl

from kitepolars.calendar import DAY, SECOND
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIMESTAMP

CANDLES: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "symbol": pl.Categorical(),
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
)
"""Column → dtype of candles, in order. Prices in rupees, volume in shares or lots as traded."""

Clock = Literal["exchange_timestamp", "received_at"]
"""The times that bars can be cut on."""

Hours = Literal["exchange", "any"]
"""Which hours have bars: those of the trading calendar, or any."""

OlderCandles = Callable[[int, str, dt.datetime], pl.DataFrame]
"""Returns candles before a time, given token, interval and that time; none if there are none."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_KITE_UNITS: Final = {
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "sec": "s",
    "min": "m",
}
_INTERVAL: Final = re.compile(rf"(\d{{0,6}})({'|'.join((*_UNITS, *_KITE_UNITS))})")


def parse_interval(every: str | dt.timedelta) -> int:
    """Return the length of a bar in microseconds.

    Parameters
    ----------
    every
        A number and a unit (``s``, ``m``, ``h``, ``d``), one of Kite's own names
        (``"minute"``, ``"15minute"``, ``"day"``; also ``"15min"``), or a timedelta; whole seconds,
        from one second to one day.

    Raises
    ------
    ConfigError
        If it is anything else.

    Examples
    --------
    >>> parse_interval("1m") == parse_interval("minute") == 60_000_000
    True
    """
    interval = _as_microseconds(every)
    if interval is None or not SECOND <= interval <= DAY or interval % SECOND:
        raise ConfigError(
            "every",
            every,
            "a bar's length in whole seconds from '1s' to '1d', such as '30s', '1m', '3m', '5m', "
            "'15m', '30m', '1h', '1d', or a timedelta",
        )
    return interval


def _as_microseconds(every: object) -> int | None:
    if isinstance(every, dt.timedelta):
        return every // dt.timedelta(microseconds=1)
    match = _INTERVAL.fullmatch(every) if isinstance(every, str) else None
    if match is None:
        return None
    unit = _KITE_UNITS.get(match[2], match[2])
    return int(match[1] or 1) * _UNITS[unit] * SECOND
