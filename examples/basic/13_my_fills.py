# %% [markdown]
# # What did my orders fill at, and what is still open?
#
# *Basic · 3 seconds · simulated*
#
# Uses: `demo`, `OrderUpdate`, `Ticker.orders`, `Ticker.on_order`, `Ticker.wait`
#
# Kite sends an update of each order on every connection of the user. The ticker keeps each update
# once, whichever connection delivered it, in whatever order. The simulated exchange sends some
# here, as an account would get them.

# %%
import threading
from typing import Any

import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=["NSE:INFY"])
fills: list[kp.OrderUpdate] = []
came = threading.Event()


@ticker.on_order
def filled(update: kp.OrderUpdate) -> None:
    """Collect updates as they come, on a thread of their own."""
    fills.append(update)
    if len(fills) == 4:
        came.set()


# %%
COMMON: dict[str, Any] = {"exchange": "NSE", "tradingsymbol": "INFY", "instrument_token": 408065}
for order_id, side, status, filled_quantity, price in (
    ("1", "BUY", "OPEN", 40, 1500.00),
    ("1", "BUY", "COMPLETE", 100, 1500.40),
    ("2", "SELL", "OPEN", 25, 1503.00),
    ("3", "BUY", "REJECTED", 0, 0.0),
):
    quantity = 100 if order_id != "2" else 60
    ticker.exchange.order_update(
        order_id=order_id,
        transaction_type=side,
        status=status,
        quantity=quantity,
        filled_quantity=filled_quantity,
        pending_quantity=quantity - filled_quantity if status == "OPEN" else 0,
        average_price=price,
        **COMMON,
    )
assert came.wait(10)

# %% [markdown]
# `orders()` has every update; `orders(latest=True)` one row per order, the update that is
# furthest on.

# %%
columns = ["order_id", "transaction_type", "status", "filled_quantity", "average_price"]
print(ticker.orders().select(columns))
orders = ticker.orders(latest=True)
print(orders.select(*columns, "pending_quantity"))

# %% [markdown]
# ## Position and average price

# %%
signed = pl.when(transaction_type="BUY").then(1).otherwise(-1) * pl.col("filled_quantity")
position = (
    orders.filter(pl.col("filled_quantity") > 0)
    .group_by("tradingsymbol")
    .agg(
        signed.sum().alias("net_quantity"),
        pl.col("pending_quantity").sum().alias("open_quantity"),
        (pl.col("average_price") * pl.col("filled_quantity"))
        .filter(transaction_type="BUY")
        .sum()
        .truediv(pl.col("filled_quantity").filter(transaction_type="BUY").sum())
        .alias("bought_at"),
    )
)
print(position)
ticker.stop()

assert orders.height == 3
assert position.row(0) == ("INFY", 75, 35, 1500.4)
assert len(fills) == 4
