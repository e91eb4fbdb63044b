"""Numbers per tick: ordinary expressions, for ``.over("instrument_token")``. Pure; any thread.

A frame holds many instruments one through the other. What looks at the tick
before (`volume_delta`, `vwap`, `returns`, `realised_volatility`) therefore
needs ``.over("instrument_token")``; over several days add the day, as in
``.over("instrument_token", pl.col("received_at").dt.date())``.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from kitepolars.analytics.candles import parse_interval

__all__ = ["change", "realised_volatility", "returns", "volume_delta", "vwap"]


def volume_delta() -> pl.Expr:
    """Return the volume traded since the tick before: the cumulative volume's difference.

    Returns
    -------
    Expr
        Int64, in shares. Null at the first tick and where the tick has no volume (ltp mode,
        indices). Where the volume falls below half, the day's count has begun again, and the
        difference is from 0. A smaller fall is a correction, and negative.

    Notes
    -----
    Source: Kite Connect v3, "WebSocket streaming": ``volume_traded`` is the day's so far.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame({"instrument_token": [1] * 4, "volume_traded": [100, 150, None, 20]})
    >>> ticks.select(volume_delta().over("instrument_token")).to_series().to_list()
    [None, 50, None, 20]
    """
    now = pl.col("volume_traded").cast(pl.Int64)
    before = now.forward_fill().shift(1)
    since = pl.when(2 * now < before).then(now).otherwise(now - before)
    return since.alias("volume_delta")


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


def realised_volatility(window: str | dt.timedelta = "5m", *, on: str = "received_at") -> pl.Expr:
    """Return the realised volatility over the time before each tick.

    Parameters
    ----------
    window
        How far to look back: ``"30s"``, ``"5m"``, ``"1h"``, … ``"1d"``, or a timedelta.
    on
        The column of time. It must not be null: ticks in quote mode have no
        ``exchange_timestamp``.

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
    squares = returns(log=True).fill_null(0) ** 2
    summed = squares.rolling_sum_by(on, span)
    # A rolling sum of squares may end a hair below zero.
    return summed.clip(lower_bound=0).sqrt().alias("realised_volatility")
