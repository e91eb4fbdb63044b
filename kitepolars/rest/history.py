"""Historical candles, in as many requests as necessary, with the columns of live ones. Any thread.

Source: Kite Connect v3, "Historical candle data": three requests a second, and
at most as many days in one request as the interval allows.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from kitepolars.analytics.bars import CANDLES, parse_interval
from kitepolars.calendar import DAY, IST, SECOND, Market, market_of_token
from kitepolars.errors import ConfigError, KitePolarsError, UnknownInstrument
from kitepolars.frames.schema import TIME_ZONE
from kitepolars.instruments import Instruments, RejectedRowsWarning
from kitepolars.rest.client import API, Client, Credentials, Pace

if TYPE_CHECKING:
    from kitepolars.instruments import Instrument

REQUESTS_PER_SECOND: Final = 3
"""Kite's rate limit of candles per API key."""

PACE: Final = Pace(REQUESTS_PER_SECOND)
"""The rate limit that all calls in this process share."""


@dataclass(frozen=True, kw_only=True)
class HistoryInterval:
    """An interval of Kite's candles.

    Parameters
    ----------
    name
        Kite's name of it.
    days
        The most calendar days that one request may cover.
    """

    name: str
    days: int


KITE_INTERVALS: Final = {
    parse_interval(interval.name): interval
    for interval in (
        HistoryInterval(name="minute", days=60),
        HistoryInterval(name="3minute", days=100),
        HistoryInterval(name="5minute", days=100),
        HistoryInterval(name="10minute", days=100),
        HistoryInterval(name="15minute", days=200),
        HistoryInterval(name="30minute", days=200),
        HistoryInterval(name="60minute", days=400),
        HistoryInterval(name="day", days=2_000),
    )
}
"""Microseconds of a bar → what Kite has of it. The days are those of its error messages."""

_CANDLE_COLUMNS: Final = ("start", "open", "high", "low", "close", "volume", "oi")
_WITHOUT_OI: Final = len(_CANDLE_COLUMNS) - 1
_ROW: Final = pl.Schema(
    dict(zip(_CANDLE_COLUMNS, (pl.String, *[pl.Float64] * 4, pl.Int64, pl.Int64), strict=True))
)
_STAMP: Final = "%Y-%m-%dT%H:%M:%S%z"
_WHEN: Final = "%Y-%m-%d %H:%M:%S"
_CANDLE_YEARS: Final = range(
    1971, 2100
)  # 1970 is a clock at 0; no market of Kite has older candles


