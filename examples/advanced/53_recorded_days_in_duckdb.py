# %% [markdown]
# # How do I query recorded days in SQL, with DuckDB?
#
# *Advanced · 3 seconds · no connection*
#
# Uses: `publish`
#
# A table of days is Parquet: DuckDB reads it without this package. Only the first cell uses it,
# to have a table.

# %%
import json
import tempfile
from pathlib import Path

import duckdb

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
bars = duckdb.execute(
    """
    SELECT
        symbol,
        time_bucket(INTERVAL 1 MINUTE, exchange_timestamp) AS minute,
        first(last_price ORDER BY sequence) AS open,
        max(last_price) AS high,
        min(last_price) AS low,
        last(last_price ORDER BY sequence) AS close,
        max(volume_traded) - min(volume_traded) AS volume
    FROM read_parquet(?)
    WHERE instrument_token = 408065 AND NOT is_snapshot
    GROUP BY ALL
    ORDER BY minute
    """,
    [files],
).fetchall()
for bar in bars:
    print(*bar)

# %% [markdown]
# A filter by `instrument_token` or `received_at` reads only the row groups that can match: files
# are sorted by instrument and have statistics. The order book is five prices; times keep their
# zone.

# %%
[(spread, zone)] = duckdb.execute(
    """
    SELECT avg(ask_price[1] - bid_price[1]), any_value(typeof(received_at))
    FROM read_parquet(?) WHERE instrument_token = 408065
    """,
    [files],
).fetchall()
[(rows,)] = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchall()

assert rows == published.rows
assert {symbol for symbol, *_ in bars} == {"NSE:INFY"}
assert all(high >= low for _, _, _, high, low, *_ in bars)
assert zone == "TIMESTAMP WITH TIME ZONE"
assert spread > 0
