# %% [markdown]
# # How do I stream recorded days with Arrow?
#
# *Advanced · 2 seconds · no connection*
#
# Uses: `publish`
#
# A table of days is Parquet: pyarrow reads it without this package, a batch at a time, and hands
# it to whatever speaks Arrow. Only the first cell uses the package, to have a table.

# %%
import json
import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

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

# %%
ticks = ds.dataset(files, format="parquet")
print(ticks.schema.to_string(show_schema_metadata=False))

# %% [markdown]
# Batches are read one after the other, so a table may be larger than memory. The filter skips row
# groups by their statistics.

# %%
rows = last = 0
for batch in ticks.to_batches(
    columns=["last_price", "sequence"], filter=pc.field("instrument_token") == 408065
):
    rows += batch.num_rows
    last = batch["last_price"][-1].as_py() if batch.num_rows else last
print(f"{rows} ticks of INFY, the last at {last}")

assert ticks.count_rows() == published.rows
assert rows == 236
assert str(ticks.schema.field("received_at").type) == "timestamp[us, tz=Asia/Kolkata]"
assert str(ticks.schema.field("bid_price").type).startswith("fixed_size_list")
