"""Averages of prices, and the bands and differences made of them. Pure; any thread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kitepolars.analytics.technical.indicator import (
    Recipe,
    check_multiple,
    check_period,
    study,
)
from kitepolars.analytics.technical.scan import BarScan, Floats
from kitepolars.errors import ConfigError


@study()
def sma(period: int = 20, *, of: str = "close") -> Recipe:
    """Return the simple moving average: the mean of the last bars.

    Parameters
    ----------
    period
        Number of bars, at least 2.
    of
        The column to average.

    Returns
    -------
    Indicator
        Null in the first ``period - 1`` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``SMA``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": [1, 1, 1], "close": [10.0, 11.0, 13.0]})
    >>> bars.select(sma(2)).to_series().to_list()
    [None, 10.5, 12.0]
    """
    check_period("period", period)
    return (of,), lambda scan, values: scan.window(values, period, "mean")


@study()
def ema(period: int = 20, *, of: str = "close") -> Recipe:
    """Return the exponential moving average, with the weight ``2 / (period + 1)``.

    Parameters
    ----------
    period
        Number of bars, at least 2. The first value is their simple average.
    of
        The column to average.

    Returns
    -------
    Indicator
        Null in the first ``period - 1`` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``EMA``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": [1, 1, 1], "close": [10.0, 12.0, 14.0]})
    >>> bars.select(ema(2).round(4)).to_series().to_list()
    [None, 11.0, 13.0]
    """
    check_period("period", period)
    return (of,), lambda scan, values: scan.smooth(values, period, 2 / (period + 1))


@study()
def wma(period: int = 20, *, of: str = "close") -> Recipe:
    """Return the weighted moving average, in which the latest bar has the largest weight.

    Parameters
    ----------
    period
        Number of bars, at least 2; their weights are 1, 2, …, `period`.
    of
        The column to average.

    Returns
    -------
    Indicator
        Null in the first ``period - 1`` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``WMA``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": [1, 1], "close": [10.0, 13.0]})
    >>> bars.select(wma(2)).to_series().to_list()
    [None, 12.0]
    """
    check_period("period", period)
    return (of,), lambda scan, values: scan.window(values, period, "weighted")


@study("_lower", "_middle", "_upper")
def bollinger(period: int = 20, width: float = 2.0, *, of: str = "close") -> Recipe:
    """Return the Bollinger bands: the simple average, and lines a number of deviations from it.

    Parameters
    ----------
    period
        Number of bars, at least 2.
    width
        The distance of the bands in standard deviations (of a population), above 0.
    of
        The column to use.

    Returns
    -------
    Indicator
        ``bollinger_lower``, ``bollinger_middle`` and ``bollinger_upper``; null in the first
        ``period - 1`` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000, or the width is not above 0.

    Notes
    -----
    Source: TA-Lib, ``BBANDS``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": [1, 1], "close": [10.0, 12.0]})
    >>> bars.select(bollinger(2)).unnest("bollinger").row(1)
    (9.0, 11.0, 13.0)
    """
    check_period("period", period)
    check_multiple("width", width)

    def compute(scan: BarScan, values: Floats) -> Sequence[Floats]:
        middle = scan.window(values, period, "mean")
        distance = width * scan.window(values, period, "deviation")
        return middle - distance, middle, middle + distance

    return (of,), compute


@study("", "_signal", "_histogram")
def macd(fast: int = 12, slow: int = 26, signal: int = 9, *, of: str = "close") -> Recipe:
    """Return the moving average convergence/divergence, its signal line and their difference.

    Parameters
    ----------
    fast, slow
        The periods of the two exponential averages in bars, 2 to 10,000; `fast` is the shorter.
    signal
        The period in bars of the signal line, an exponential average of the difference: 2 to
        10,000.
    of
        The column to use.

    Returns
    -------
    Indicator
        ``macd``, ``macd_signal`` and ``macd_histogram``; null in the first
        ``slow + signal - 2`` bars of an instrument.

    Raises
    ------
    ConfigError
        If a period is not from 2 to 10,000, or `fast` is not below `slow`.

    Notes
    -----
    Source: TA-Lib, ``MACD``, where both averages begin in the same bar.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": 1, "close": [1.0, 2.0, 4.0, 8.0]})
    >>> bars.select(macd(2, 3, 2).struct.field("macd").round(3)).to_series().to_list()
    [None, None, None, 1.167]
    """
    for name, period in (("fast", fast), ("slow", slow), ("signal", signal)):
        check_period(name, period)
    if fast >= slow:
        raise ConfigError("fast", fast, f"below slow, which is {slow}")

    def compute(scan: BarScan, values: Floats) -> Sequence[Floats]:
        quick = scan.smooth(values, fast, 2 / (fast + 1), skip=slow - fast)
        line = quick - scan.smooth(values, slow, 2 / (slow + 1))
        average = scan.smooth(line, signal, 2 / (signal + 1))
        line = np.where(np.isnan(average), np.nan, line)
        return line, average, line - average

    return (of,), compute