def historical(
    session: Credentials,
    instrument: Instrument,
    interval: str | timedelta,
    start: date | datetime | str,
    end: date | datetime | str,
    *,
    continuous: bool = False,
    oi: bool = False,
    instruments: Instruments | None = None,
    url: str = API,
    progress: bool = True,
    pace: Pace = PACE,
) -> pl.DataFrame:
    """Return historical candles, in the schema of ``ticker.candles()``. Needs the extra ``http``.

    A long period is split into as many requests as Kite's limits require,
    three a second, with a progress bar if there is more than one. While Kite is busy
    (429) or out of order it is asked again, up to five times.

    Parameters
    ----------
    session
        A `Session`, an `Account`, or anything else with ``api_key`` and
        ``access_token``, such as the official ``KiteConnect``.
    instrument
        A token, or a name such as ``"NSE:INFY"`` if ``instruments`` are given.
    interval
        ``"1m"``, ``"3m"``, ``"5m"``, ``"10m"``, ``"15m"``, ``"30m"``, ``"1h"``, ``"1d"``, or
        Kite's names for them (``"minute"``, ``"60minute"``, ``"day"``).
    start, end
        Dates, times or ISO texts. Times without a zone are Indian. An end that is a
        date includes that day.
    continuous
        For a future: the candles of the contracts before it as well.
    oi
        Whether to ask for open interest.
    instruments
        To resolve a name, and to fill ``symbol``.
    url
        The root of the API.
    progress
        Whether to show the bar.
    pace
        The pace of requests; by default one that all calls in this process share.

    Returns
    -------
    DataFrame
        ``instrument_token``, ``symbol`` (null if not known), ``start`` (IST), ``open``,
        ``high``, ``low``, ``close`` (rupees), ``volume``, ``ticks`` and ``vwap`` (null:
        Kite keeps neither), ``oi`` (null unless asked for), ``is_partial`` (the bar was
        not over when it was fetched, or the request's start or end cuts it); by ``start``.

    Raises
    ------
    AuthenticationError
        If Kite refuses the token.
    ConnectionLost
        If Kite is still busy or not there after five attempts.
    ConfigError
        If the interval is none of Kite's, the end is before the start, or one of them is
        not from 1971 to 2099.
    UnknownInstrument
        If the name is not known.
    KitePolarsError
        If Kite refuses the request for another reason, or its response is invalid.
    ImportError
        If ``httpx`` is not installed.

    Warns
    -----
    RejectedRowsWarning
        If candles were left out because of an impossible time: no date of the calendar, before
        1971, or more than a day in the future.

    Examples
    --------
    >>> history = historical(session, 408065, "1m", "2026-11-19", "2026-11-20")  # doctest: +SKIP
    >>> pl.concat([history, ticker.candles("1m")])  # doctest: +SKIP
    """
    known = Instruments.from_records([]) if instruments is None else instruments
    if instruments is None and isinstance(instrument, str):
        raise UnknownInstrument(instrument, hint="Pass instruments=, or the token.")
    token = known.resolve(instrument)
    length = parse_interval(interval)
    kept = KITE_INTERVALS.get(length)
    if kept is None:
        names = ", ".join(repr(each.name) for each in KITE_INTERVALS.values())
        raise ConfigError("interval", interval, f"one of {names}")
    asked_from, asked_to = _moment(start, "start", time.min), _moment(end, "end", _END_OF_DAY)
    windows = list(split(asked_from, asked_to, kept.days))
    path = f"/instruments/historical/{token}/{kept.name}"
    flags = {"continuous": int(continuous), "oi": int(oi)}
    rows: list[list[Any]] = []
    with (
        Client(url, pace=pace, credentials=session) as client,
        _progress_bar(len(windows), shown=progress) as advance,
    ):
        for first, last in windows:
            asked = {"from": first.strftime(_WHEN), "to": last.strftime(_WHEN)} | flags
            rows += _rows(client.get(path, asked), path)
            advance()
    rows = _dated(rows, path, now=datetime.now(UTC))
    bars = _candles(rows, token, known.symbol(token))
    market = market_of_token(token, known.symbol(token))
    partial = _partial(
        bars["start"],
        length,
        market,
        asked=(asked_from, asked_to),
        now=datetime.now(IST),
    )
    return bars.with_columns(partial)


def split(start: datetime, end: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
    """Cut a period into pieces that touch at most `days` calendar days.

    Parameters
    ----------
    start, end
        The period, including both ends, in whole seconds.
    days
        The most calendar days of a piece.

    Raises
    ------
    ConfigError
        If the end is before the start.

    Examples
    --------
    >>> for first, last in split(datetime(2026, 1, 1, 9), datetime(2026, 1, 3, 9), 2):
    ...     print(first, "-", last)
    2026-01-01 09:00:00 - 2026-01-02 23:59:59
    2026-01-03 00:00:00 - 2026-01-03 09:00:00
    """
    if end < start:
        raise ConfigError("end", end.isoformat(), f"at or after start, {start.isoformat()}")
    while start <= end:
        midnight = datetime.combine(start.date() + timedelta(days=days), time.min, start.tzinfo)
        yield start, min(end, midnight - timedelta(seconds=1))
        start = midnight


_END_OF_DAY: Final = time(23, 59, 59)


def _moment(value: object, field: str, clock: time) -> datetime:
    """Return an Indian time; a date without a time gets `clock`."""
    if isinstance(value, str):
        value = _parsed(value, field)
    if isinstance(value, date) and value.year not in _CANDLE_YEARS:
        raise ConfigError(field, str(value), f"from {_CANDLE_YEARS[0]} to {_CANDLE_YEARS[-1]}")
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=IST) if value.tzinfo is None else value.astimezone(IST)
        return moment.replace(microsecond=0)
    if isinstance(value, date):
        return datetime.combine(value, clock, IST)
    raise ConfigError(field, value, "a date, a time or an ISO text")


def _parsed(text: str, field: str) -> date | datetime:
    for kind in (date, datetime):
        with contextlib.suppress(ValueError):
            return kind.fromisoformat(text.strip())
    raise ConfigError(field, text, "YYYY-MM-DD, or YYYY-MM-DD HH:MM:SS")


