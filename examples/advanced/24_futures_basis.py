# %% [markdown]
# # What does the future pay over the spot, per year?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `demo`, `Instruments.spot`, `Instruments.futures`, `Instruments.symbol`,
# `Ticker.subscribe`, `Ticker.wait`, `Ticker.latest`, `Ticker.depth`, `depth`
#
# The basis of each listed future against its index or share, annualised, at prices that can be
# traded: buy the spot at the ask, sell the future at the bid.

# %%
import datetime as dt

import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=[], rate=5)
names = ticker.instruments
UNDERLYINGS = ["NIFTY", "INFY", "RELIANCE"]

contracts = pl.concat(
    names.futures(name).with_columns(spot_token=pl.lit(names.spot(name), pl.UInt32))
    for name in UNDERLYINGS
)
ticker.subscribe(contracts, mode="full")
ticker.subscribe(contracts["spot_token"].unique().to_list(), mode="full")
wanted = contracts.height + len(UNDERLYINGS)
assert ticker.wait(until=lambda t: t.latest().height == wanted, timeout=20)

# %%
latest = ticker.latest().with_columns(
    bid=pl.col("bid_price").arr.first(), ask=pl.col("ask_price").arr.first()
)
today = dt.datetime.now(dt.timezone(dt.timedelta(hours=5, minutes=30))).date()
days = (pl.col("expiry") - pl.lit(today)).dt.total_days().clip(lower_bound=1)
bids = latest.select("instrument_token", "bid")
spots = latest.select(
    pl.col("instrument_token").alias("spot_token"),
    pl.coalesce("ask", "last_price").alias("spot"),  # an index has no order book
)
basis = (
    contracts.join(bids, on="instrument_token")
    .join(spots, on="spot_token")
    .with_columns(days=days, basis=pl.col("bid") - pl.col("spot"))
    .with_columns(percent_a_year=100 * pl.col("basis") / pl.col("spot") * 365 / pl.col("days"))
    .select("symbol", "days", "spot", "bid", "basis", "percent_a_year")
)
print(basis)

# %% [markdown]
# ## How much can be traded at that price?
#
# The book of the nearest future. The function `kp.depth` reads the same from any frame of ticks.

# %%
nearest = contracts["symbol"][0]
book = ticker.depth(nearest)
print(nearest)
print(book.filter(side="bid"))
ticker.stop()

assert basis.height == contracts.height
assert basis["percent_a_year"].is_finite().all()
assert book["price"][0] >= book["price"][1]
assert kp.depth(ticker.frame(), nearest).columns == book.columns
