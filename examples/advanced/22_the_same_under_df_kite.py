# %% [markdown]
# # Can I write the table of features as a method chain?
#
# *Advanced · 3 seconds · no connection*
#
# Uses: `df.kite.show`, `df.kite.candles`, `df.kite.latest`, `df.kite.movers`, `df.kite.depth`,
# `df.kite.spread`, `df.kite.mid`, `df.kite.microprice`, `df.kite.imbalance`,
# `df.kite.depth_weighted_price`, `df.kite.change`, `df.kite.volume_delta`, `df.kite.vwap`,
# `df.kite.returns`, `df.kite.realised_volatility`, `DemoTicker`, `SimulatedKite`, `CANDLES`, `mid`
#
# Importing kitepolars registers the namespace `kite` on every DataFrame and LazyFrame. What it
# returns is of the same kind; expressions become columns, computed within each instrument.

# %%
import datetime as dt
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

IST = ZoneInfo("Asia/Kolkata")

# %% [markdown]
# Ticks that were saved some time ago; nothing after this cell needs a ticker. The exchange's
# clock says the last weekday at eleven, so that there are candles at whatever hour you run this.

# %%
days = {0: 3, 6: 2}.get(dt.datetime.now(IST).weekday(), 1)
eleven = dt.datetime.combine(dt.datetime.now(IST) - dt.timedelta(days), dt.time(11), IST)
late = time.time() - eleven.timestamp()
path = Path("saved.parquet")
with kp.DemoTicker(SimulatedKite(rate=20, clock=lambda: time.time() - late)) as ticker:
    ticker.subscribe(["NSE:INFY", "NSE:SBIN", "NSE:NIFTY 50"])
    assert ticker.wait(rows=60, timeout=20)
    ticker.frame().write_parquet(path)
ticks: Any = pl.read_parquet(path)  # type checkers do not see registered namespaces

# %% [markdown]
# ## A table of features, lazily
#
# Nothing is computed until `collect`, and only for the requested columns.

# %%
lazy: Any = pl.scan_parquet(path)
lazy = lazy.kite.spread()
lazy = lazy.kite.mid()
lazy = lazy.kite.microprice()
lazy = lazy.kite.imbalance()
lazy = lazy.kite.depth_weighted_price(levels=3)
lazy = lazy.kite.change()
lazy = lazy.kite.volume_delta()
lazy = lazy.kite.vwap()
lazy = lazy.kite.returns(log=True)
lazy = lazy.kite.realised_volatility("5m")
table = lazy.filter(pl.col("symbol") == "NSE:INFY").collect()
print(table.select("last_price", "mid", "spread", "imbalance", "volume_delta", "vwap").tail(4))

# %% [markdown]
# Typed by hand it reads from left to right, with tab completion in a notebook:

# %%
by_hand = ticks.kite.volume_delta().kite.imbalance(levels=1).kite.change()
print(by_hand.select("symbol", "volume_delta", "imbalance", "change").tail(3))

# %% [markdown]
# ## Frames of another shape

# %%
bars = ticks.kite.candles("1s", hours="any")
print(bars.select("symbol", "start", "open", "high", "low", "close", "volume").tail(3))
print(ticks.kite.latest().select("symbol", "last_price", "range_position"))
print(ticks.kite.latest().kite.show())
print(ticks.kite.movers(1))
print(ticks.kite.depth("NSE:SBIN").head(2))
path.unlink()

assert table["mid"].null_count() == 0
expected = ticks.filter(symbol="NSE:INFY").select(kp.mid())["mid"]
assert table["mid"].equals(expected)
assert bars.schema == kp.CANDLES
