# %% [markdown]
# # What changes for candles in quote mode, and how do I silence the warning?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `ArrivalTimeWarning`, `candles`, `DemoTicker`, `SimulatedKite`, `Ticker.subscribe`,
# `Ticker.wait`, `Ticker.frame`
#
# Quote mode carries no exchange time. Candles of such ticks can only be cut on their arrival: a
# tick that was delayed falls into a later bar. The package says so, once, unless you ask for it.

# %%
import datetime as dt
import time
import warnings
from zoneinfo import ZoneInfo

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

IST = ZoneInfo("Asia/Kolkata")
days = {0: 3, 6: 2}.get(dt.datetime.now(IST).weekday(), 1)
eleven = dt.datetime.combine(dt.datetime.now(IST) - dt.timedelta(days), dt.time(11), IST)
late = time.time() - eleven.timestamp()  # the exchange's clock says the last weekday at eleven

with kp.DemoTicker(SimulatedKite(rate=10, clock=lambda: time.time() - late)) as ticker:
    ticker.subscribe(["NSE:INFY"], mode="full")
    ticker.subscribe(["NSE:SBIN"], mode="quote")
    assert ticker.wait(rows=60, timeout=20)

# %% [markdown]
# To show bars at whatever hour this runs, the ticks are moved to eleven o'clock by their arrival,
# too. Leave this line out with ticks of your own.

# %%
ticks = ticker.frame().with_columns(pl.col("received_at") - dt.timedelta(seconds=late))

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    mixed = kp.candles(ticks, "1s", hours="any")
print(caught[0].message)

# %% [markdown]
# ## On purpose
#
# `on="received_at"` cuts every bar on the arrival and does not warn. It is the right choice when
# all instruments are in quote mode: their bars are comparable then.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("error", kp.ArrivalTimeWarning)
    on_arrival = kp.candles(ticks, "1s", on="received_at", hours="any")
    only_full = kp.candles(ticks.filter(mode="full"), "1s", hours="any")
print(on_arrival.select("symbol", "start", "open", "close", "volume", "ticks").tail(4))

# %% [markdown]
# ## How much it matters
#
# The bars of the share in full mode, cut both ways. Volume moves between neighbours; the total is
# the same.

# %%
of_share = on_arrival.filter(symbol="NSE:INFY")
both = only_full.join(of_share, on="start", how="full", coalesce=True, suffix="_arrival")
print(both.select("start", "volume", "volume_arrival", "close", "close_arrival").sort("start"))

assert [warning.category for warning in caught] == [kp.ArrivalTimeWarning]
assert "NSE:SBIN" in str(caught[0].message)
assert set(mixed["symbol"].cast(str)) == {"NSE:INFY", "NSE:SBIN"}
assert only_full["volume"].sum() == of_share["volume"].sum()
