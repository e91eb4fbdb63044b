# %% [markdown]
# # What is the token of an instrument, and what is it called?
#
# *Basic · 2 seconds · no connection*
#
# Uses: `Instruments`, `Instruments.read_csv`, `Instruments.resolve`, `Instruments.tokens`,
# `Instruments.symbol`, `Instruments.symbols`, `Instruments.labels`, `Instruments.search`,
# `UnknownInstrument`
#
# Kite's feed identifies instruments by number, people by name. `Instruments` holds the day's list
# of both. With an account it is `kp.Instruments.fetch()`; here it comes from the simulated
# exchange.

# %%
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

instruments = kp.Instruments.read_csv(SimulatedKite().instruments_csv())
print(instruments)

# %% [markdown]
# ## From a name to a token and back
#
# A name is `EXCHANGE:TRADINGSYMBOL`; case and extra spaces are ignored.

# %%
token = instruments.resolve("nse:infy")
print(token, instruments.symbol(token))
assert instruments.symbol(token) == "NSE:INFY"

several = instruments.tokens(["NSE:NIFTY 50", "BSE:INFY", 884737])
print(instruments.symbols(several).to_list())
assert several[2] == 884737

# %% [markdown]
# `labels` writes contracts as people read them:

# %%
near = instruments.futures("NIFTY").head(1)
print(near["symbol"].item(), "→", instruments.labels(near["instrument_token"]).item())

# %% [markdown]
# ## A typo
#
# The error lists names that exist. It is a `KeyError`, too.

# %%
try:
    instruments.resolve("NSE:RELAINCE")
except kp.UnknownInstrument as error:
    suggestions = error.suggestions
    print(error)
assert "NSE:RELIANCE" in suggestions

# %% [markdown]
# ## Search as you type
#
# Words match the symbol, the company's name, the strike, the type (`ce`, `pe`, `fut`) and the
# expiry, in any order. A word that occurs nowhere is treated as a typo.

# %%
for query in ("nifty 26000 ce", "relaince", "crude fut"):
    hits = instruments.search(query, limit=3)
    print(query, "→", hits["symbol"].to_list())
    assert hits.height == 3

calls = instruments.search("nifty 26000 ce", limit=5)
print(calls.select("symbol", "expiry", "strike", "lot_size", "instrument_token"))
assert calls.select(pl.col("strike") == 26000).to_series().all()
