# %% [markdown]
# # How do I trail a stop behind the price, without being fooled by old prices?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `demo`, `Ticker.on_batch`, `Ticker.off`, `Ticker.note`, `Ticker.events`, `Ticker.frame`
#
# After a subscription, and after every reconnect, Kite first sends the last value that it had
# cached. It may be hours old. Such rows have `is_snapshot`; a stop that takes them for trades
# sells at a price that no longer exists.

# %%
import threading

import polars as pl

import kitepolars as kp

SYMBOL, DISTANCE = "NSE:RELIANCE", 0.4  # rupees: tiny, so that this example ends soon

ticker = kp.demo(instruments=[], rate=20)
stopped = threading.Event()
best: list[float] = []


@ticker.on_batch(instruments=[SYMBOL])
def trail(batch: pl.DataFrame) -> None:
    """Raise the stop with each new high; note the decision when it is hit."""
    if stopped.is_set():
        return
    for price in batch.filter(~pl.col("is_snapshot"))["last_price"]:
        if not best or price > best[-1]:
            best.append(price)
        elif price <= best[-1] - DISTANCE:
            ticker.note("stop", f"sold at {price:.2f}, {DISTANCE} below the high {best[-1]:.2f}")
            stopped.set()
            return


# %% [markdown]
# In the middle the connection breaks. The snapshot that follows the reconnect is ignored, the
# high so far is remembered, and the events list what happened, in order.

# %%
ticker.subscribe([SYMBOL], mode="full")
assert ticker.wait(rows=8, timeout=10)
ticker.exchange.abort()
assert ticker.wait(
    until=lambda t: t.frame()["is_snapshot"].sum() >= 2 and t.frame()[-1, "is_snapshot"] is False,
    timeout=12,
)
hit = stopped.wait(8)
if not hit:
    ticker.note("stop", f"not hit; the high is {best[-1]:.2f}")
ticker.off(trail)
ticker.stop()

with pl.Config(fmt_str_lengths=90, tbl_width_chars=120):
    print(ticker.events().select("at", "kind", "detail"))
snapshots = ticker.frame().filter("is_snapshot")
print(f"{len(best)} highs, {snapshots.height} cached snapshots ignored")

# %%
traded = ticker.frame().filter(~pl.col("is_snapshot"))["last_price"]
assert set(best) <= set(traded)
assert best == sorted(best)
assert snapshots.height >= 2
assert ticker.events()["kind"].to_list().count("stop") == 1
