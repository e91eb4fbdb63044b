"""Where a chart finds candles before those of its ticker: recorded days, then Kite's history.

Each is a function that is given an instrument's token, an interval and a time, and returns candles
before that time. Any thread.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from kitepolars.analytics import CANDLES, Clock, Hours, candles
from kitepolars.analytics.bars import OlderCandles, parse_interval
from kitepolars.calendar import DAY, IST
from kitepolars.frames.schema import TIME_ZONE
from kitepolars.wire.control import KITE_URL

if TYPE_CHECKING:
    from kitepolars.days.scan import Moment
    from kitepolars.days.storage import StorageOptions
    from kitepolars.rest.client import Credentials

DAILY_BARS: Final = 60
"""Recorded days that are read at once for bars of a day; for shorter ones it is one day."""

FETCHED_BARS: Final = 3_000
"""Bars of Kite's history that are asked for at once, about; a request may have more."""

_LEAST_DAYS: Final = 7
"""Calendar days that a request covers at least, because a market may be closed for some."""


class DaysScan(Protocol):
    """Returns the ticks of some days and instruments, as `kitepolars.scan` does."""

    def __call__(self, *, start: Moment, end: Moment, instruments: Sequence[int]) -> pl.LazyFrame:
        """Return them, to be read when they are collected."""
        ...


def recorded_candles(
    path: str | os.PathLike[str],
    *,
    hours: Hours = "exchange",
    storage_options: StorageOptions | None = None,
) -> OlderCandles:
    """Return a function that makes older candles of a table of days: ``history=`` of a chart.

    A ticker whose recorder publishes has it without being asked.

    Parameters
    ----------
    path
        The table's folder, or its URL: ``s3://bucket/days``.
    hours
        The hours that have candles: those of the trading calendar, or ``"any"``.
    storage_options
        As for `kitepolars.scan`.

    Returns
    -------
    Callable
        Given a token, an interval and a time, it returns the candles of the last recorded day
        before it, with the columns of `kitepolars.CANDLES`.

    Raises
    ------
    TableError
        When the path can be no table; from the function, when the table cannot be read.
    ConfigError
        From the function, when the interval cannot be.

    Examples
    --------
    >>> import tempfile
    >>> import kitepolars as kp
    >>> from kitepolars.playback import SAMPLE
    >>> with tempfile.TemporaryDirectory() as days:
    ...     _ = kp.publish(SAMPLE, days)
    ...     older = recorded_candles(days)
    ...     bars = older(408065, "1m", dt.datetime(2026, 11, 21, tzinfo=IST))
    >>> bars.height, bars["symbol"].unique().to_list()
    (8, ['NSE:INFY'])
    """
    from kitepolars.days.manifest import Table  # noqa: PLC0415 - loaded on use
    from kitepolars.days.scan import scan  # noqa: PLC0415 - loaded on use

    days = Table(path, storage_options).days
    return candles_of_days(partial(scan, path, storage_options=storage_options), days, hours=hours)


def candles_of_days(
    scan: DaysScan, days: Callable[[], Sequence[dt.date]], *, hours: Hours
) -> OlderCandles:
    """Return a function that makes older candles of what `scan` returns of `days`."""

    def older(token: int, every: str, before: dt.datetime) -> pl.DataFrame:
        at = before.astimezone(IST)
        most = DAILY_BARS if parse_interval(every) >= DAY else 1
        parts: list[pl.DataFrame] = []
        for day in reversed([day for day in days() if day <= at.date()]):
            end: Moment = at if day == at.date() else day
            midnight = dt.datetime.combine(day, dt.time(), IST)
            if end == midnight:
                continue
            ticks = scan(start=day, end=end, instruments=[token]).collect()
            bars = _bars(ticks, every, hours).filter(_is_before(before))
            if bars.height:
                parts.insert(0, bars)
            if len(parts) == most:
                break
        return pl.concat(parts) if parts else CANDLES.to_frame()

    return older


def _bars(ticks: pl.DataFrame, every: str, hours: Hours) -> pl.DataFrame:
    """Return candles cut as a chart cuts its own: on arrival where there is no exchange time."""
    is_timed = not ticks["exchange_timestamp"].null_count()
    on: Clock = "exchange_timestamp" if is_timed else "received_at"
    return candles(ticks, every, on=on, hours=hours)


def historical_candles(session: Credentials) -> OlderCandles:
    """Return a function that fetches older candles from Kite: ``history=`` of a chart.

    Needs the extra ``http``. A ticker with an account has it without being asked.

    Parameters
    ----------
    session
        A `Session`, an `Account`, or anything else with ``api_key`` and ``access_token``.

    Returns
    -------
    Callable
        Given a token, an interval and a time, it returns about 3,000 candles before it, with the
        columns of `kitepolars.CANDLES`; none for intervals that Kite does not have.

    Examples
    --------
    >>> import kitepolars as kp
    >>> older = historical_candles(kp.Account("main", "my_key", "my_token"))
    >>> older(408065, "1s", dt.datetime(2026, 11, 21, tzinfo=IST)).height  # Kite has minutes
    0
    """
    return _KiteHistory(session).before


class _KiteHistory:
    """Kite's history of an account. It has a method, not a closure: tracebacks show closures."""

    def __init__(self, session: Credentials) -> None:
        self._session = session

    def before(self, token: int, every: str, before: dt.datetime) -> pl.DataFrame:
        from kitepolars.rest.history import KITE_INTERVALS, historical  # noqa: PLC0415 - on use

        length = parse_interval(every)
        kept = KITE_INTERVALS.get(length)
        if kept is None:
            return CANDLES.to_frame()
        days = min(kept.days, max(_LEAST_DAYS, FETCHED_BARS * length // DAY))
        end = before.astimezone(IST) - dt.timedelta(seconds=1)
        start = dt.datetime.combine(end.date() - dt.timedelta(days=days - 1), dt.time(), IST)
        found = historical(self._session, token, every, start, end, progress=False)
        return found.filter(_is_before(before))


def first_found(functions: Sequence[OlderCandles]) -> OlderCandles | None:
    """Return a function that asks several, in order, until one has candles; None of none."""

    def older(token: int, every: str, before: dt.datetime) -> pl.DataFrame:
        found: Iterator[pl.DataFrame] = (ask(token, every, before) for ask in functions)
        return next((bars for bars in found if bars.height), CANDLES.to_frame())

    return older if functions else None


def _is_before(moment: dt.datetime) -> pl.Expr:
    return pl.col("start") < pl.lit(moment.astimezone(UTC)).dt.convert_time_zone(TIME_ZONE)


def has_history(url: str) -> bool:
    """Return whether Kite's history belongs to a feed, and can be fetched here."""
    return url == KITE_URL and importlib.util.find_spec("httpx") is not None
