"""When each segment trades, and how bars lie on its day. Pure data and expressions.

Source of the hours: the exchanges' sessions as Kite shows them (equity from
09:15, pre-open from 09:00; currency 09:00 to 17:00; commodities from 09:00 to
23:30, in winter 23:55). Kite's own bars start at the session's open, so that
the first 30-minute bar of equity starts at 09:15 and the first hour at 09:15.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.wire.layouts import DEFAULT_DIVISOR, SEGMENT_MASK, SEGMENTS

SECOND: Final = 1_000_000
"""Microseconds of a second: the unit of every integer time here."""

DAY: Final = 86_400 * SECOND
"""Microseconds of a day."""

IST_OFFSET: Final = 19_800 * SECOND
"""India is 5 h 30 min ahead of UTC all year, so that days are plain arithmetic."""

INTERVALS: Final = "from '1s' to '1d', such as '30s', '1m', '3m', '5m', '15m', '30m', '1h', '1d'"
"""What an interval may be, in the words of the errors."""


def _clock(hour: int, minute: int = 0) -> int:
    """Return microseconds since midnight."""
    return (hour * 60 + minute) * 60 * SECOND


@dataclass(frozen=True, kw_only=True)
class Session:
    """The hours of a segment, in microseconds since midnight IST.

    Parameters
    ----------
    pre_open
        The start of the call auction. Equal to `opens` where there is none.
    opens, closes
        Continuous trading.
    """

    pre_open: int
    opens: int
    closes: int


EQUITY: Final = Session(pre_open=_clock(9), opens=_clock(9, 15), closes=_clock(15, 30))
CURRENCY: Final = Session(pre_open=_clock(9), opens=_clock(9), closes=_clock(17))
COMMODITY: Final = Session(pre_open=_clock(9), opens=_clock(9), closes=_clock(23, 55))

SESSIONS: Final = {
    1: EQUITY,  # NSE
    2: EQUITY,  # NFO
    3: CURRENCY,  # CDS
    4: EQUITY,  # BSE
    5: EQUITY,  # BFO
    6: CURRENCY,  # BCD
    7: COMMODITY,  # MCX
    8: CURRENCY,  # MCXSX
    9: EQUITY,  # INDICES
    12: COMMODITY,  # NCO
}
"""Segment code → its session. A code that is not here is taken as equity."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_KITE_UNITS: Final = {"second": "s", "minute": "m", "hour": "h", "day": "d"}
_INTERVAL: Final = re.compile(r"(\d{0,6})(s|m|h|d|second|minute|hour|day)")


def parse_interval(every: str | dt.timedelta) -> int:
    """Return the length of a bar in microseconds.

    Parameters
    ----------
    every
        A number and a unit (``s``, ``m``, ``h``, ``d``), one of Kite's own names
        (``"minute"``, ``"15minute"``, ``"day"``), or a timedelta; whole seconds,
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
        expected = f"a bar's length in whole seconds {INTERVALS}, or a timedelta"
        raise ConfigError("every", every, expected)
    return interval


def _as_microseconds(every: object) -> int | None:
    if isinstance(every, dt.timedelta):
        return every // dt.timedelta(microseconds=1)
    match = _INTERVAL.fullmatch(every) if isinstance(every, str) else None
    if match is None:
        return None
    unit = _KITE_UNITS.get(match[2], match[2])
    return int(match[1] or 1) * _UNITS[unit] * SECOND


def _by_segment(token: pl.Expr, values: dict[int, int], default: int) -> pl.Expr:
    """Map the segment code to a number; one comparison for each number that is not the default."""
    code = token & SEGMENT_MASK
    expr = pl.lit(default, pl.Int64)
    for value in sorted(set(values.values()) - {default}):
        codes = [segment for segment, number in values.items() if number == value]
        expr = pl.when(code.is_in(codes)).then(pl.lit(value, pl.Int64)).otherwise(expr)
    return expr


def opens_at(token: pl.Expr) -> pl.Expr:
    """Return when the instrument's session opens, in microseconds since midnight IST."""
    return _by_segment(token, {c: s.opens for c, s in SESSIONS.items()}, EQUITY.opens)


def closes_at(token: pl.Expr) -> pl.Expr:
    """Return when the instrument's session closes, in microseconds since midnight IST."""
    return _by_segment(token, {c: s.closes for c, s in SESSIONS.items()}, EQUITY.closes)


def divisor(token: pl.Expr) -> pl.Expr:
    """Return the price scale: prices are whole multiples of ``1 / divisor`` rupees."""
    return _by_segment(token, {c: s.divisor for c, s in SEGMENTS.items()}, DEFAULT_DIVISOR)


def day_start(time: pl.Expr) -> pl.Expr:
    """Return the midnight (IST) before an integer UTC time, as an integer UTC time."""
    return time - (time + IST_OFFSET) % DAY


def in_pre_open(time: pl.Expr, token: pl.Expr) -> pl.Expr:
    """Whether an integer UTC time lies in the call auction before the session."""
    clock = time - day_start(time)
    starts = _by_segment(token, {c: s.pre_open for c, s in SESSIONS.items()}, EQUITY.pre_open)
    return (clock >= starts) & (clock < opens_at(token))


def bar_start(time: pl.Expr, token: pl.Expr, interval: int) -> pl.Expr:
    """Return the start of the bar that an integer UTC time falls in.

    Bars count from the session's open, in both directions, and never reach over
    midnight. A bar of a day is the calendar day in India, as Kite's are.
    """
    midnight = day_start(time)
    if interval == DAY:
        return midnight
    anchor = opens_at(token)
    start = anchor + (time - midnight - anchor).floordiv(interval) * interval
    return midnight + start.clip(lower_bound=0)


def bar_end(start: pl.Expr, token: pl.Expr, interval: int) -> pl.Expr:
    """Return when a bar is complete: after its length, or at the session's close."""
    midnight = day_start(start)
    close = midnight + closes_at(token)
    end = pl.min_horizontal(start + interval, midnight + DAY)
    return pl.when(start < close).then(pl.min_horizontal(end, close)).otherwise(end)
