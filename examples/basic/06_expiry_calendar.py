# %% [markdown]
# # Which expiries are there, and when do my futures roll?
#
# *Basic · 2 seconds · no connection*
#
# Uses: `Instruments`, `Instruments.read_csv`, `Instruments.expiries`, `Instruments.futures`,
# `Instruments.options`, `Instruments.spot`, `Instruments.symbol`, `Instruments.frame`
#
# A calendar of the contracts that are listed, and the positions of mine that have to be rolled.

# %%
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

instruments = kp.Instruments.read_csv(SimulatedKite().instruments_csv())

# %% [markdown]
# ## The calendar
#
# `expiries` covers futures and options; NIFTY's weekly ones have options only.

# %%
for underlying in ("NIFTY", "BANKNIFTY", "RELIANCE", "CRUDEOIL"):
    days = instruments.expiries(underlying)
    print(f"{underlying:10}", ", ".join(f"{day:%a %d %b}" for day in days[:5]))
    assert days == sorted(days)

# %%
futures = instruments.futures("NIFTY")
print(futures.select("symbol", "expiry", "lot_size", "tick_size"))
weekly = instruments.options("NIFTY").filter(expiry=instruments.expiries("NIFTY")[0])
print(weekly.height, "options expire first")
assert set(weekly["instrument_type"]) == {"CE", "PE"}
spot = instruments.spot("NIFTY")
assert spot is not None
print("written on", instruments.symbol(spot))
assert instruments.symbol(spot) == "NSE:NIFTY 50"

# %% [markdown]
# ## What to roll
#
# For each future that I hold: the contract that comes after it. The whole list is one DataFrame,
# so this is a join.

# %%
held = pl.concat([instruments.futures(name).head(1) for name in ("NIFTY", "SBIN", "GOLD")]).select(
    "symbol", "name", "exchange", "expiry", lots=pl.Series([2, 1, 1])
)
later = instruments.frame.filter(instrument_type="FUT").sort("expiry")
roll = (
    held.join(
        later.select("name", "exchange", next="symbol", rolls_to="expiry"), on=["name", "exchange"]
    )
    .filter(pl.col("rolls_to") > pl.col("expiry"))
    .group_by("symbol", maintain_order=True)
    .first()
    .select("symbol", "lots", "expiry", "next", "rolls_to")
)
print(roll)
assert set(roll["symbol"]) == set(held["symbol"])
assert (roll["rolls_to"] > roll["expiry"]).all()
