# %% [markdown]
# # How do I apply a function to every recorded day, on all cores or a cluster?
#
# *Performance · 12 seconds · no connection*
#
# Uses: `map_days`, `PartitionFailed`
#
# `map_days` calls a function with each day's ticks as a LazyFrame, and concatenates the
# results. The result is the same in this process, in several, and on a Dask cluster, which is
# one more argument: `client=distributed.Client("tls://10.0.0.1:8786", security=...)`.

# %%
import shutil
from pathlib import Path

import polars as pl

import kitepolars as kp
from kitepolars.playback import SAMPLE

# %% [markdown]
# Three days of a recording: here the one that comes with the package, three times.

# %%
for day in ("2026-11-18", "2026-11-19", "2026-11-20"):
    Path("ticks", day).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SAMPLE, Path("ticks", day, "000000000000.kpj.zst"))


# %% [markdown]
# ## The question


# %%
def turnover(ticks: pl.LazyFrame) -> pl.LazyFrame:
    """Return what was traded of each instrument, in rupees."""
    value = pl.col("average_traded_price") * pl.col("volume_traded")
    return (
        ticks.filter(pl.col("volume_traded").is_not_null())
        .group_by("symbol", maintain_order=True)
        .agg(value.last().alias("turnover"))
    )


# %% [markdown]
# ## On this machine
#
# A worker process imports what the main module defines, so a script asks under this condition. A
# notebook needs no condition, but the extra: `pip install "kitepolars[dask]"`.

# %%
if __name__ == "__main__":
    here = kp.map_days(turnover, "ticks", progress=False)
    pool = kp.map_days(turnover, "ticks", workers=2, progress=False)
    assert pool.equals(here)
    print(here.group_by("symbol", maintain_order=True).agg(pl.len().alias("days")).head(3))

    # What fails says for which day.
    def failing(ticks: pl.LazyFrame) -> pl.DataFrame:
        """Ask for a column that is not there."""
        return ticks.select("colour").collect()

    failed = ""
    try:
        kp.map_days(failing, "ticks", progress=False)
    except kp.PartitionFailed as error:
        failed = error.partition
        print(str(error).partition("\n")[0])
    assert failed == "2026-11-18"
