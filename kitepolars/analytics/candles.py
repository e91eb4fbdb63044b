"""Candles of a whole frame. Pure; any thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator

import polars as pl
from polars.io.plugins import register_io_source

from kitepolars.analytics.bars import CANDLES, Clock, Hours
from kitepolars.analytics.candle_builder import CandleBuilder
from kitepolars.analytics.candle_input import check, fields
from kitepolars.analytics.columns import Frame


def candles(
    frame: Frame,
    every: str | dt.timedelta,
    *,
    on: Clock = "exchange_timestamp",
    include_partial: bool = True,
    fill: bool = False,
    hours: Hours = "exchange",
) -> Frame:
    """Make open, high, low, close and volume bars of ticks.

    Parameters
    ----------
    frame
        Ticks, those of each instrument in arrival order; a LazyFrame is read batch by batch and
        never held: ``instrument_token``, ``last_price`` and a time. What else a
        tick may have (``volume_traded``, ``is_snapshot``, ``last_trade_time``, the day's
        ``open``, ``high`` and ``low``, …) is used where it is there.
    every
        The length of a bar, from ``"1s"`` to ``"1d"``, Kite's names (``"15minute"``,
        ``"day"``), or a timedelta. Bars are aligned to the session's open (IST): 09:15 for
        equity and indices, 09:00 for currency and commodities; a day's to midnight.
    on
        The time to cut on. Ticks without an exchange time (quote and ltp mode) are cut on
        ``received_at``, with an `ArrivalTimeWarning`.
    include_partial
        Whether to keep bars that are still forming.
    fill
        Whether to insert a flat bar without volume where an instrument did not tick, from
        its first bar of a day to the latest time seen of its market that day, inside the
        session.
    hours
        ``"exchange"``: bars are made in the hours of the trading calendar, and where trades
        are observed after them. ``"any"``: at any hour, for simulated markets.

    Returns
    -------
    DataFrame or LazyFrame
        `CANDLES`, sorted by ``start`` (IST) and ``instrument_token``. Prices in rupees. What
        counts as a trade, for how much, and when a bar is finished: see the guide "From ticks
        to answers".

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
    schema = check(frame, on)

    def made(batches: Iterable[pl.DataFrame]) -> pl.DataFrame:
        builder = CandleBuilder(every, on=on, hours=hours)
        for batch in batches:
            builder.update(batch)
        return builder.frame(include_partial=include_partial, fill=fill)

    if isinstance(frame, pl.DataFrame):
        return made([frame])
    CandleBuilder(every, on=on, hours=hours)  # raises what is wrong now, not when it is collected
    needed = frame.select([name for name in fields(on) if name in schema])
    return _lazily(lambda: made(needed.collect_batches(maintain_order=True)), CANDLES)


def _lazily(make: Callable[[], pl.DataFrame], schema: pl.Schema) -> pl.LazyFrame:
    """Return a frame that is made when it is collected."""

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        made = make()
        made = made if predicate is None else made.filter(predicate)
        made = made if columns is None else made.select(columns)
        yield made if rows is None else made.head(rows)

    return register_io_source(source, schema=schema)
