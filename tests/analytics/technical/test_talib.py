"""Indicators that TA-Lib has are its: the same numbers, the same warm-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib

from analytics.technical.bars import random_bars
from kitepolars import indicators as ki

Bars = dict[str, np.ndarray[Any, Any]]

REFERENCES: dict[str, tuple[Callable[[int], ki.Indicator], Callable[[Bars, int], Any]]] = {
    "sma": (ki.sma, lambda bars, n: talib.SMA(bars["close"], n)),
    "ema": (ki.ema, lambda bars, n: talib.EMA(bars["close"], n)),
    "wma": (ki.wma, lambda bars, n: talib.WMA(bars["close"], n)),
    "sma of high": (lambda n: ki.sma(n, of="high"), lambda bars, n: talib.SMA(bars["high"], n)),
    "rsi": (ki.rsi, lambda bars, n: talib.RSI(bars["close"], n)),
    "macd": (
        lambda n: ki.macd(n, 2 * n + 1, n + 1),
        lambda bars, n: talib.MACD(bars["close"], n, 2 * n + 1, n + 1),
    ),
    "bollinger": (
        lambda n: ki.bollinger(n, 1.5),
        lambda bars, n: talib.BBANDS(bars["close"], n, 1.5, 1.5)[::-1],
    ),
    "atr": (ki.atr, lambda bars, n: talib.ATR(bars["high"], bars["low"], bars["close"], n)),
    "adx": (
        ki.adx,
        lambda bars, n: [
            function(bars["high"], bars["low"], bars["close"], n)
            for function in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)
        ],
    ),
    "stochastic": (
        lambda n: ki.stochastic(n, 3, 4),
        lambda bars, n: talib.STOCH(
            bars["high"], bars["low"], bars["close"], n, slowk_period=3, slowd_period=4
        ),
    ),
    "obv": (lambda _: ki.obv(), lambda bars, _: talib.OBV(bars["close"], bars["volume"])),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("period", [2, 5, 14, 21])
@pytest.mark.parametrize("name", REFERENCES)
def test_values_and_warm_up_are_those_of_talib(name: str, period: int, seed: int) -> None:
    ours, theirs = REFERENCES[name]
    bars = random_bars(seed)
    expr = ours(period)
    frame = bars.with_columns(expr)
    frame = frame.unnest(expr.study.name) if len(expr.study.names) > 1 else frame
    for token in bars["instrument_token"].unique():
        own = frame.filter(instrument_token=token)
        columns = {
            column: own[column].cast(pl.Float64).to_numpy()
            for column in ("high", "low", "close", "volume")
        }
        want = theirs(columns, period)
        wants = [want] if isinstance(want, np.ndarray) else list(want)
        for column, reference in zip(expr.study.names, wants, strict=True):
            got = own[column]
            assert got.is_nan().sum() == 0
            np.testing.assert_allclose(got.to_numpy(), reference, rtol=1e-9, atol=1e-7)
            assert got.null_count() == np.isnan(reference).sum() < own.height
