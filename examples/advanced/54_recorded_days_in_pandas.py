# %% [markdown]
# # How do I read recorded days with pandas?
#
# *Advanced · 3 seconds · no connection*
#
# Uses: `publish`
#
# A table of days is Parquet: pandas reads it without this package, through pyarrow. Only the first
# cell uses it, to have a table.

# %%
import json
import tempfile
from pathlib import Path

import pandas as pd

import kitepolars as kp
from kitepolars.playback import SAMPLE

days = Path(tempfile.mkdtemp())
published = kp.publish(SAMPLE, days)  # what a recorder does while it records

# %% [markdown]
# The manifest of a day names its files. Read those, and not all that the folder has: gaps, orders
# and files that were replaced are beside them.

# %%
manifest = json.loads((days / "2026-11-20" / "manifest.json").read_text())
names = [file["name"] for file in (*manifest["published"], *manifest["by_instrument"])]
files = [str(days / name) for name in names]

# %% [markdown]
# A filter by instrument and the columns named are all that is read of a file.

# %%
infy = pd.read_parquet(
    files,
    columns=["received_at", "symbol", "last_price", "volume_traded", "bid_price", "ask_price"],
    filters=[("instrument_token", "==", 408065)],
)
print(infy.tail())

# %% [markdown]
# `symbol` is a categorical, times are Indian, and each cell of the book is an array of five.

# %%
bars = infy.set_index("received_at")["last_price"].resample("1min").ohlc()
spread = infy["ask_price"].str[0] - infy["bid_price"].str[0]
print(bars)

assert len(infy) == 236
assert infy["symbol"].unique().tolist() == ["NSE:INFY"]
assert str(infy["received_at"].dt.tz) == "Asia/Kolkata"
assert infy["received_at"].is_monotonic_increasing
assert (bars["high"] >= bars["low"]).all()
assert (spread.dropna() > 0).all()
