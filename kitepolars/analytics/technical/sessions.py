"""Levels of a trading day: its average price, pivots, opening range. Pure; any thread.

A session is a day in India: that of the column ``start``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from kitepolars.analytics.technical.indicator import (
    START_COLUMN,
    TOKEN_COLUMN,
    Recipe,
    check_multiple,
    study,
)
from kitepolars.analytics.technical.scan import BarScan, Floats, Sessions
from kitepolars.calendar import DAY, SECOND, market_of_token, since_midnight
from kitepolars.errors import check_choice, check_whole_number
from kitepolars.wire.layouts import SEGMENT_MASK

PivotKind = Literal["classic", "fibonacci", "camarilla"]
"""How support and resistance are computed of the day before."""

_PIVOTS: Final = ("_p", "_r1", "_r2", "_r3", "_s1", "_s2", "_s3", "_bc", "_tc")
_MINUTE: Final = 60 * SECOND
_MINUTES_OF_A_DAY: Final = DAY // _MINUTE


_OPENS: Final = np.array(
    [since_midnight(market_of_token(code).opens) for code in range(SEGMENT_MASK + 1)]
)
"""When the market of a segment opens, by segment code: microseconds since midnight in India."""


@study("_lower", "_middle", "_upper")
def vwap_bands(width: float = 2.0) -> Recipe:
    """Return the volume-weighted average price of the day so far, with bands, in rupees.

    Each bar's typical price, the mean of its high, low and close, has the weight of its volume.

    Parameters
    ----------
    width
        The distance of the bands in standard deviations of the price, weighted with volume; above
        0.

    Returns
    -------
    Indicator
        ``vwap_bands_lower``, ``vwap_bands_middle`` and ``vwap_bands_upper``. They begin anew each
        day, and are null until there was volume.

    Raises
    ------
    ConfigError
        If the width is not above 0.

    Notes
    -----
    Source: Pine Script reference, ``ta.vwap`` with ``stdev_mult``.

    Examples
    --------
    >>> import datetime as dt
    >>> import polars as pl
    >>> start = dt.datetime(2026, 11, 20, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
    >>> bars = pl.DataFrame(
    ...     {
    ...         "instrument_token": 1,
    ...         "start": [start, start + dt.timedelta(minutes=1)],
    ...         "high": [10.0, 14.0],
    ...         "volume": [30, 10],
    ...     }
    ... ).with_columns(low="high", close="high")
    >>> bars.select(vwap_bands(1).struct.field("vwap_bands_middle")).to_series().to_list()
    [10.0, 11.0]
    """
    check_multiple("width", width)

    def compute(
        scan: BarScan, start: Sessions, volume: Floats, *prices: Floats
    ) -> Sequence[Floats]:
        day, price = start // DAY, np.mean(prices, axis=0)
        # Sums of squares of prices lose what distinguishes them: count from the day's first.
        first = scan.since(price, day, "first")
        price = price - first
        weight = scan.since(volume, day, "sum")
        weight = np.where(weight > 0, weight, np.nan)
        middle = scan.since(price * volume, day, "sum") / weight
        squares = scan.since(price**2 * volume, day, "sum") / weight
        distance = width * np.sqrt(np.maximum(squares - middle**2, 0))
        return first + middle - distance, first + middle, first + middle + distance

    return (START_COLUMN, "volume", "high", "low", "close"), compute


@study(*_PIVOTS)
def pivots(kind: PivotKind = "classic") -> Recipe:
    """Return the pivot, three resistances and three supports of the day before, in rupees.

    Parameters
    ----------
    kind
        ``"classic"`` (floor traders'), ``"fibonacci"`` or ``"camarilla"``.

    Returns
    -------
    Indicator
        ``pivots_p``, ``pivots_r1`` to ``pivots_r3``, ``pivots_s1`` to ``pivots_s3``, and the
        central range: ``pivots_bc`` (the middle of high and low) and ``pivots_tc`` (as far on the
        other side of the pivot). Null on the first day of an instrument.

    Raises
    ------
    ConfigError
        If the kind is another.

    Notes
    -----
    Source: Pine Script reference, ``ta.pivot_point_levels`` (Traditional, Fibonacci, Camarilla).
    The day before is the last one with bars of the instrument; its close is that of its last bar,
    not the exchange's closing price.

    Examples
    --------
    >>> import datetime as dt
    >>> import polars as pl
    >>> start = dt.datetime(2026, 11, 19, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
    >>> bars = pl.DataFrame(
    ...     {
    ...         "instrument_token": 1,
    ...         "start": [start, start + dt.timedelta(days=1)],
    ...         "high": [12.0, 11.0],
    ...         "low": [9.0, 11.0],
    ...         "close": [12.0, 11.0],
    ...     }
    ... )
    >>> bars.select(pivots()).unnest("pivots").select("pivots_p", "pivots_r1", "pivots_s1").row(1)
    (11.0, 13.0, 10.0)
    """
    check_choice("kind", kind, PivotKind)

    def compute(
        scan: BarScan, start: Sessions, high: Floats, low: Floats, close: Floats
    ) -> Sequence[Floats]:
        day = start // DAY
        top = scan.carried(scan.since(high, day, "maximum"), day)
        bottom = scan.carried(scan.since(low, day, "minimum"), day)
        last = scan.carried(close, day)
        pivot, middle = (top + bottom + last) / 3, (top + bottom) / 2
        resistances, supports = _PIVOT_LEVELS[kind](pivot, top, bottom, last)
        return pivot, *resistances, *supports, middle, 2 * pivot - middle

    return (START_COLUMN, "high", "low", "close"), compute


_PivotLevels = tuple[Sequence[Floats], Sequence[Floats]]


def _classic(pivot: Floats, high: Floats, low: Floats, close: Floats) -> _PivotLevels:  # noqa: ARG001
    width = high - low
    return (
        (2 * pivot - low, pivot + width, high + 2 * (pivot - low)),
        (2 * pivot - high, pivot - width, low - 2 * (high - pivot)),
    )


def _fibonacci(pivot: Floats, high: Floats, low: Floats, close: Floats) -> _PivotLevels:  # noqa: ARG001
    steps = [part * (high - low) for part in (0.382, 0.618, 1.0)]
    return [pivot + step for step in steps], [pivot - step for step in steps]


def _camarilla(pivot: Floats, high: Floats, low: Floats, close: Floats) -> _PivotLevels:  # noqa: ARG001
    steps = [1.1 * (high - low) / part for part in (12, 6, 4)]
    return [close + step for step in steps], [close - step for step in steps]


_PIVOT_LEVELS: Final = {"classic": _classic, "fibonacci": _fibonacci, "camarilla": _camarilla}


@study("_high", "_low")
def opening_range(minutes: int = 15, *, opens: dt.time | None = None) -> Recipe:
    """Return the high and the low of the first minutes of the day's session, in rupees.

    Parameters
    ----------
    minutes
        The length of the range, 1 to 1,440. Bars that begin in it count, so bars should divide it.
    opens
        When the session opens, in Indian time. By default that of the instrument's market: 09:15
        for equity and indices, 09:00 for currency and commodities.

    Returns
    -------
    Indicator
        ``opening_range_high`` and ``opening_range_low``: so far, while the range is forming; null
        for instruments without a bar in it.

    Raises
    ------
    ConfigError
        If `minutes` is not from 1 to 1,440.

    Examples
    --------
    >>> import datetime as dt
    >>> import polars as pl
    >>> start = dt.datetime(2026, 11, 20, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
    >>> bars = pl.DataFrame(
    ...     {
    ...         "instrument_token": 408065,
    ...         "start": [start, start + dt.timedelta(minutes=15)],
    ...         "high": [12.0, 20.0],
    ...         "low": [10.0, 11.0],
    ...     }
    ... )
    >>> bars.select(opening_range(15)).unnest("opening_range").row(1)
    (12.0, 10.0)
    """
    check_whole_number("minutes", minutes, 1, _MINUTES_OF_A_DAY)

    def compute(
        scan: BarScan, start: Sessions, tokens: Floats, high: Floats, low: Floats
    ) -> Sequence[Floats]:
        day, clock = start // DAY, start % DAY
        begins: npt.NDArray[np.int64] | int
        if opens is None:
            begins = _OPENS[tokens.astype(np.int64) & SEGMENT_MASK]
        else:
            begins = since_midnight(opens)
        is_in = (clock >= begins) & (clock < begins + minutes * _MINUTE)
        return (
            scan.since(np.where(is_in, high, np.nan), day, "maximum"),
            scan.since(np.where(is_in, low, np.nan), day, "minimum"),
        )

    return (START_COLUMN, TOKEN_COLUMN, "high", "low"), compute
