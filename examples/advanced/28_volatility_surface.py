# %% [markdown]
# # What does implied volatility look like over strikes and expiries?
#
# *Advanced · 6 seconds · simulated*
#
# Uses: `demo`, `Instruments.expiries`, `Instruments.option_chain`, `Ticker.option_chain`,
# `Ticker.subscribe`, `Ticker.wait`, `Ticker.latest`, `options.implied_volatility`
#
# The surface of NIFTY: three expiries, the strikes around the money, live.

# %%
import matplotlib.pyplot as plt
import polars as pl

import kitepolars as kp
from kitepolars import options

ticker = kp.demo(instruments=["NSE:NIFTY 50"], rate=2)
names = ticker.instruments
assert ticker.wait(rows=1, timeout=10)
spot = ticker.latest()["last_price"][0]
expiries = names.expiries("NIFTY")[1:4]  # the nearest may end today
print(f"spot {spot:,.2f}; expiries", ", ".join(map(str, expiries)))

# %% [markdown]
# ## Subscribe the contracts
#
# `Instruments.option_chain` lists the contracts, `Ticker.option_chain` fills in their quotes and
# greeks. A chain can be subscribed as it is.

# %%
chains = {day: names.option_chain("NIFTY", day, around=spot, strikes=8) for day in expiries}
for chain in chains.values():
    ticker.subscribe(chain, mode="full")
wanted = 1 + sum(2 * chain.height for chain in chains.values())
assert ticker.wait(until=lambda t: t.latest().height == wanted, timeout=20)
assert ticker.wait(rows=3 * wanted, timeout=20)

# %% [markdown]
# ## The surface
#
# Out-of-the-money options are the liquid ones: puts below the forward, calls above it.

# %%
live = pl.concat(ticker.option_chain("NIFTY", day, strikes=8) for day in expiries)
iv = pl.when(pl.col("strike") < pl.col("forward")).then("put_iv").otherwise("call_iv")
surface = live.select("expiry", "strike", (100 * iv).round(2).alias("iv")).pivot(
    "expiry", index="strike", values="iv"
)
with pl.Config(tbl_rows=20):
    print(surface.sort("strike"))

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for day in expiries:
    smile = surface.select("strike", str(day)).drop_nulls().sort("strike")
    axes.plot(smile["strike"], smile[str(day)], marker=".", label=f"{day:%d %b}")
axes.set(xlabel="strike", ylabel="implied volatility, %")
axes.legend()
figure.savefig("smile.png")

# %% [markdown]
# ## One point by hand
#
# `options.implied_volatility` answers the same for prices from anywhere, as arrays.

# %%
row = live.filter(pl.col("call_iv").is_not_null()).row(0, named=True)
price = (row["call_bid"] + row["call_ask"]) / 2
(by_hand,) = options.implied_volatility(
    "CE", [price], forward=row["forward"], strike=row["strike"], years=row["years"]
)
print(f"{row['call_symbol']} at {price:.2f}: {by_hand:.2%}")
ticker.stop()

values = live.select(iv.alias("iv")).to_series().drop_nulls()
assert values.len() > 0.8 * live.height
assert values.is_between(0.02, 1.0).all()
assert abs(by_hand - row["call_iv"]) < 0.01
