"""Candles of a whole frame: pieces of bars become bars. Pure; any thread."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Final

import polars as pl

from kitepolars.analytics import bars
from kitepolars.analytics.bars import TOKEN, Clock
from kitepolars.analytics.columns import Frame, schema_of
from kitepolars.analytics.schema import CANDLES
from kitepolars.analytics.sessions import (
    DAY,
    IST_OFFSET,
    bar_end,
    closes_at,
    divisor,
    opens_at,
    parse_interval,
)
from kitepolars.frames.schema import TIMESTAMP

__all__ = ["ArrivalTimeWarning", "candles"]

_KEY: Final = (TOKEN, "start")
_ORDER: Final = ("start", TOKEN)
_DECIMALS: Final = 6
"""Polars may divide differently for one row and for many; an average has no more places anyway."""

_ROUNDING_SHARE: Final = 4
"""Of a bar's range, rounding may make up one part in so many of its average price."""


class ArrivalTimeWarning(UserWarning):
    """Some bars are cut on arrival time, because their ticks have no exchange time."""


def candles(
    frame: Frame,
    every: str | dt.timedelta,
    *,
    on: Clock = "exchange_timestamp",
    include_partial: bool = True,
    fill: bool = False,
) -> Frame:
    """Make open, high, low, close and volume bars of ticks.

    Parameters
    ----------
    frame
        Ticks in arrival order: ``instrument_token``, ``last_price`` and a time. Without
        ``is_snapshot`` every tick counts as fresh, without ``volume_traded`` volumes are 0,
        without ``average_traded_price`` the average price is that of the ticks.
    every
        The length of a bar, from ``"1s"`` to ``"1d"``, Kite's names (``"15minute"``,
        ``"day"``), or a timedelta. Bars count from the session's open (IST): 09:15 for
        equity and indices, 09:00 for currency and commodities; a day's from midnight.
    on
        The time to cut on. Ticks without an exchange time (quote and ltp mode) are cut on
        ``received_at``, with an `ArrivalTimeWarning`.
    include_partial
        Whether to keep bars still forming at the latest time in the frame.
    fill
        Whether to insert a flat bar without volume where an instrument did not tick, from
        its first bar of a day to the latest time seen that day, inside the session.

    Returns
    -------
    DataFrame or LazyFrame
        `CANDLES`, sorted by ``start`` (IST) and ``instrument_token``. Prices in rupees.

        ``volume`` is the difference of the cumulative volume. After a gap it is in the bar
        of the first fresh tick. The very first tick and the cached snapshots are base
        lines. On a new day, or when the count falls below half, it counts from 0.

        ``vwap`` is the difference of turnover over that of volume, or, where the rounding of
        Kite's average price would show (a small part of a large day), the last prices
        weighted with the ticks' volumes. It never leaves the bar's range and is null
        without volume.

        Ticks of the call auction (09:00 to 09:15, equity) open no bar; their volume is in
        the first bar of the session. Prices are those of ticks: Kite sends at most about two
        a second, so that a trade in between can be missing from high and low.

    Raises
    ------
    ConfigError
        If the interval is impossible, columns are missing or times have no time zone.

    Examples
    --------
    >>> import datetime as dt
    >>> import polars as pl
    >>> time = dt.datetime(2026, 11, 20, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
    >>> ticks = pl.DataFrame(
    ...     {
    ...         "instrument_token": [408065, 408065, 408065],
    ...         "exchange_timestamp": [time + dt.timedelta(seconds=s) for s in (1, 40, 70)],
    ...         "last_price": [1500.0, 1502.5, 1501.0],
    ...         "volume_traded": [100, 150, 180],
    ...     }
    ... )
    >>> candles(ticks, "1m").select("open", "close", "volume").rows()
    [(1500.0, 1502.5, 50), (1501.0, 1501.0, 30)]

    Notes
    -----
    Source: Kite Connect v3, "WebSocket streaming" (cumulative volume, times in seconds) and
    "Historical candle data" (a candle's time is its start).
    """
    interval = parse_interval(every)
    bars.check_clock(on)
    schema_of(frame)
    measured = bars.measured(bars.rows(frame.lazy(), interval, on))
    parts = (bars.main_pieces(measured), bars.late_pieces(measured), bars.horizons(measured))
    pieces = pl.concat(
        [part.with_columns(pl.lit(i, pl.UInt8).alias("part")) for i, part in enumerate(parts)],
        how="diagonal",
    )

    def finished(pieces: pl.DataFrame) -> pl.DataFrame:
        main, late, horizon = (pieces.filter(part=part) for part in range(len(parts)))
        result = finish(main.filter(pl.col("start").is_not_null()), late, horizon, interval)
        if on == "exchange_timestamp":
            warn_of_arrival(main.filter("on_arrival"))
        return shaped(result, horizon, interval, include_partial=include_partial, fill=fill)

    if isinstance(frame, pl.LazyFrame):
        return pieces.map_batches(finished, schema=CANDLES)
    return finished(pieces.collect())


