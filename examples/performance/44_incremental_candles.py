# %% [markdown]
# # Should I recompute candles each second, or update them?
#
# *Performance · 8 seconds · no connection*
#
# Uses: `CandleBuilder`, `CandleBuilder.update`, `CandleBuilder.rows`, `CandleBuilder.frame`,
# `CandleBuilder.clear`, `candles`, `CANDLES`
#
# `candles` reads every tick again; a `CandleBuilder` remembers where it was. Its bars are exactly
# those of `candles` over all the ticks. `ticker.candles()` uses one, so that with a ticker
# there is nothing to do.

# %%
import datetime as dt
import time
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

import kitepolars as kp

INSTRUMENTS, MINUTES, PER_SECOND = 500, 20, 1
rng = np.random.default_rng(7)
rows = INSTRUMENTS * MINUTES * 60 * PER_SECOND
opened = dt.datetime(2026, 11, 20, 9, 15, tzinfo=ZoneInfo("Asia/Kolkata"))
tick = pl.int_range(rows)
ticks = (
    pl.LazyFrame({"step": np.arange(rows)})
    .select(
        received_at=pl.lit(opened) + pl.duration(microseconds=tick * 1_000_000 // INSTRUMENTS),
        exchange_timestamp=(
            pl.lit(opened) + pl.duration(microseconds=tick * 1_000_000 // INSTRUMENTS)
        ).dt.truncate("1s"),
        instrument_token=((tick % INSTRUMENTS) * 256 + 257).cast(pl.UInt32),
        last_price=pl.lit(pl.Series(1_000 + rng.normal(0, 0.1, rows).cumsum() / 100).round(2)),
        volume_traded=(tick // INSTRUMENTS * 10 + 1_000).cast(pl.UInt32),
    )
    .collect()
)
print(f"{ticks.height:,} ticks of {INSTRUMENTS} instruments in {MINUTES} minutes")

# %% [markdown]
# ## Growing
#
# The ticks arrive minute by minute, and the finished bars are needed after each.

# %%
builder = kp.CandleBuilder("1m")
growing: list[float] = []
for minute in range(1, MINUTES + 1):
    upto = rows * minute // MINUTES
    begun = time.perf_counter()
    builder.update(ticks[builder.rows : upto])
    bars = builder.frame(include_partial=False)
    growing.append(1e3 * (time.perf_counter() - begun))
print(builder)

# %%
anew: list[float] = []
for minute in (1, MINUTES // 2, MINUTES):
    begun = time.perf_counter()
    kp.candles(ticks[: rows * minute // MINUTES], "1m", include_partial=False)
    anew.append(1e3 * (time.perf_counter() - begun))

table = pl.DataFrame(
    {
        "minute": [1, MINUTES // 2, MINUTES],
        "anew, ms": anew,
        "growing, ms": [growing[0], growing[MINUTES // 2 - 1], growing[-1]],
    }
)
print(table.with_columns(pl.col("anew, ms", "growing, ms").round(1)))

# %% [markdown]
# ## The same bars

# %%
whole = kp.candles(ticks, "1m")
assert_frame_equal(builder.frame(), whole)
assert whole.schema == kp.CANDLES
assert builder.rows == rows
assert sum(anew) > anew[0] * 3  # reading everything again grows with the day

builder.clear()  # another day begins
assert builder.rows == 0
assert builder.frame().is_empty()
