"""Ticks → pieces of bars: the one pass over the rows. Pure; any thread.

A *piece* is what one batch of ticks says about one bar of one instrument.
`candles` makes bars of the pieces of a whole frame, `builder` of those of many
small ones, and because all sums are of integers both come to the same numbers.

Kite's volume is cumulative, so that a tick's own volume is its difference to
the tick before it:

- A tick after a gap has the gap's volume in it; it goes to that tick's bar.
- A cached snapshot opens no bar and has no price to add. Its volume goes to
  the next fresh tick of the instrument.
- When the day changes, or the volume falls below half, the count has begun
  again at 0, and a fresh tick's volume is all of its own. A snapshot there is
  a base line, because nobody watched what came before it. The same volume as
  yesterday's last is not yet a new count. A smaller fall is a correction and
  is subtracted.
- A tick older than one already seen of its instrument (another connection may
  be slower) takes part in the prices of its own bar, and not in the volume.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import polars as pl

from kitepolars.analytics.columns import column, require, time_column
from kitepolars.analytics.sessions import DAY, IST_OFFSET, bar_start, divisor, in_pre_open
from kitepolars.errors import ConfigError

Clock = Literal["exchange_timestamp", "received_at"]
"""The times that bars can be cut on."""

TOKEN: Final = "instrument_token"  # noqa: S105 - a column's name

_VOLUMES: Final = 1 << 40
"""A volume and its day share one integer, so that one window function moves both."""


def check_clock(on: str) -> None:
    """Raise `ConfigError` unless it is a time that bars can be cut on."""
    if on not in get_args(Clock):
        raise ConfigError("on", on, " or ".join(repr(name) for name in get_args(Clock)))


def rows(frame: pl.LazyFrame, interval: int, on: Clock) -> pl.LazyFrame:
    """Return what bars need of each tick, in arrival order.

    ``seen`` is the time asked for and ``time`` the same with the arrival in its
    place where it is null. ``price`` is null where the tick opens no bar.
    """
    schema = require(frame, (TOKEN, "last_price"), "candles")
    if on not in schema:
        require(frame, ("received_at",), f"candles without {on}")
    token = pl.col(TOKEN)
    return (
        frame.select(
            column(schema, TOKEN),
            column(schema, "symbol"),
            time_column(schema, on).alias("seen"),
            time_column(schema, "received_at").alias("time"),
            column(schema, "is_snapshot").fill_null(value=False).alias("snapshot"),
            column(schema, "last_price").alias("price"),
            column(schema, "volume_traded").cast(pl.Int64).alias("height"),
            column(schema, "average_traded_price").alias("average"),
            column(schema, "oi"),
        )
        .with_columns(pl.coalesce("seen", "time").alias("time"))
        .filter(pl.col("time").is_not_null(), pl.col("price").is_not_null())
        .with_columns(
            bar_start(pl.col("time"), token, interval).alias("start"),
            _raw(pl.col("price")).alias("raw_price"),
            ((pl.col("time") + IST_OFFSET).floordiv(DAY) * _VOLUMES + pl.col("height")).alias(
                "level"
            ),
            (_raw(pl.col("average")) * pl.col("height")).alias("worth"),
            pl.when(~pl.col("snapshot") & ~in_pre_open(pl.col("time"), token))
            .then("price")
            .alias("price"),
            pl.lit(0, pl.Int64).alias("pending_volume"),
            pl.lit(0, pl.Int64).alias("pending_turnover"),
        )
        .drop("average")
    )


def _raw(price: pl.Expr) -> pl.Expr:
    """Return a price as the integer on the wire: sums of integers do not depend on their order."""
    return (price * divisor(pl.col(TOKEN))).round().cast(pl.Int64)


def measured(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows with their own ``volume`` and ``turnover``, and the bar these go to.

    A ``start`` of null means that no fresh tick has come yet to take the volume.
    """
    level, worth = pl.col("level"), pl.col("worth")
    timely = pl.when(~pl.col("late"))
    opening = pl.when(~pl.col("late") & pl.col("price").is_not_null())
    return (
        rows.with_columns(
            # Null where the exchange's time is null: such a tick is never late.
            (pl.col("seen") < pl.col("seen").cum_max().over(TOKEN))
            .fill_null(value=False)
            .alias("late")
        )
        .with_columns(timely.then(level).alias("level"), timely.then(worth).alias("worth"))
        .with_columns(
            level.forward_fill().shift(1).over(TOKEN).alias("level_before"),
            worth.forward_fill().shift(1).over(TOKEN).alias("worth_before"),
            opening.then("start").backward_fill().over(TOKEN).alias("target"),
        )
        .with_columns(_begins_again().alias("again"))
        .with_columns(
            _own(level % _VOLUMES, pl.col("level_before") % _VOLUMES, "pending_volume").alias(
                "volume"
            ),
            _own(worth, pl.col("worth_before"), "pending_turnover").alias("turnover"),
            pl.when("late").then("start").otherwise("target").alias("start"),
        )
    )


