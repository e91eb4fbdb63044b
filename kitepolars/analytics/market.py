"""The market now: one row per instrument, and who moves most. Pure; any thread."""

from __future__ import annotations

import datetime as dt
from typing import Final

import polars as pl

from kitepolars.analytics.columns import Frame, column, require, schema_of
from kitepolars.analytics.indicators import change
from kitepolars.errors import ConfigError, check_whole_number
from kitepolars.frames.schema import TIMESTAMP

__all__ = ["latest", "movers", "with_market"]

_LEADING: Final = (
    "instrument_token",
    "symbol",
    "last_price",
    "change",
    "range_position",
    "staleness",
)
"""What `latest` puts first."""

_MOVER: Final = pl.Enum(["gainer", "loser"])


def latest(frame: Frame, *, now: dt.datetime | None = None) -> Frame:
    """Return the last tick of each instrument, with what a watch list shows.

    Parameters
    ----------
    frame
        Ticks in arrival order. Of a table of days, ``kp.scan(table, last=True)`` has the last tick
        of each instrument already, and reads nothing else.
    now
        A time with a time zone. Without one, the latest time in the frame.

    Returns
    -------
    DataFrame or LazyFrame
        Sorted by instrument token: ``instrument_token``, ``symbol``, ``last_price``,
        ``change`` (percent to the previous close), ``range_position`` (where the price lies
        in the day's range: 0 at the low, 1 at the high; null where there is no range),
        ``staleness`` (Duration from the tick's arrival to `now`), then the tick's other
        columns.

    Raises
    ------
    ConfigError
        If columns are missing, or `now` has no time zone.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {"instrument_token": [1, 2, 1], "last_price": [9.0, 5.0, 12.0], "close": [8.0, 5, 8]}
    ... )
    >>> latest(ticks).select("instrument_token", "last_price", "change").rows()
    [(1, 12.0, 50.0), (2, 5.0, 0.0)]
    """
    require(frame, ("instrument_token", "last_price"), "latest")
    return with_market(frame.group_by("instrument_token").last().sort("instrument_token"), now=now)


def with_market(frame: Frame, *, now: dt.datetime | None = None) -> Frame:
    """Add what a watch list shows to a frame that has one row per instrument.

    Parameters
    ----------
    frame
        The last tick of each instrument.
    now
        As for `latest`.

    Returns
    -------
    DataFrame or LazyFrame
        The columns in the order of `latest`. ``symbol`` is null where the frame has none.

    Raises
    ------
    ConfigError
        If `now` has no time zone.
    """
    if now is not None and (not isinstance(now, dt.datetime) or now.tzinfo is None):
        raise ConfigError("now", now, "a datetime with a time zone, or None")
    schema = schema_of(frame)
    tick_time = column(schema, "received_at" if "received_at" in schema else "exchange_timestamp")
    until = tick_time.max() if now is None else pl.lit(now).cast(TIMESTAMP)
    missing = [name for name in ("symbol", "close", "high", "low") if name not in schema]
    low, high = pl.col("low"), pl.col("high")
    position = (pl.col("last_price") - low) / (high - low)
    others = [name for name in schema if name not in _LEADING]
    market = frame.with_columns(column(schema, name) for name in missing).with_columns(
        change(),
        pl.when((high > low) & (pl.col("last_price") != 0))
        .then(position.clip(0, 1))
        .alias("range_position"),
        (until - tick_time).alias("staleness"),
    )
    return market.select(*_LEADING, *others)


def movers(frame: Frame, n: int = 10) -> Frame:
    """Return the instruments that rose most and those that fell most.

    Parameters
    ----------
    frame
        What `latest` returns; ticks are taken to their last row first.
    n
        The most of each, 1 and up.

    Returns
    -------
    DataFrame or LazyFrame
        ``mover`` ("gainer", strongest first, then "loser", strongest first), ``rank`` from 1,
        ``instrument_token``, ``symbol``, ``last_price`` and ``change`` in percent.

    Raises
    ------
    ConfigError
        If `n` is not a positive whole number, or columns are missing.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {"instrument_token": [1, 2], "last_price": [9.0, 6.0], "close": [10.0, 5.0]}
    ... )
    >>> movers(ticks).select("mover", "instrument_token", "change").rows()
    [('gainer', 2, 20.0), ('loser', 1, -10.0)]
    """
    check_whole_number("n", n, 1)
    schema = require(frame, ("instrument_token", "last_price"), "movers")
    if "change" not in schema:
        require(frame, ("close",), "movers of ticks")
        frame = latest(frame)
        schema = schema_of(frame)
    moved = frame.select("instrument_token", column(schema, "symbol"), "last_price", "change")
    moved = moved.filter(pl.col("last_price") != 0)  # not traded: that is no fall of 100 %
    gainers = moved.filter(pl.col("change") > 0).sort(
        "change", "instrument_token", descending=[True, False]
    )
    losers = moved.filter(pl.col("change") < 0).sort("change", "instrument_token")
    ranked = [
        part.head(n).select(
            pl.lit(name, _MOVER).alias("mover"),
            pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("rank"),
            pl.all(),
        )
        for name, part in zip(_MOVER.categories, (gainers, losers), strict=True)
    ]
    return pl.concat(ranked)