def warn_of_arrival(pieces: pl.DataFrame) -> None:
    """Say which instruments had no exchange time."""
    count = pieces[TOKEN].n_unique()
    if count:
        names = pieces.select(pl.coalesce(pl.col("symbol").cast(pl.String), TOKEN)).to_series()
        shown = ", ".join(names.unique().sort().head(3).to_list())
        warnings.warn(
            f"{count} instrument(s) have ticks without an exchange time ({shown}"
            f"{', …' if count > 3 else ''}); their bars are cut on arrival time. "  # noqa: PLR2004
            'Subscribe in mode "full" for exchange time.',
            ArrivalTimeWarning,
            stacklevel=3,
        )


def finish(
    main: pl.DataFrame, late: pl.DataFrame, horizon: pl.DataFrame, interval: int
) -> pl.DataFrame:
    """Return bars with the columns of `CANDLES`, sorted, of one main piece a bar and late ones."""
    latest = _latest(horizon)
    token = pl.col(TOKEN)
    return (
        (_with_late(main, late) if late.height else main)
        .sort(_ORDER)
        .with_columns(
            pl.col("volume").clip(lower_bound=0).cast(pl.UInt64).alias("volume"),
            _average_price().round(_DECIMALS).clip("low", "high").alias("vwap"),
            (bar_end(pl.col("start"), token, interval) > latest).alias("is_partial"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in CANDLES.items())
    )


def _latest(horizon: pl.DataFrame) -> pl.Expr:
    """Return the latest time seen; null where nothing was seen yet."""
    return pl.lit(horizon["time"].max(), pl.Int64)


def _average_price() -> pl.Expr:
    """Return the volume-weighted price of a bar, before it is held within the bar's range."""
    volume, scale = pl.col("volume"), divisor(pl.col(TOKEN))
    exact = pl.col("turnover") / volume / scale
    of_ticks = pl.col("priced_turnover") / pl.col("priced") / scale
    # Kite's average is rounded to 1 / scale: twice half of that, times the day's volume.
    error = pl.col("height") / scale / volume
    sound = (pl.col("turnover") != 0) & (error * _ROUNDING_SHARE <= pl.col("high") - pl.col("low"))
    return (
        pl.when(volume <= 0)
        .then(None)
        .when(sound | (pl.col("priced") <= 0))
        .then(exact)
        .otherwise(of_ticks)
    )


def _with_late(main: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """Take ticks that were overtaken into the prices of their own bars."""
    overtaken = (
        late.sort("opened_at", maintain_order=True)
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("symbol", "close", "oi").last(),
            pl.col("open", "opened_at").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("ticks").sum(),
            pl.col("opened_at").last().alias("closed_at"),
        )
    )
    earlier = (pl.col("opened_at_late") < pl.col("opened_at")) | pl.col("opened_at").is_null()
    later = (pl.col("closed_at_late") >= pl.col("closed_at")) | pl.col("closed_at").is_null()
    return main.join(overtaken, on=_KEY, how="full", coalesce=True, suffix="_late").with_columns(
        pl.coalesce("symbol", "symbol_late").alias("symbol"),
        pl.when(earlier).then("open_late").otherwise("open").alias("open"),
        pl.max_horizontal("high", "high_late").alias("high"),
        pl.min_horizontal("low", "low_late").alias("low"),
        pl.when(later).then("close_late").otherwise("close").alias("close"),
        pl.when(later).then("oi_late").otherwise("oi").alias("oi"),
        pl.sum_horizontal("ticks", "ticks_late").alias("ticks"),
        pl.col("volume", "turnover", "priced", "priced_turnover").fill_null(0),
    )


def shaped(
    bars: pl.DataFrame,
    horizon: pl.DataFrame,
    interval: int,
    *,
    include_partial: bool,
    fill: bool,
) -> pl.DataFrame:
    """Apply the wishes that do not change a bar."""
    if fill and interval < DAY:
        bars = _filled(bars, horizon, interval)
    return bars if include_partial else bars.filter(~pl.col("is_partial"))


def _filled(bars: pl.DataFrame, horizon: pl.DataFrame, interval: int) -> pl.DataFrame:
    """Insert flat bars where an instrument was silent inside its session."""
    start = pl.col("start").to_physical()
    midnight = pl.col("day") * DAY - IST_OFFSET
    token = pl.col(TOKEN)
    # Bars outside the session are kept, and nothing is put between them.
    days = (
        bars.group_by(TOKEN, (start + IST_OFFSET).floordiv(DAY).alias("day"))
        .agg(start.min().alias("first"))
        .join(horizon.select("day", "time"), on="day")
        .with_columns(
            pl.max_horizontal("first", midnight + opens_at(token)).alias("first"),
            pl.min_horizontal(pl.col("time") + 1, midnight + closes_at(token)).alias("until"),
        )
        .filter(pl.col("first") < pl.col("until"))
    )
    grid = days.select(TOKEN, pl.int_ranges("first", "until", interval).alias("start")).explode(
        "start"
    )
    latest = _latest(horizon)
    return (
        bars.join(
            grid.with_columns(pl.col("start").cast(TIMESTAMP)),
            on=list(_KEY),
            how="full",
            coalesce=True,
        )
        .sort(_ORDER)
        .with_columns(pl.col("symbol", "close", "oi").forward_fill().over(TOKEN))
        .with_columns(
            pl.col("open", "high", "low").fill_null(pl.col("close")),
            pl.col("volume", "ticks").fill_null(0),
            (bar_end(start, token, interval) > latest).alias("is_partial"),
        )
        .select(CANDLES.names())
    )
