# %% [markdown]
# # How do I build a table of features for a model, one row per second?
#
# *Advanced · 8 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.frame`, `spread`, `mid`, `microprice`, `imbalance`,
# `depth_weighted_price`, `volume_delta`, `vwap`, `returns`, `realised_volatility`
#
# Every feature is a Polars expression, so all of them are one pass over the ticks. What looks at
# the tick before needs `.over("instrument_token")`: a frame holds the instruments interleaved.

# %%
import polars as pl

import kitepolars as kp

SHARES = ["NSE:INFY", "NSE:RELIANCE", "NSE:SBIN"]
ticker = kp.demo(instruments=SHARES, rate=20)
ticker.wait(timeout=6)
ticker.stop()
ticks = ticker.frame().filter(~pl.col("is_snapshot"))
print(f"{ticks.height} ticks")

# %% [markdown]
# ## Per tick

# %%
TOKEN = "instrument_token"
features = ticks.with_columns(
    kp.spread(),
    kp.mid(),
    (kp.microprice() - kp.mid()).alias("pressure"),
    kp.imbalance(levels=5),
    (kp.depth_weighted_price() - kp.mid()).alias("depth_tilt"),
    kp.volume_delta().over(TOKEN),
    kp.vwap().over(TOKEN),
    kp.returns(log=True).over(TOKEN),
    kp.realised_volatility("5s").over(TOKEN),
)
print(features.select("symbol", "mid", "spread", "pressure", "imbalance", "returns").tail(4))

# %% [markdown]
# ## Per second, with the target beside it
#
# The last book of the second, the flow during it, and the log return of the *next* second, which
# the model is to predict. `shift(-1)` looks into the future: it may stand in a target, never in a
# feature.

# %%
table = (
    features.sort("received_at")
    .group_by_dynamic("received_at", every="1s", group_by="symbol")
    .agg(
        pl.col("mid", "spread", "pressure", "imbalance", "depth_tilt", "vwap").last(),
        pl.col("volume_delta").sum().alias("volume"),
        pl.col("returns").sum(),
        pl.col("realised_volatility").last(),
        pl.len().alias("ticks"),
    )
    .with_columns(
        (pl.col("mid").shift(-1) / pl.col("mid")).log().over("symbol").alias("target"),
    )
)
print(table.select("symbol", "received_at", "mid", "imbalance", "volume", "target").tail(6))
print(table.select(pl.corr("imbalance", "target").alias("imbalance predicts")))

assert table["symbol"].n_unique() == len(SHARES)
assert (table["spread"] > 0).all()
assert table["imbalance"].is_between(-1, 1).all()
assert table.filter(pl.col("target").is_null()).height == len(SHARES)
total = features.select(pl.col("volume_delta").sum()).item()
assert table["volume"].sum() == total
