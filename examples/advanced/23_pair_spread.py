# %% [markdown]
# # How do I watch the spread of two shares?
#
# *Advanced · 8 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.unsubscribe`, `mid`
#
# Two shares tick at different moments. To compare them, each tick of one is joined with the last
# one of the other; the z-score says how unusual their ratio is now.

# %%
import polars as pl

import kitepolars as kp

LEFT, RIGHT = "NSE:HDFCBANK", "NSE:SBIN"
ticker = kp.demo(instruments=[LEFT, RIGHT], rate=20)
ticker.wait(timeout=6)

# %% [markdown]
# Mid prices rather than last prices: a last price may be a minute old on a quiet share, the mid
# is where both could be traded now.


# %%
def mids(symbol: str, name: str) -> pl.LazyFrame:
    """Return the mid price of a share through time."""
    fresh = ticker.lazy().filter(pl.col("symbol") == symbol, ~pl.col("is_snapshot"))
    return fresh.select("received_at", kp.mid().alias(name)).sort("received_at")


WINDOW = "3s"  # twenty minutes in real life
pair = (
    mids(LEFT, "left")
    .join_asof(mids(RIGHT, "right"), on="received_at", strategy="backward")
    .drop_nulls()
    .with_columns(ratio=pl.col("left") / pl.col("right"))
    .with_columns(
        mean=pl.col("ratio").rolling_mean_by("received_at", WINDOW),
        deviation=pl.col("ratio").rolling_std_by("received_at", WINDOW),
    )
    .filter(pl.col("deviation") > 1e-9)  # none yet, or nothing moved
    .with_columns(z=(pl.col("ratio") - pl.col("mean")) / pl.col("deviation"))
    .collect()
)
print(pair.select("received_at", "left", "right", "ratio", "z").tail(5))

# %%
signals = pair.filter(pl.col("z").abs() > 2)
print(f"{pair.height} moments, {signals.height} of them beyond two deviations")
ticker.unsubscribe([LEFT, RIGHT])
assert ticker.subscriptions().is_empty()
ticker.stop()

assert pair.height > 20
assert pair["received_at"].is_sorted()
assert pair["z"].is_finite().all()
