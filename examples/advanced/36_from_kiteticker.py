# %% [markdown]
# # I have callbacks for `KiteTicker`. What do they become here?
#
# *Advanced · 6 seconds · simulated*
#
# Uses: `Ticker`, `Ticker.on_batch`, `Ticker.on_order`, `Ticker.on_event`, `Ticker.subscribe`,
# `Event`, `OrderUpdate`, `Instruments`, `Instruments.read_csv`, `SimulatedKite`
#
# The official client and this one, side by side, on the same simulated exchange: `kitepolars
# sim`, a separate process, which any client can connect to. Ticks arrive as dictionaries there
# and as columns here.

# %%
import subprocess
import sys
import threading
from typing import Any

import polars as pl
from kiteconnect import KiteTicker

import kitepolars as kp
from kitepolars.sim import SimulatedKite

TOKENS = [408065, 738561]  # NSE:INFY, NSE:RELIANCE

exchange = subprocess.Popen(
    [sys.executable, "-m", "kitepolars", "sim", "--port", "0", "--rate", "5"],
    stdout=subprocess.PIPE,
    text=True,
)
assert exchange.stdout is not None
url = exchange.stdout.readline().strip()
print("exchange at", url)

# %% [markdown]
# ## Before
#
# One dictionary per tick, a callback for each message, and the thread that runs your callback is
# the one that reads the socket: while it works, nothing is read.

# %%
old_prices: dict[int, list[float]] = {token: [] for token in TOKENS}
old_done = threading.Event()
old = KiteTicker("an_api_key", "a_token", root=url, reconnect=False)


def on_connect(ws: KiteTicker, _response: object) -> None:
    """Subscribe, as every example of the official client does."""
    ws.subscribe(TOKENS)
    ws.set_mode(ws.MODE_FULL, TOKENS)


def on_ticks(_ws: KiteTicker, ticks: list[dict[str, Any]]) -> None:
    """Take prices out of dictionaries."""
    for tick in ticks:
        old_prices[tick["instrument_token"]].append(tick["last_price"])
    if min(map(len, old_prices.values())) >= 10:
        old_done.set()


old.on_connect = on_connect
old.on_ticks = on_ticks
old.connect(threaded=True)
assert old_done.wait(20)
old.close()

# %% [markdown]
# ## After
#
# | `KiteTicker` | here |
# |---|---|
# | `on_connect` | nothing: subscribe before or after `start()` |
# | `on_ticks` | `on_batch`, `stream()`, or simply `frame()` |
# | `on_order_update` | `on_order`, `orders()` |
# | `on_close`, `on_error`, `on_reconnect` | `on_event`, `events()`, `gaps()` |
# | `tick["change"]` | `kp.change()`, in `latest()` |
# | `tick["depth"]["buy"][0]["price"]` | `pl.col("bid_price").arr.first()`, `depth()` |

# %%
instruments = kp.Instruments.read_csv(SimulatedKite().instruments_csv())
ticker = kp.Ticker("an_api_key", "a_token", url=url, instruments=instruments)
new_done = threading.Event()


@ticker.on_batch
def new_ticks(_batch: pl.DataFrame) -> None:
    """See that each has ten; the frame has kept them."""
    counts = ticker.frame().group_by("instrument_token").len()
    if counts.height == len(TOKENS) and counts["len"].to_numpy().min() >= 10:
        new_done.set()


@ticker.on_order
def order(update: kp.OrderUpdate) -> None:
    """Print what became of an order."""
    print(update.data["order_id"], update.data["status"])


@ticker.on_event
def event(event: kp.Event) -> None:
    """Print what happened."""
    print(event.kind, event.detail)


ticker.subscribe(TOKENS, mode="full")
with ticker:
    assert new_done.wait(20)
exchange.terminate()
exchange.wait(10)
exchange.stdout.close()

# %%
ticks = ticker.frame()
print("before", {instruments.symbol(token): prices[:3] for token, prices in old_prices.items()})
print(ticks.group_by("symbol").agg(pl.len(), pl.col("last_price").head(3)))
assert set(ticks["instrument_token"]) == set(old_prices)
assert (ticks["last_price"] > 0).all()
