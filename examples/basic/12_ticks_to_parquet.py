# %% [markdown]
# # How do I save the day's ticks to a file, and read them back?
#
# *Basic · 4 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.frame`, `Ticker.lazy`, `spread`
#
# Frames are ordinary Polars frames, so that every format of Polars works. Parquet keeps each
# dtype, the order book's arrays and the time zone included.

# %%
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

import kitepolars as kp

ticker = kp.demo(rate=20)
assert ticker.wait(rows=500, timeout=20)
ticker.stop()

ticks = ticker.frame()
path = Path("ticks.parquet")
ticks.write_parquet(path, compression="zstd")
print(f"{ticks.height:,} ticks in {path.stat().st_size:,} bytes")

# %% [markdown]
# ## Read it back
#
# It is the same frame, to the last dtype. `scan_parquet` reads only what a query asks for.

# %%
assert_frame_equal(pl.read_parquet(path), ticks, categorical_as_str=True)

spreads = (
    pl.scan_parquet(path)
    .filter(pl.col("symbol") == "NSE:INFY")
    .select(pl.len().alias("ticks"), kp.spread().mean().alias("mean_spread"))
    .collect()
)
print(spreads)

# %% [markdown]
# ## A query on what is still growing
#
# `lazy()` is the same as `frame()` for lazy queries, and `sink_parquet` writes its result without
# holding it twice in memory.

# %%
small = Path("prices.parquet")
ticker.lazy().select("received_at", "symbol", "last_price").sink_parquet(small)
print(pl.read_parquet(small).tail(3))

assert pl.read_parquet(small).height == ticks.height
assert spreads["ticks"][0] > 0
path.unlink()
small.unlink()
