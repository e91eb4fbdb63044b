# %% [markdown]
# # How do I read recorded days with Polars alone?
#
# *Advanced · 2 seconds · no connection*
#
# Uses: `publish`, `scan`
#
# A table of days is Parquet: on a machine without this package, plain Polars reads it with every
# dtype. `kp.scan` does the same and finds the files, names and days by itself.

# %%
import json
import tempfile
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

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
# A filter by `instrument_token` or `received_at` skips row groups. One by `symbol` cannot: look the
# token up in the day's instruments, which are a file beside the ticks.

# %%
[listing] = [file["name"] for file in manifest["beside"]["instruments"].values()]
known = pl.read_parquet(days / listing)
[token] = known.filter(exchange="NSE", tradingsymbol="INFY")["instrument_token"]
infy = pl.scan_parquet(files).filter(pl.col("instrument_token") == token)
print(infy.select("received_at", "symbol", "last_price", "volume_traded").collect())

# %%
per_minute = (
    infy.filter(~pl.col("is_snapshot"))
    .group_by_dynamic("received_at", every="1m")
    .agg(pl.col("last_price").last(), pl.len().alias("ticks"))
    .collect()
)
print(per_minute)

assert per_minute["ticks"].sum() > 200
assert infy.collect()["symbol"].unique().to_list() == ["NSE:INFY"]
assert_frame_equal(infy.collect(), kp.scan(days, instruments=["NSE:INFY"]).collect())
