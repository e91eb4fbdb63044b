"""Indicators of ticks: ordinary expressions, one number per tick. Pure; any thread.

Those of candles are in `kitepolars.analytics.technical`.

An indicator is a function that returns an expression named like itself, decorated with
`indicator`: ``df.kite`` and its documentation follow from that, and a test fails until the guide
shows it and `kitepolars` exports it.

A frame holds the ticks of many instruments, interleaved. What depends on earlier ticks
(`volume_delta`, `vwap`, `returns`, `realised_volatility`) therefore needs
``.over("instrument_token")``. `volume_delta` knows when a day begins; to begin the others anew each
day, add it, as in ``.over("instrument_token", pl.col("received_at").dt.date())``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import polars as pl
import polars.selectors as cs

from kitepolars.analytics.bars import parse_interval
from kitepolars.calendar import DAY, EARLIEST_TIME, IST_OFFSET, SECOND
from kitepolars.frames.times import MAX_AHEAD

__all__ = [
    "INDICATORS",
    "change",
    "indicator",
    "realised_volatility",
    "returns",
    "volume_delta",
    "vwap",
]

P = ParamSpec("P")
E = TypeVar("E", bound=pl.Expr)

INDICATORS: Final[dict[str, tuple[Callable[..., pl.Expr], bool]]] = {}
"""Name → the function, and whether it looks at the earlier ticks of the instrument."""


_DAY_BEGINS: Final = 9 * 3_600 * SECOND
"""The first market opens at 09:00 IST; packets before it have the volume of the day before."""

_NOISE: Final = 1e-14
"""What rounding leaves of a sum when another is subtracted from it, as a fraction of it."""


def indicator(*, within_instrument: bool = False) -> Callable[[Callable[P, E]], Callable[P, E]]:
    """Make a function that returns an expression an indicator, also under ``df.kite``.

    Parameters
    ----------
    within_instrument
        Whether it looks at earlier ticks, so that instruments must be kept apart.
    """

    def enter(function: Callable[P, E]) -> Callable[P, E]:
        INDICATORS[function.__name__] = function, within_instrument
        return function

    return enter


@indicator(within_instrument=True)
def volume_delta() -> pl.Expr:
    """Return the volume traded since the instrument's tick before.

    Returns
    -------
    Expr
        Int64, in shares: the difference of the cumulative volume. Null at the first tick and
        where the tick has no volume (ltp mode, indices). A count that falls and comes back in
        the next packet is ignored, as is 0. Where it falls below half, the day's count has
        begun again, and the difference is from 0. A smaller fall is a correction, and negative.

        If the frame has ``exchange_timestamp`` or ``received_at``, the first tick of a day counts
        from 0, whatever the count of the day before; a cached one (``is_snapshot``) is null,
        because its volume was traded before it was received. A day begins at 09:00 IST, and a
        packet whose ``last_trade_time`` is of an earlier day still belongs to that day.

    Notes
    -----
    Source: Kite Connect v3, "WebSocket streaming": ``volume_traded`` is the day's so far.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {"instrument_token": [1] * 6, "volume_traded": [100, 150, None, 0, 170, 20]}
    ... )
    >>> ticks.select(volume_delta().over("instrument_token")).to_series().to_list()
    [None, 50, None, 0, 20, 20]
    """
    # Fields of a struct are computed once; an expression that is used twice is computed twice.
    volume, count, day, before, after, is_new_day = map(
        pl.field, ("volume", "count", "day", "before", "after", "is_new_day")
    )
    is_cached = pl.coalesce(cs.by_name("is_snapshot", require_all=False), pl.lit(value=False))
    steps: tuple[dict[str, pl.Expr], ...] = (
        {"count": pl.when((volume > 0) | (volume.cum_max() == 0)).then(volume)},
        {"day": pl.when(count.is_not_null()).then(day)},
        {
            "before": _previous(count),
            "after": count.backward_fill().shift(-1),
            "is_new_day": (day > _previous(day.cum_max())).fill_null(value=False),
        },
        {"is_dip": (count < before) & (after >= before) & ~is_new_day},
        {"count": pl.when(~pl.field("is_dip").fill_null(value=False)).then(count)},
        {"before": _previous(count)},
    )
    fields = pl.struct(
        volume=pl.col("volume_traded").cast(pl.Int64), day=_trading_day(), is_cached=is_cached
    )
    for step in steps:
        fields = fields.struct.with_fields(**step)
    is_counted = volume.is_not_null() & before.is_not_null() & ~(is_new_day & pl.field("is_cached"))
    starts_at_0 = is_new_day | (2 * count < before)
    since = pl.when(starts_at_0).then(count).otherwise(count - before).fill_null(0)
    delta = pl.when(is_counted).then(since)
    return fields.struct.with_fields(volume_delta=delta).struct.field("volume_delta")


def _previous(values: pl.Expr) -> pl.Expr:
    return values.forward_fill().shift(1)


def _trading_day() -> pl.Expr:
    """Return the number of the day in which the volume was traded; null without times.

    The last trade says it, where its time is valid; else the exchange's time, else the arrival.
    """
    traded, exchange, received = (
        pl.coalesce(cs.by_name(name, require_all=False).dt.epoch("us"), pl.lit(None, pl.Int64))
        for name in ("last_trade_time", "exchange_timestamp", "received_at")
    )
    time = received
    for claimed in (exchange, traded):
        is_valid = (claimed >= EARLIEST_TIME) & ((claimed - time).fill_null(0) <= MAX_AHEAD)
        time = pl.when(is_valid).then(claimed).otherwise(time)
    return (time + IST_OFFSET - _DAY_BEGINS) // DAY


@indicator()
def change() -> pl.Expr:
    """Return the change from the previous close, in percent.

    Returns
    -------
    Expr
        The ``change`` of the official client: 0 where the close is 0 (never traded before).
        Null in ltp mode, which has no close.

    Examples
    --------
    >>> import polars as pl
    >>> pl.DataFrame({"last_price": [101.0], "close": [100.0]}).select(change()).item()
    1.0
    """
    price, close = pl.col("last_price"), pl.col("close")
    percent = (price - close) * 100 / close
    return pl.when(close == 0).then(0.0).otherwise(percent).alias("change")


@indicator(within_instrument=True)
def vwap() -> pl.Expr:
    """Return the volume-weighted average price since the first tick held, in rupees.

    Each tick's last price is weighted with its `volume_delta`. The exchange's own average
    since the open is the column ``average_traded_price``.

    Returns
    -------
    Expr
        Null until volume was seen.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {
    ...         "instrument_token": [1, 1, 1],
    ...         "last_price": [10.0, 10.0, 13.0],
    ...         "volume_traded": [100, 120, 130],
    ...     }
    ... )
    >>> ticks.select(vwap().over("instrument_token")).to_series().to_list()
    [None, 10.0, 11.0]
    """
    volume = volume_delta().fill_null(0)
    total = volume.cum_sum()
    worth = (pl.col("last_price") * volume).cum_sum()
    return pl.when(total > 0).then(worth / total).alias("vwap")


@indicator(within_instrument=True)
def returns(*, log: bool = False) -> pl.Expr:
    """Return the relative change of the last price since the tick before.

    Parameters
    ----------
    log
        Whether to take the natural logarithm of the ratio, so that returns can be summed.

    Returns
    -------
    Expr
        A fraction: 0.01 is one percent. Null at the first tick, and where either price is
        not above 0.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame({"instrument_token": [1, 1], "last_price": [100.0, 101.0]})
    >>> ticks.select(returns().round(6).over("instrument_token")).to_series().to_list()
    [None, 0.01]
    """
    price = pl.when(pl.col("last_price") > 0).then("last_price")
    ratio = price / price.shift(1)
    return (ratio.log() if log else ratio - 1).alias("returns")


@indicator(within_instrument=True)
def realised_volatility(window: str | dt.timedelta = "5m", *, on: str = "received_at") -> pl.Expr:
    """Return the realised volatility of the time up to each tick, from that and earlier ticks.

    Parameters
    ----------
    window
        How far to look back: ``"30s"``, ``"5m"``, ``"1h"``, … ``"1d"``, or a timedelta.
    on
        The column of time. It must not be null: ticks in quote mode have no
        ``exchange_timestamp``. Ticks that are late count at the latest time before them.

    Returns
    -------
    Expr
        The square root of the sum of squared logarithmic `returns` in the window, as a
        fraction; not scaled to a year. To scale: times ``(year / window) ** 0.5``.

    Raises
    ------
    ConfigError
        If the window is impossible.

    Examples
    --------
    >>> realised_volatility("1m").over("instrument_token").meta.output_name()
    'realised_volatility'
    """
    span = dt.timedelta(microseconds=parse_interval(window))
    total = (returns(log=True).fill_null(0) ** 2).cum_sum()
    # Many ticks have the same time: rows tell what came before, times how far the window reaches.
    clock = pl.col(on).cum_max()
    rows_gone = clock.search_sorted(clock - span, side="right")
    summed = total - total.shift(1, fill_value=0.0).gather(rows_gone)
    moved = pl.when(summed > total * _NOISE).then(summed).otherwise(0.0)
    return moved.sqrt().alias("realised_volatility")
