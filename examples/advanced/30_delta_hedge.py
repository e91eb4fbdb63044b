# %% [markdown]
# # What is my net delta, and how many futures hedge it?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `demo`, `options.join_chain`, `Instruments.option_chain`, `Instruments.futures`,
# `Ticker.subscribe`, `Ticker.latest`, `Ticker.wait`
#
# Live delta of a book of options, in lots of the future. The forward comes from the traded future
# instead of from put–call parity: the instrument that hedges should also value.

# %%
import polars as pl

import kitepolars as kp
from kitepolars import options

ticker = kp.demo(instruments=["NSE:NIFTY BANK"], rate=5)
names = ticker.instruments
future = names.futures("BANKNIFTY")[1]  # the second month: the first may expire today
expiry = future["expiry"][0]
assert ticker.wait(rows=1, timeout=10)
spot = ticker.latest()["last_price"][0]
chain = names.option_chain("BANKNIFTY", expiry, around=spot, strikes=6)
ticker.subscribe(chain, mode="full")
ticker.subscribe(future, mode="full")
wanted = 2 + 2 * chain.height
assert ticker.wait(until=lambda t: t.latest().height == wanted, timeout=20)
assert ticker.wait(rows=3 * wanted, timeout=20)

# %% [markdown]
# ## My positions
#
# Quantities are in units, as Kite reports them; negative ones are sold.

# %%
lot = int(future["lot_size"][0])
strikes = chain["strike"]
positions = pl.DataFrame(
    {
        "symbol": [chain["call_symbol"][8], chain["put_symbol"][4]],
        "quantity": [-6 * lot, -4 * lot],
    }
)


# %%
def net_delta() -> tuple[pl.DataFrame, float]:
    """Return positions with their deltas, and the sum, in units of the underlying."""
    latest = ticker.latest()
    forward = latest.filter(instrument_token=future["instrument_token"][0])["last_price"][0]
    quoted = options.join_chain(chain, latest, forward=forward)
    deltas = pl.concat(
        quoted.select(
            pl.col(f"{side}_symbol").cast(pl.String).alias("symbol"),
            pl.col(f"{side}_delta").alias("delta"),
            pl.col(f"{side}_iv").alias("iv"),
        )
        for side in ("call", "put")
    )
    held = positions.with_columns(pl.col("symbol").cast(pl.String)).join(deltas, on="symbol")
    held = held.with_columns(net=pl.col("quantity") * pl.col("delta"))
    return held, float(held["net"].sum())


held, net = net_delta()
lots = round(-net / lot)
print(held)
print(
    f"net delta {net:,.0f}: {'buy' if lots > 0 else 'sell'} {abs(lots)} lots of "
    f"{future['symbol'][0]}, which leaves {net + lots * lot:,.0f}"
)
ticker.stop()

assert held.height == positions.height
assert abs(net + lots * lot) <= lot / 2
assert held["iv"].is_between(0.02, 1.0).all()
