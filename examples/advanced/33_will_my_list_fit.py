# %% [markdown]
# # I want 12,000 instruments. Will they fit, and who gets full mode?
#
# *Advanced · 2 seconds · simulated*
#
# Uses: `Ticker`, `Account`, `Limits`, `CapacityExceeded`, `ConfigError`, `Ticker.subscribe`,
# `Ticker.subscriptions`, `Instruments`, `Instruments.read_csv`, `SimulatedKite`
#
# Kite allows three connections per API key and 3,000 instruments per connection. A list that does
# not fit is refused before anything is sent, so that a plan can be tried without a connection.

# %%
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

exchange = SimulatedKite(rate=0)
exchange.start()
instruments = kp.Instruments.read_csv(exchange.instruments_csv())
wishes = instruments.frame.filter(pl.col("exchange").is_in(["NSE", "NFO"])).head(12_000)

alone = kp.Ticker("my_api_key", "my_access_token", instruments=instruments)
try:
    alone.subscribe(wishes)
except kp.CapacityExceeded as error:
    print(error)
    print(f"{error.requested - error.available:,} too many")
assert alone.subscriptions().is_empty()

# %% [markdown]
# ## A plan by priority
#
# Shares first, then contracts by expiry and nearness to the money; the first thousand of them in
# full, the rest with prices alone, and those that do not fit wait.

# %%
CAPACITY = kp.Limits().connections * kp.Limits().instruments_per_connection
middle = pl.col("strike").median().over("name", "expiry")
ranked = wishes.sort(
    pl.col("expiry").fill_null(pl.lit("1900-01-01").str.to_date()),
    (pl.col("strike") - middle).abs(),
    maintain_order=True,
).with_row_index("rank")
plan = ranked.with_columns(
    mode=pl.when(pl.col("rank") < 1_000)
    .then(pl.lit("full"))
    .when(pl.col("rank") < CAPACITY)
    .then(pl.lit("ltp"))
    .otherwise(pl.lit("waits"))
)
print(plan.group_by("mode", "segment").len().sort("mode", "len", descending=True))
for mode in ("full", "ltp"):
    alone.subscribe(plan.filter(mode=mode), mode=mode)
print(alone)
assert alone.subscriptions().height == CAPACITY == 9_000

# %% [markdown]
# ## Or a second account
#
# Two accounts have room for 18,000. The planner spreads instruments evenly over six connections;
# `subscriptions()` says which is where once they are open.

# %%
both = kp.Ticker(
    accounts=[kp.Account("mine", "key_1", "token_1"), kp.Account("family", "key_2", "token_2")],
    instruments=instruments,
    url=exchange.url,
)
both.subscribe(wishes, mode="quote")
both.start()
assert both.wait(until=lambda t: t.subscriptions()["connection"].null_count() == 0, timeout=20)
loads = both.subscriptions().group_by("connection").len().sort("connection")
both.stop()
exchange.stop()
print(loads)

# %% [markdown]
# Your own limits keep room for another program; impossible ones are refused.

# %%
try:
    kp.Limits(connections=0)
except kp.ConfigError as error:
    print(error)
modest = kp.Ticker("my_api_key", "my_access_token", limits=kp.Limits(connections=1))
print(modest)

assert loads["len"].sum() == 12_000
assert set(loads["len"]) == {2_000}