def _rows(data: Any, path: str) -> list[list[Any]]:
    candles = data.get("candles") if isinstance(data, dict) else None
    widths = (_WITHOUT_OI, len(_CANDLE_COLUMNS))
    if isinstance(candles, list) and all(
        isinstance(row, list) and len(row) in widths for row in candles
    ):
        return [row if len(row) == len(_CANDLE_COLUMNS) else [*row, None] for row in candles]
    raise KitePolarsError(f"{path}: Kite's response has no candles")


def _dated(rows: list[list[Any]], path: str, *, now: datetime) -> list[list[Any]]:
    """Leave out candles with an impossible time, and warn of them.

    Raises
    ------
    KitePolarsError
        If no candle is left.
    """
    texts = pl.Series(
        [row[0] if isinstance(row[0], str) else None for row in rows], dtype=pl.String
    )
    times = texts.str.to_datetime(_STAMP, time_unit="us", strict=False)
    earliest = datetime(_CANDLE_YEARS[0], 1, 1, tzinfo=UTC)
    possible = times.is_between(earliest, now + timedelta(days=1)).fill_null(value=False)
    wrong = [row for row, is_possible in zip(rows, possible, strict=True) if not is_possible]
    if not wrong:
        return rows
    fault = f"{path}: candles with an impossible time: {len(wrong):,}, such as {wrong[0]!r:.200}"
    if len(wrong) == len(rows):
        raise KitePolarsError(fault)
    warnings.warn(f"{fault}; they were left out", RejectedRowsWarning, stacklevel=3)
    return [row for row, is_possible in zip(rows, possible, strict=True) if is_possible]


def _candles(rows: list[list[Any]], token: int, symbol: str | None) -> pl.DataFrame:
    known = {"instrument_token": token, "symbol": symbol, "ticks": None, "vwap": None}
    try:
        return (
            pl.DataFrame(rows, schema=_ROW, orient="row", strict=True)
            .with_columns(pl.lit(value).alias(name) for name, value in known.items())
            .with_columns(
                pl.col("start")
                .str.to_datetime(_STAMP, time_unit="us")
                .dt.convert_time_zone(TIME_ZONE),
                pl.lit(value=False).alias("is_partial"),
            )
            .unique("start", keep="last")
            .sort("start")
            .select(*CANDLES)
            .cast(CANDLES)
        )
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise KitePolarsError(
            f"Kite's response has an invalid candle: {str(error)[:200]}"
        ) from None


def _partial(
    starts: pl.Series,
    length: int,
    market: Market,
    *,
    asked: tuple[datetime, datetime],
    now: datetime,
) -> pl.Series:
    """Return which candles are incomplete: not over yet, or cut by the request.

    Kite keeps minutes and groups those of the request: a candle is complete if its first and its
    last minute were requested. Source: Kite Connect developer forum, February 2022.
    """
    opens, closes = (
        starts.dt.date().replace_strict(hours, return_dtype=starts.dtype).dt.epoch("us")
        for hours in _sessions(starts.dt.date().unique(), market)
    )
    frame = pl.DataFrame({"start": starts.dt.epoch("us"), "opens": opens, "closes": closes})
    start, close = pl.col("start"), pl.col("closes")
    end = pl.min_horizontal(start + length, pl.when(start < close).then(close))
    begin = pl.max_horizontal("start", "opens") if length == DAY else start
    first, last, at = (int(moment.timestamp()) * SECOND for moment in (*asked, now))
    is_cut = (begin < first) | ((begin <= last) & (end - 60 * SECOND > last))
    return frame.select((is_cut | (end > at)).alias("is_partial")).to_series()


def _sessions(days: pl.Series, market: Market) -> tuple[dict[date, datetime], dict[date, datetime]]:
    """Return when a market opens and closes, by day."""
    opens = {day: datetime.combine(day, market.opens, IST) for day in days}
    return opens, {day: datetime.combine(day, market.closes_on(day), IST) for day in days}


@contextlib.contextmanager
def _progress_bar(requests: int, *, shown: bool) -> Iterator[Any]:
    if requests == 1 or not shown:
        yield lambda: None
        return
    from rich.progress import Progress  # noqa: PLC0415 -- loaded only where it is seen

    with Progress(transient=True) as bar:
        task = bar.add_task("history", total=requests)
        yield lambda: bar.advance(task)
