"""Indicators of bars that are still coming. One owner; any thread."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from kitepolars.analytics.candle_builder import append_block
from kitepolars.analytics.columns import require
from kitepolars.analytics.technical.indicator import START_COLUMN, TOKEN_COLUMN, Indicator, Study
from kitepolars.analytics.technical.scan import BarScan
from kitepolars.errors import ConfigError

_KEY = (START_COLUMN, TOKEN_COLUMN)


class IncrementalIndicators:
    """Adds indicators to one frame of candles after another, at the cost of what is new in them.

    What the finished bars contribute is remembered; bars that are still forming are computed again
    each time. The columns are equal to those of the indicators of the whole frame, bit for bit.
    `Ticker.candles` uses it for its `indicators`.

    Parameters
    ----------
    indicators
        Indicators as their functions return them, with different names.

    Raises
    ------
    ConfigError
        If there are none, one is another expression, or two have a column of the same name.

    Examples
    --------
    >>> import kitepolars as kp
    >>> trend = kp.indicators.IncrementalIndicators([kp.indicators.ema(20)])
    >>> with kp.demo(instruments=["NSE:INFY"]) as ticker:
    ...     _ = ticker.wait(rows=5, timeout=60)
    ...     trend.add_to(ticker.candles("1s")).columns[-1]
    'ema'
    """

    def __init__(self, indicators: Sequence[Indicator]) -> None:
        self._studies = studies_of(indicators)
        self._columns = {TOKEN_COLUMN, *(name for study in self._studies for name in study.columns)}
        self.clear()

    def clear(self) -> None:
        """Forget all bars."""
        self._scans = [BarScan() for _ in self._studies]
        self._blocks: list[pl.DataFrame] = []
        self._done = pl.DataFrame()
        self._rows = 0
        self._last: tuple[object, ...] = ()

    def add_to(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return a frame of candles with a column, or several, for each indicator.

        Parameters
        ----------
        bars
            All bars so far, in the order of `kitepolars.candles`. If their beginning is not that
            of the frame before, everything is computed anew.

        Returns
        -------
        polars.DataFrame
            The columns of `bars`, then those of the indicators in the order given; as many rows.

        Raises
        ------
        ConfigError
            If columns are missing.
        """
        require(bars, (*_KEY, *sorted(self._columns)), "indicators")
        if not self._continues(bars):
            self.clear()
        new = bars.slice(self._rows)
        finished = _finished(new)
        if finished:
            self._keep(self._run(self._scans, new.head(finished)))
            self._rows += finished
            self._last = bars.select(_KEY).row(self._rows - 1)
        forming = new.slice(finished)
        values = self._done
        if forming.height or not self._rows:
            provisional = self._run([scan.copy() for scan in self._scans], forming)
            values = self._done.vstack(provisional) if self._rows else provisional
        return bars.with_columns(values.get_columns())

    def _continues(self, bars: pl.DataFrame) -> bool:
        """Whether the bars that are remembered are still there, where they were."""
        if not self._rows:
            return True
        return bars.height >= self._rows and bars.select(_KEY).row(self._rows - 1) == self._last

    def _run(self, scans: Sequence[BarScan], bars: pl.DataFrame) -> pl.DataFrame:
        tokens = bars[TOKEN_COLUMN]
        return pl.DataFrame(
            [
                column
                for study, scan in zip(self._studies, scans, strict=True)
                for column in study.run(scan, tokens, [bars[name] for name in study.columns])
            ]
        )

    def _keep(self, block: pl.DataFrame) -> None:
        append_block(self._blocks, block)
        self._done = pl.concat(self._blocks)


def _finished(bars: pl.DataFrame) -> int:
    """Return the number of rows before the first bar that is still forming."""
    if "is_partial" not in bars.columns:
        return bars.height
    first = bars["is_partial"].arg_max() if bars.height else None
    return bars.height if first is None or not bars["is_partial"][first] else first


def studies_of(indicators: Sequence[Indicator]) -> list[Study]:
    """Return what indicators compute.

    Raises
    ------
    ConfigError
        If there are none, one is another expression, or two have a column of the same name.
    """
    if isinstance(indicators, pl.Expr) or not indicators:
        raise ConfigError("indicators", indicators, "a list of indicators")
    for one in indicators:
        if not isinstance(one, Indicator):
            expected = "indicators as kitepolars.indicators returns them, such as rsi(14)"
            raise ConfigError("indicators", str(one), expected)
    names = [name for one in indicators for name in one.study.names]
    if repeated := {name for name in names if names.count(name) > 1}:
        shown = ", ".join(sorted(repeated))
        expected = f'different names: {shown} is there twice; use .alias("…")'
        raise ConfigError("indicators", names, expected)
    return [one.study for one in indicators]
