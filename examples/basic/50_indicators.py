# %% [markdown]
# # How do I add indicators to candles, including those that are still forming?
#
# *Basic · 4 seconds · no connection*
#
# Uses: `sample`, `Ticker.candles`, `indicators`,
# `indicators.IncrementalIndicators`, `IncrementalIndicators.add_to`,
# `IncrementalIndicators.clear`, `indicators.volume_profile`, `df.kite.sma`, `df.kite.ema`,
# `df.kite.wma`, `df.kite.bollinger`, `df.kite.macd`, `df.kite.rsi`, `df.kite.stochastic`,
# `df.kite.atr`, `df.kite.supertrend`, `df.kite.adx`, `df.kite.obv`, `df.kite.vwap_bands`,
# `df.kite.pivots`, `df.kite.opening_range`, `df.kite.volume_profile`
#
# `kp.indicators` has them as expressions, `df.kite` as methods. A frame has the bars of many
# instruments; each indicator keeps them apart. Here the recording that comes with the package
# stands in for the market, and bars are of two seconds, so that there are enough of them.

# %%
from typing import Any

import polars as pl

import kitepolars as kp

ki = kp.indicators
ticker = kp.sample(speed=None)
ticker.start()
ticker.wait()
bars = ticker.candles("2s", on="received_at")

crossed = bars.with_columns(ki.ema(5).alias("fast"), ki.ema(20).alias("slow")).with_columns(
    is_above=pl.col("fast") > pl.col("slow")
)
print(crossed.select("symbol", "start", "close", "fast", "slow", "is_above").tail(5))

# %% [markdown]
# The same as a method chain. An indicator with several parts adds a column for each.

# %%
many: Any = bars  # for a type checker: `.kite` is added at run time
many = many.kite.sma(10).kite.ema(10).kite.wma(10).kite.bollinger(20, 2)
many = many.kite.rsi(14).kite.macd(6, 13, 5).kite.stochastic(14, 3, 3)
many = many.kite.atr(14).kite.supertrend(10, 3).kite.adx(7)
many = (
    many.kite.obv()
    .kite.vwap_bands(2)
    .kite.pivots()  # null here: they are of the day before, which the recording does not have
    .kite.opening_range(15)
)
print(many.select("symbol", "close", "rsi", "macd_histogram", "supertrend_direction").tail(5))
assert many["rsi"].drop_nulls().is_between(0, 100).all()

# %% [markdown]
# A running ticker computes them with `indicators=`: it remembers what finished bars contribute, so
# asking again after each flush costs the new bars, not the day. The values are the same, bit for
# bit. `IncrementalIndicators` does it for bars from elsewhere.

# %%
live = ticker.candles("2s", on="received_at", indicators=[ki.rsi(14), ki.macd(6, 13, 5)])
assert live["rsi"].equals(many["rsi"])
assert live["macd_signal"].equals(many["macd_signal"])

growing = ki.IncrementalIndicators([ki.rsi(14)])
for rows in (100, 200, bars.height):
    latest = growing.add_to(bars.head(rows))
assert latest["rsi"].equals(many["rsi"])
growing.clear()  # a new day, or other instruments

# %% [markdown]
# How much was traded at which price, from ticks or from candles:

# %%
ticks: Any = ticker.frame()
profile = ticks.kite.volume_profile(levels=12)
busiest = profile.filter("is_point_of_control")
print(busiest.select("instrument_token", "low", "high", "share"))
assert profile.equals(ki.volume_profile(ticks, 12))
ticker.stop()
