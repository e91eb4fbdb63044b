# %% [markdown]
# # How do I work offline with a list of instruments that I saved?
#
# *Basic · 2 seconds · no connection*
#
# Uses: `Instruments`, `Instruments.read_csv`, `Instruments.rejected`,
# `Instruments.to_csv`, `Ticker`,
# `Ticker.instruments`, `Ticker.subscribe`, `Ticker.subscriptions`, `ConfigError`
#
# Names change: contracts expire, companies rename. Last week's ticks need last week's list. Save
# the CSV that Kite serves, plain or gzipped, and read it back.

# %%
import gzip
import warnings
from pathlib import Path

import kitepolars as kp
from kitepolars.sim import SimulatedKite

today = kp.Instruments.read_csv(SimulatedKite().instruments_csv())  # or Instruments.fetch()
dump = today.to_csv()
path = Path("instruments-2026-11-20.csv.gz")
path.write_bytes(gzip.compress(dump))

instruments = kp.Instruments.read_csv(path)
print(instruments)
assert len(instruments) == dump.count(b"\n") - 1

# %% [markdown]
# ## A damaged file
#
# Invalid rows are skipped and listed with their line number, and one warning counts them.

# %%
lines = dump.splitlines(keepends=True)
lines[3] = lines[3].replace(b",", b";", 1)
lines[7] = b"not,a,row\n"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    damaged = kp.Instruments.read_csv(b"".join(lines))

print(caught[0].message)
print(damaged.rejected)
assert damaged.rejected["line"].to_list() == [4, 8]
assert len(damaged) == len(instruments) - 2

# %% [markdown]
# Something that is not a dump at all is an error:

# %%
try:
    kp.Instruments.read_csv(b"date,price\n2026-11-20,1500\n")
except kp.ConfigError as error:
    print(error)

# %% [markdown]
# ## Names for a ticker
#
# A ticker takes the list, its path or its bytes, and another one at any time.

# %%
ticker = kp.Ticker("my_api_key", "my_access_token", instruments=instruments)
ticker.subscribe(["NSE:INFY", instruments.futures("CRUDEOIL")["symbol"][0]])
ticker.instruments = instruments
print(ticker.subscriptions())
assert ticker.subscriptions().height == 2
path.unlink()
