"""When contracts expire, in simplified exchange rules. Pure functions; any thread.

Holidays are not known; an expiry on a weekend moves to the Friday before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import count, islice
from math import inf
from typing import Final

__all__ = ["IST", "day_of", "expires_at", "month_expiries", "week_expiries"]

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
"""Indian Standard Time; it has no summer time."""

_CLOSING_TIME: Final = {"CDS": (12, 30), "MCX": (23, 30), "NCO": (23, 30)}
_SHARES_CLOSE: Final = (15, 30)
_SATURDAY: Final = 5


def day_of(moment: float) -> date:
    """Return the day in India of a moment in UTC epoch seconds."""
    return datetime.fromtimestamp(moment, UTC).astimezone(IST).date()


def expires_at(exchange: str, expiry: date | None) -> float:
    """Return the last moment of a contract in UTC epoch seconds; infinity without an expiry.

    Examples
    --------
    >>> expires_at("NFO", date(2026, 11, 24))
    1795514400.0
    """
    if expiry is None:
        return inf
    hour, minute = _CLOSING_TIME.get(exchange, _SHARES_CLOSE)
    return datetime(expiry.year, expiry.month, expiry.day, hour, minute, tzinfo=IST).timestamp()


def month_expiries(
    on: date, number: int, *, weekday: int | None = None, day: int | None = None
) -> list[date]:
    """Return the next monthly expiries from a day on, itself included.

    Parameters
    ----------
    on
        The day.
    number
        How many.
    weekday
        They are each month's last such weekday (Monday is 0), or …
    day
        … this day of the month, or the Friday before.

    Examples
    --------
    >>> month_expiries(date(2026, 11, 22), 2, weekday=1)
    [datetime.date(2026, 11, 24), datetime.date(2026, 12, 29)]
    """
    dates = (
        _last_weekday(first, weekday) if weekday is not None else _working_day(first, day or 1)
        for first in _months_from(on)
    )
    return list(islice((expiry for expiry in dates if expiry >= on), number))


def week_expiries(on: date, number: int, *, weekday: int) -> list[date]:
    """Return the next weekly expiries from a day on, itself included."""
    first = on + timedelta((weekday - on.weekday()) % 7)
    return [first + timedelta(weeks=week) for week in range(number)]


def _months_from(on: date) -> Iterator[date]:
    return (date(on.year + n // 12, n % 12 + 1, 1) for n in count(on.month - 1))


def _last_weekday(first: date, weekday: int) -> date:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return last - timedelta((last.weekday() - weekday) % 7)


def _working_day(first: date, day: int) -> date:
    wanted = first.replace(day=day)
    return wanted - timedelta(max(0, wanted.weekday() - _SATURDAY + 1))
