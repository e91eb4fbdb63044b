# %% [markdown]
# # How do I react to ticks in my own function?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `demo`, `Event`, `Ticker.on_batch`, `Ticker.on_event`, `Ticker.on_order`, `Ticker.off`,
# `OrderUpdate`, `spread`
#
# Callbacks run on threads of their own behind bounded queues. A slow one gets larger batches, one
# that fails is reported, and none of them can hold up the feed.

# %%
import threading
import time

import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=20)
seen: list[int] = []
spreads: list[float] = []
enough = threading.Event()


# %% [markdown]
# ## New ticks, in batches
#
# A function gets what has been received since its last call, as a DataFrame. With `instruments=`
# it gets only some of them.


# %%
@ticker.on_batch
def count(batch: pl.DataFrame) -> None:
    """Count ticks."""
    seen.append(batch.height)
    if len(seen) >= 10:
        enough.set()


@ticker.on_batch(instruments=["NSE:INFY"])
def measure(batch: pl.DataFrame) -> None:
    """Keep each spread of one share."""
    assert set(batch["symbol"].cast(str)) == {"NSE:INFY"}
    spreads.extend(batch.select(kp.spread()).to_series().drop_nulls())


# %% [markdown]
# ## A slow one and a wrong one
#
# The first gets fewer and larger batches; the second raises each time. Both end up in `events()`
# only where something went wrong.


# %%
slow: list[int] = []
happened: list[kp.Event] = []


@ticker.on_batch
def think(batch: pl.DataFrame) -> None:
    """Take half a second for each batch."""
    slow.append(batch.height)
    time.sleep(0.5)


@ticker.on_batch
def fail(batch: pl.DataFrame) -> None:
    """Divide by zero."""
    print(batch.height / 0)


@ticker.on_event
def note(event: kp.Event) -> None:
    """Collect what happens besides ticks."""
    happened.append(event)


@ticker.on_order
def ordered(update: kp.OrderUpdate) -> None:
    """Print the state of an order."""
    print("order", update.data["status"])


ticker.exchange.order_update(status="COMPLETE")
assert enough.wait(20)
time.sleep(1.5)
for function in (count, measure, think, fail, note, ordered):
    ticker.off(function)
ticker.stop()

print("batches of", seen[:5], "…; slow batches of", slow[1:])
print("mean spread", round(sum(spreads) / len(spreads), 3))
failures = [event for event in happened if "fail" in event.detail]
print(len(failures), "failures, the first:", failures[0].detail)

assert sum(slow[1:]) / len(slow[1:]) > sum(seen) / len(seen)
assert failures[0].kind == "callback"
assert "ZeroDivisionError" in failures[0].detail
assert min(spreads) > 0
