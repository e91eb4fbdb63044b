# %% [markdown]
# # What are my holdings worth, and what have I made today?
#
# *Basic · 4 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.latest`, `Ticker.frame`, `latest`
#
# Holdings are a table; the market is another; the answer is a join. With an account the first one
# comes from the official client's `kite.holdings()`.

# %%
import polars as pl

import kitepolars as kp

holdings = pl.DataFrame(
    {
        "symbol": ["NSE:INFY", "NSE:SBIN", "NSE:ITC", "NSE:TITAN"],
        "quantity": [120, 400, 900, 35],
        "average_price": [1482.10, 801.55, 431.20, 3310.00],
    }
)

ticker = kp.demo(instruments=holdings["symbol"], rate=5)
assert ticker.wait(until=lambda t: t.latest().height == holdings.height, timeout=20)

# %% [markdown]
# `latest()` has one row per instrument, `close` in it is *yesterday's* close, so the day's profit
# needs no history.


# %%
def valued(latest: pl.DataFrame) -> pl.DataFrame:
    """Return holdings with their value and profit, in rupees."""
    price, held = pl.col("last_price"), pl.col("quantity")
    return (
        holdings.join(latest.with_columns(pl.col("symbol").cast(pl.String)), on="symbol")
        .with_columns(
            value=price * held,
            day=(price - pl.col("close")) * held,
            total=(price - pl.col("average_price")) * held,
        )
        .select("symbol", "quantity", "last_price", "value", "day", "total")
    )


portfolio = valued(ticker.latest())
with pl.Config(float_precision=2, thousands_separator=","):
    print(portfolio)
print(portfolio.select(pl.col("value", "day", "total").sum()).row(0, named=True))

# %% [markdown]
# ## As of a moment
#
# The function `kp.latest` takes any frame of ticks, so it also answers for the past: here, the
# value after the first ten ticks.

# %%
assert ticker.wait(rows=30, timeout=20)
early = valued(kp.latest(ticker.frame().head(10)))
now = valued(kp.latest(ticker.frame()))
print("then", round(early["value"].sum()), "now", round(now["value"].sum()))
ticker.stop()

assert portfolio.height == holdings.height
assert now["value"].sum() > 0
assert (portfolio["value"] == portfolio["last_price"] * portfolio["quantity"]).all()