def _begins_again() -> pl.Expr:
    """Whether the cumulative volume started from 0 since the row before."""
    level, before = pl.col("level"), pl.col("level_before")
    volume, volume_before = level % _VOLUMES, before % _VOLUMES
    new_day = level.floordiv(_VOLUMES) > before.floordiv(_VOLUMES)
    return (new_day & (volume != volume_before)) | (2 * volume < volume_before)


def _own(now: pl.Expr, before: pl.Expr, pending: str) -> pl.Expr:
    """Return the row's own part of a cumulative number; the first row of all has none."""
    watched = pl.when("again").then(0).otherwise(before)
    base = pl.when(pl.col("again") & pl.col("snapshot")).then(now).otherwise(watched)
    return (now - base).fill_null(0) + pl.col(pending)


def main_pieces(measured: pl.LazyFrame) -> pl.LazyFrame:
    """Return one piece per instrument and bar, from the ticks that came in order."""
    opens = pl.col("price").is_not_null()
    own = pl.col("volume") - pl.col("pending_volume")
    return (
        measured.filter(~pl.col("late"))
        .with_columns(
            pl.when(opens).then("time").alias("opened_at"),
            pl.when(opens).then("height").alias("height"),
            pl.when(opens).then(own).alias("priced"),
            pl.when(opens).then(own * pl.col("raw_price")).alias("priced_turnover"),
        )
        .group_by(TOKEN, "start")
        .agg(
            # The last row of a group is the tick that opened it or kept it going.
            pl.col("symbol").last(),
            pl.col("price").first(ignore_nulls=True).alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("volume", "turnover", "priced", "priced_turnover").sum(),
            pl.col("height").max(),
            pl.col("price").count().cast(pl.Int64).alias("ticks"),
            pl.col("oi").last(),
            pl.col("opened_at").first(ignore_nulls=True),
            pl.col("time").last().alias("closed_at"),
            (opens & pl.col("seen").is_null()).any().alias("on_arrival"),
        )
    )


def late_pieces(measured: pl.LazyFrame) -> pl.LazyFrame:
    """Return one piece per instrument and instant, from the ticks that were overtaken."""
    price = pl.col("price")
    return (
        measured.filter(pl.col("late"), price.is_not_null())
        .group_by(TOKEN, "start", pl.col("time").alias("opened_at"), maintain_order=True)
        .agg(
            pl.col("symbol").last(),
            price.first().alias("open"),
            price.max().alias("high"),
            price.min().alias("low"),
            price.last().alias("close"),
            price.count().cast(pl.Int64).alias("ticks"),
            pl.col("oi").last(),
        )
    )


def horizons(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the latest time seen of each day, over all instruments."""
    time = pl.col("time").drop_nulls()
    day = (pl.col("time") + IST_OFFSET).floordiv(DAY).alias("day")
    return rows.filter(pl.col("time").is_not_null()).group_by(day).agg(time.max())


def carried(measured: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row per instrument that stands for all rows so far, ahead of those to come."""
    waiting = pl.col("start").is_null()
    return measured.group_by(TOKEN, maintain_order=True).agg(
        pl.col("symbol").last(),
        pl.col("seen").max(),
        pl.lit(None, pl.Int64).alias("time"),
        pl.lit(value=True).alias("snapshot"),
        pl.lit(None, pl.Float64).alias("price"),
        pl.lit(None, pl.Int64).alias("height"),
        pl.lit(None, pl.UInt32).alias("oi"),
        pl.lit(None, pl.Int64).alias("start"),
        pl.lit(None, pl.Int64).alias("raw_price"),
        pl.col("level").last(ignore_nulls=True),
        pl.col("worth").last(ignore_nulls=True),
        pl.col("volume").filter(waiting).sum().alias("pending_volume"),
        pl.col("turnover").filter(waiting).sum().alias("pending_turnover"),
    )
