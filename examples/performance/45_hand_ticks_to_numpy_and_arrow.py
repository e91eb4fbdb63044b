# %% [markdown]
# # How do I hand ticks to NumPy, Arrow or pandas without copying them?
#
# *Performance · 3 seconds · simulated*
#
# Uses: `DemoTicker`, `SimulatedKite`, `Ticker.frame`, `Ticker.wait`, `df.kite.flat`
#
# A frame is made of Arrow columns. A column without nulls in one piece *is* a NumPy array; the
# order book is a matrix of five columns. Operations that copy are marked.

# %%
from typing import Any

import numpy as np
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

INSTRUMENTS, STEPS = 2_000, 20
with kp.DemoTicker(SimulatedKite(rate=0)) as ticker:
    ticker.subscribe(ticker.exchange.instruments.instrument_token[:INSTRUMENTS], mode="full")
    assert ticker.wait(rows=INSTRUMENTS, timeout=20)
    for _ in range(STEPS):
        ticker.exchange.step()
    assert ticker.wait(rows=INSTRUMENTS * (STEPS + 1), timeout=20)
    ticks = ticker.frame()
print(f"{ticks.height:,} rows in {ticks.n_chunks()} pieces, {ticks.estimated_size('mb'):.0f} MB")

# %% [markdown]
# ## NumPy
#
# `allow_copy=False` raises where a copy would be needed. A long history comes in several pieces:
# `rechunk()` joins them once, at the price of one copy.

# %%
whole = ticks.rechunk()
prices = whole["last_price"].to_numpy(allow_copy=False)
book = whole["bid_price"].to_numpy()
print(prices.shape, prices.dtype, "and the bids", book.shape)
assert not prices.flags.writeable  # they are the frame's own memory
assert np.shares_memory(prices, whole["last_price"].to_numpy(allow_copy=False))

spread = whole["ask_price"].to_numpy()[:, 0] - book[:, 0]
print("mean spread", round(float(spread[book[:, 0] > 0].mean()), 3))

# %% [markdown]
# ## Arrow
#
# Anything that speaks Arrow's PyCapsule protocol (DuckDB, pyarrow, pandas 3, Lance) takes the
# frame as it is. Polars reads it back here from the same memory.

# %%
capsule = ticks.__arrow_c_stream__()
print(type(capsule).__name__)
again = pl.DataFrame(ticks)
assert again.equals(ticks)

for name in ("pyarrow", "duckdb", "pandas"):
    try:
        module = __import__(name)
    except ImportError:
        print(f"{name} is not installed")
        continue
    if name == "duckdb":
        print(module.sql("select count(*) from ticks").fetchall())
    elif name == "pandas":
        print(module.DataFrame({"last_price": prices}).describe().loc[["mean", "std"]])
    else:
        print(f"pyarrow {module.__version__}: ticks.to_arrow() shares the numbers' memory")

# %% [markdown]
# ## A matrix for a model
#
# Several numeric columns become one matrix; that copies, once.

# %%
matrix = ticks.select("last_price", "volume_traded", "oi").fill_null(0).to_numpy()
print(matrix.shape, matrix.dtype)
assert matrix.shape == (ticks.height, 3)
assert matrix.dtype == np.float64

# %% [markdown]
# ## CSV and Excel
#
# They hold no arrays: `flat` gives each level of the book a column. This copies.

# %%
held: Any = whole
flat = held.kite.flat()
print(flat.select("symbol", "bid_price_1", "ask_price_1").head(2).write_csv())
assert "ask_orders_5" in flat.columns
