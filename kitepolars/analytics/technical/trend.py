"""How far prices swing, and where they are heading. Pure; any thread."""

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

_BAR = ("high", "low", "close")


def _true_range(scan: BarScan, high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the range of each bar and of the step to it; NaN in the first bar."""
    before = scan.before(close)
    return np.maximum(high, before) - np.minimum(low, before)


def _average_true_range(
    scan: BarScan, high: Floats, low: Floats, close: Floats, period: int
) -> Floats:
    return scan.smooth(_true_range(scan, high, low, close), period, 1 / period)


@study()
def atr(period: int = 14) -> Recipe:
    """Return the average true range, with Wilder's smoothing, in rupees.

    Parameters
    ----------
    period
        Number of bars, at least 2.

    Returns
    -------
    Indicator
        Null in the first `period` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``ATR``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame(
    ...     {
    ...         "instrument_token": 1,
    ...         "high": [11.0, 12.0, 15.0],
    ...         "low": [9.0, 11.0, 14.0],
    ...         "close": [10.0, 12.0, 14.0],
    ...     }
    ... )
    >>> bars.select(atr(2)).to_series().to_list()
    [None, None, 2.5]
    """
    check_period("period", period)
    return _BAR, lambda scan, high, low, close: _average_true_range(scan, high, low, close, period)


@study("", "_direction")
def supertrend(period: int = 10, multiple: float = 3.0) -> Recipe:
    """Return Supertrend: a line below rising prices and above falling ones.

    Parameters
    ----------
    period
        Number of bars of the average true range, 2 to 10,000.
    multiple
        The distance of the bands from the middle of a bar, in average true ranges; above 0.

    Returns
    -------
    Indicator
        ``supertrend``, the line, and ``supertrend_direction``, 1 while it rises below the price
        and -1 while it falls above it. Null in the first `period` bars of an instrument.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000, or the multiple is not above 0.

    Notes
    -----
    Source: Pine Script reference, ``ta.supertrend``, which begins falling; its direction has the
    opposite sign. The average true range is that of `atr`.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame(
    ...     {"instrument_token": 1, "high": [11.0, 12.0, 15.0], "low": [9.0, 11.0, 14.0]}
    ... ).with_columns(close="high")
    >>> bars.select(supertrend(2, 1.0)).unnest("supertrend").row(2)
    (16.5, -1.0)
    """
    check_period("period", period)
    check_multiple("multiple", multiple)

    def compute(scan: BarScan, high: Floats, low: Floats, close: Floats) -> Sequence[Floats]:
        distance = multiple * _average_true_range(scan, high, low, close, period)
        return scan.supertrend((high + low) / 2, close, distance)

    return _BAR, compute


@study("", "_plus_di", "_minus_di")
def adx(period: int = 14) -> Recipe:
    """Return the average directional index, and the two directional indicators it is made of.

    Parameters
    ----------
    period
        Number of bars, at least 2.

    Returns
    -------
    Indicator
        ``adx``, ``adx_plus_di`` and ``adx_minus_di``, from 0 to 100. The directional indicators
        are null in the first `period` bars of an instrument, ``adx`` in the first
        ``2 * period - 1``.

    Raises
    ------
    ConfigError
        If the period is not from 2 to 10,000.

    Notes
    -----
    Source: TA-Lib, ``ADX``, ``PLUS_DI`` and ``MINUS_DI``.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"instrument_token": 1, "high": [float(i) for i in range(9)]})
    >>> bars = bars.with_columns(low=pl.col("high") - 1, close=pl.col("high") - 0.5)
    >>> bars.select(adx(2).struct.field("adx")).to_series().round(6).to_list()[2:5]
    [None, 100.0, 100.0]
    """
    check_period("period", period)

    def compute(scan: BarScan, high: Floats, low: Floats, close: Floats) -> Sequence[Floats]:
        up, down = high - scan.before(high), scan.before(low) - low
        moves = (
            _true_range(scan, high, low, close),
            _kept(up, (up > down) & (up > 0)),
            _kept(down, (down > up) & (down > 0)),
        )
        span, plus, minus = (
            scan.smooth(move, period - 1, 1 / period, divisor=period) for move in moves
        )
        span = np.where(np.isnan(scan.before(span)), np.nan, span)  # one bar later
        both = plus + minus
        with np.errstate(invalid="ignore", divide="ignore"):
            plus_di = np.where(span == 0, 0.0, 100 * plus / span)
            minus_di = np.where(span == 0, 0.0, 100 * minus / span)
            index = 100 * np.abs(plus - minus) / both
        index = np.where(np.isnan(span) | (both == 0), np.nan, index)
        return scan.filled(scan.smooth(index, period, 1 / period)), plus_di, minus_di

    return _BAR, compute


def _kept(move: Floats, condition: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    """Return a move where it counts, otherwise 0; NaN in the first bar."""
    return np.where(np.isnan(move), np.nan, np.where(condition, move, 0.0))
