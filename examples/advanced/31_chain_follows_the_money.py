# %% [markdown]
# # How do I keep only the strikes around the money subscribed?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `DemoTicker`, `SimulatedKite`, `Instruments.option_chain`, `Instruments.tokens`,
# `Ticker.subscribe`, `Ticker.unsubscribe`, `Ticker.subscriptions`, `Ticker.latest`, `Ticker.wait`
#
# Ten strikes on each side of the spot, as the spot moves: the missing strikes are subscribed,
# and those too far away are unsubscribed. Nothing reconnects, and the strikes that stay miss
# no tick.

# %%
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

STRIKES, SPOT = 10, "NSE:NIFTY 50"
ticker = kp.DemoTicker(SimulatedKite(rate=0)).start()  # it ticks when this script says so
names = ticker.instruments
ticker.subscribe([SPOT], mode="ltp")
assert ticker.wait(rows=1, timeout=10)


def spot() -> float:
    """Return the index."""
    return float(ticker.latest().filter(symbol=SPOT)["last_price"][0])


def held() -> set[int]:
    """Return the options that are subscribed."""
    return set(ticker.subscriptions()["instrument_token"]) - {names.resolve(SPOT)}


def follow() -> tuple[int, int]:
    """Subscribe what has come near, unsubscribe what has gone; return how many of each."""
    chain = names.option_chain("NIFTY", around=spot(), strikes=STRIKES)
    wanted = set(names.tokens(chain))
    near, far = wanted - held(), held() - wanted
    ticker.unsubscribe(list(far))
    ticker.subscribe(list(near), mode="full")
    return len(near), len(far)


# %% [markdown]
# Each step below is half an hour of the simulated market.

# %%
path = []
for _ in range(8):
    added, removed = follow()
    path.append((spot(), added, removed, len(held())))
    ticker.exchange.step(seconds=1_800)
    assert ticker.wait(until=lambda t: t.stats().ticks >= t.exchange.packets_sent, timeout=10)

table = pl.DataFrame(path, schema=["spot", "added", "removed", "subscribed"], orient="row")
print(table)
ticker.stop()

assert table["subscribed"].unique().to_list() == [2 * (2 * STRIKES + 1)]
assert table["added"][0] == 2 * (2 * STRIKES + 1)
assert (table["added"][1:] == table["removed"][1:]).all()
