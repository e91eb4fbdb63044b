# %% [markdown]
# # How do I put thirty days of history and today's candles into one frame?
#
# *Advanced · 6 seconds · account*
#
# Uses: `historical`, `CANDLES`, `Account`, `Ticker.from_env`, `Ticker.candles`, `Ticker.wait`,
# `Instruments.fetch`, `ConnectionLost`, `Ticker`, `Instruments`
#
# Historical candles have the same columns as live ones, so `pl.concat` is all it takes.
# Indicators then begin with the first live bar instead of an hour after the open. Needs the extra
# `http`, and Kite's historical data subscription.

# %%
import datetime as dt
import os

import polars as pl

import kitepolars as kp

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
SYMBOL = "NSE:INFY"

instruments = kp.Instruments.fetch()
ticker = kp.Ticker.from_env(instruments=instruments, default_mode="full")
ticker.subscribe([SYMBOL])
ticker.start()

# %% [markdown]
# Kite answers three requests a second, and sixty days of minutes in each; longer periods are
# split and paced. A request is retried up to five times while Kite is busy. Where both have the
# minute that is still forming, the live bar is kept.

# %%
today = dt.datetime.now(IST).date()
account = kp.Account("main", os.environ["KITE_API_KEY"], os.environ["KITE_ACCESS_TOKEN"])
try:
    history = kp.historical(
        account,
        SYMBOL,
        "1m",
        today - dt.timedelta(days=30),
        dt.datetime.now(IST),
        instruments=instruments,
        oi=True,
        progress=False,
    )
except kp.ConnectionLost as error:
    raise SystemExit(f"Kite did not answer, try later: {error}") from None
print(f"{history.height:,} bars from {history['start'][0]} to {history['start'][-1]}")

# %%
assert ticker.wait(rows=3, timeout=20)
live = ticker.candles("1m", SYMBOL)
ticker.stop()

bars = pl.concat([history.filter(pl.col("start") < live["start"][0]), live])
averages = bars.select(
    "start",
    "close",
    fast=pl.col("close").ewm_mean(span=9),
    slow=pl.col("close").rolling_mean(50),
)
print(averages.tail(5))

assert history.schema == live.schema == kp.CANDLES
assert bars["start"].is_sorted()
assert averages["slow"][-1] is not None
