"""Technical indicators of candles: ``kp.indicators``. Pure functions; any thread.

Each is a function that returns an expression. A frame has the bars of many instruments, in the
order of time, as `kitepolars.candles` returns them; an indicator keeps them apart. Where
TA-Lib has an indicator, values and warm-up are the same.
"""

from kitepolars.analytics.technical.averages import bollinger, ema, macd, sma, wma
from kitepolars.analytics.technical.growing import IncrementalIndicators
from kitepolars.analytics.technical.indicator import Indicator
from kitepolars.analytics.technical.oscillators import obv, rsi, stochastic
from kitepolars.analytics.technical.profile import VOLUME_PROFILE, volume_profile
from kitepolars.analytics.technical.sessions import opening_range, pivots, vwap_bands
from kitepolars.analytics.technical.trend import adx, atr, supertrend

__all__ = [
    "VOLUME_PROFILE",
    "IncrementalIndicators",
    "Indicator",
    "adx",
    "atr",
    "bollinger",
    "ema",
    "macd",
    "obv",
    "opening_range",
    "pivots",
    "rsi",
    "sma",
    "stochastic",
    "supertrend",
    "volume_profile",
    "vwap_bands",
    "wma",
]
