# %% [markdown]
# # The feed broke at 11:02. How do I repair the candles?
#
# *Advanced · 6 seconds · account*
#
# Uses: `Gap`, `historical`, `candles`, `Ticker.gaps`, `Ticker.frame`, `Ticker.wait`,
# `DemoTicker`, `SimulatedKite`, `Account`, `CANDLES`
#
# Each gap in the data is a row of `gaps()`. The bars that it overlaps are replaced by Kite's own,
# which are complete a minute later; the others stay. The feed is simulated here, so that it can
# be broken on purpose; the history comes from your account. Needs the extra `http`.

# %%
import datetime as dt
import os
import time
from zoneinfo import ZoneInfo

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

IST, INFY = ZoneInfo("Asia/Kolkata"), 408065
days = {0: 3, 6: 2}.get(dt.datetime.now(IST).weekday(), 1)
eleven = dt.datetime.combine(dt.datetime.now(IST) - dt.timedelta(days), dt.time(11, 2), IST)
late = time.time() - eleven.timestamp()  # the exchange's clock says 11:02 of the last weekday

exchange = SimulatedKite(rate=10, clock=lambda: time.time() - late)
ticker = kp.DemoTicker(exchange).start()
ticker.subscribe([INFY])
assert ticker.wait(rows=20, timeout=20)

# %% [markdown]
# ## The gap
#
# A gap lasts from the last message before the loss to the first one after it. `ended_at` is null
# while it is open.

# %%
exchange.abort()
assert ticker.wait(
    until=lambda t: t.gaps().height and t.gaps()["ended_at"].null_count() == 0, timeout=20
)
assert ticker.wait(rows=ticker.frame().height + 5, timeout=20)
ticker.stop()
print(ticker.gaps().select("started_at", "ended_at", "reason", "instruments"))

# %% [markdown]
# ## The repair
#
# A bar is affected if it overlaps a gap. The function below works on any frame of candles.


# %%
def repaired(
    bars: pl.DataFrame, holes: pl.DataFrame, history: pl.DataFrame, length: dt.timedelta
) -> pl.DataFrame:
    """Return bars with those that a hole touches replaced from history."""
    touched = (
        history.join_where(
            holes,
            pl.col("start") < pl.col("ended_at"),
            pl.col("start") + length > pl.col("started_at"),
        )
        .select(history.columns)
        .unique(["instrument_token", "start"])
    )
    kept = bars.join(touched, on=["instrument_token", "start"], how="anti")
    return pl.concat([kept, touched]).sort("start", "instrument_token")


account = kp.Account("main", os.environ["KITE_API_KEY"], os.environ["KITE_ACCESS_TOKEN"])
shift = dt.timedelta(seconds=late)  # only because the exchange's clock is not yours here
holes = ticker.gaps().with_columns(pl.col("started_at", "ended_at") - shift)
bars = kp.candles(ticker.frame(), "1m")
history = kp.historical(
    account, INFY, "1m", eleven - dt.timedelta(minutes=5), eleven + dt.timedelta(minutes=1)
)
whole = repaired(bars, holes, history, dt.timedelta(minutes=1))
print(
    whole.select("start", "open", "high", "low", "close", "volume", from_history="ticks").select(
        pl.all().exclude("from_history"), pl.col("from_history").is_null()
    )
)

# %%
assert whole.schema == kp.CANDLES
assert whole["start"].is_unique().all()
assert whole.filter(pl.col("ticks").is_null())["start"].to_list() == [eleven]
assert whole.height >= bars.height

# %% [markdown]
# `on_event` and `gaps()` report when a gap has ended, so that a service can do this
# automatically. A `Gap` is the record behind a row:

# %%
gap = kp.Gap(
    connection=0,
    account="main",
    started_at=0,
    ended_at=1_500_000,
    reason="the connection was cut",
    instruments=1,
)
print(f"{gap.reason}: {(gap.ended_at or 0) / 1e6:.1f} s of {gap.instruments} instrument")
