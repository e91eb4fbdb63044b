"""Where prices stand among the latest ones, and the volume behind them. Pure; any thread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kitepolars.analytics.technical.indicator import Recipe, check_period, study
from kitepolars.analytics.technical.scan import BarScan, Floats


@study()
def rsi(period: int = 14, *, of: str = "close") -> Recipe:
    """Return the relative strength index, with Wilder's smoothing, from 0 to 100.

    Parameters
    ----------
    period
        Number of bars, at least 2.
    of
        The column to use.

    Returns
    -------
    Indicator
        Null in the first `period` bars of an instrument; 0 while no price has changed.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``RSI``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": 1, "close": [10.0, 13.0, 12.0]})
    >>> bars.select(rsi(2)).to_series().to_list()
    [None, None, 75.0]
    """
    check_period("period", period)

    def compute(scan: BarScan, values: Floats) -> Floats:
        step = values - scan.before(values)
        up = scan.smooth(np.maximum(step, 0), period, 1 / period)
        down = scan.smooth(np.maximum(-step, 0), period, 1 / period)
        both = up + down
        with np.errstate(invalid="ignore"):
            return np.where(both == 0, 0.0, 100 * up / both)

    return (of,), compute


@study("_k", "_d")
def stochastic(period: int = 14, smooth: int = 3, signal: int = 3) -> Recipe:
    """Return the slow stochastic oscillator: where the close is in the latest range, 0 to 100.

    Parameters
    ----------
    period
        Number of bars of the range, 1 to 10,000.
    smooth
        Number of bars over which ``stochastic_k`` is averaged, 1 to 10,000.
    signal
        Number of bars over which ``stochastic_d`` averages ``stochastic_k``, 1 to 10,000.

    Returns
    -------
    Indicator
        ``stochastic_k`` and ``stochastic_d``; null in the first
        ``period + smooth + signal - 3`` bars of an instrument. A range of 0 counts as 0.

    Raises
    ------
    ConfigError
        If a period is not from 1 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``STOCH``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame(
    ...     {"instrument_token": 1, "high": [12.0, 14.0], "low": [10.0, 11.0], "close": [1.0, 13.0]}
    ... )
    >>> bars.select(stochastic(2, 1, 1)).unnest("stochastic").row(1)
    (75.0, 75.0)
    """
    for name, value in (("period", period), ("smooth", smooth), ("signal", signal)):
        check_period(name, value, 1)

    def compute(scan: BarScan, high: Floats, low: Floats, close: Floats) -> Sequence[Floats]:
        lowest = scan.window(low, period, "lowest")
        width = scan.window(high, period, "highest") - lowest
        with np.errstate(invalid="ignore", divide="ignore"):
            place = np.where(width == 0, 0.0, 100 * (close - lowest) / width)
        slow = scan.window(place, smooth, "mean")
        average = scan.window(slow, signal, "mean")
        return np.where(np.isnan(average), np.nan, slow), average

    return ("high", "low", "close"), compute


@study()
def obv() -> Recipe:
    """Return the on-balance volume: the sum of the volumes of rising bars less falling ones.

    Returns
    -------
    Indicator
        In shares, from the instrument's first bar, whose volume counts.

    Notes
    -----
    Source: TA-Lib, ``OBV``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame(
    ...     {"instrument_token": 1, "close": [10.0, 11.0, 10.5], "volume": [100, 30, 50]}
    ... )
    >>> bars.select(obv()).to_series().to_list()
    [100.0, 130.0, 80.0]
    """

    def compute(scan: BarScan, close: Floats, volume: Floats) -> Floats:
        before = scan.before(close)
        sign = np.where(np.isnan(before), 1.0, np.sign(close - before))
        return scan.since(sign * volume, np.zeros(len(close), np.int64), "sum")

    return ("close", "volume"), compute
