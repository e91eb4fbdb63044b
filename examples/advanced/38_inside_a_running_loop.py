# %% [markdown]
# # My library calls `asyncio.run` in a cell. Does that work here?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `run`, `allow_nested_asyncio`, `Ticker.wait`, `Ticker.wait_async`, `Ticker`
#
# In a notebook an event loop is running already, so `asyncio.run` raises. `kp.run` runs a
# coroutine in a script and in a cell; `kp.allow_nested_asyncio()` makes `asyncio.run` itself
# work, in libraries that you cannot change.

# %%
import asyncio
import time

import kitepolars as kp
from kitepolars.sim import SimulatedKite

exchange = SimulatedKite(rate=5)
exchange.start()


def connected() -> kp.Ticker:
    """Return a ticker on the simulated exchange."""
    return kp.Ticker("key", "token", url=exchange.url, instruments=exchange.instruments_csv())


async def price_of(symbol: str) -> float:
    """Return the first price of a share."""
    with connected() as ticker:
        ticker.subscribe([symbol])
        assert await ticker.wait_async(rows=1, timeout=10)
        return float(ticker.latest()["last_price"][0])


price = kp.run(price_of("NSE:INFY"))
print("INFY", price)

# %% [markdown]
# ## Somebody else's `asyncio.run`
#
# The patch covers asyncio in the whole process and makes every task a little slower, so that it
# is applied only where it is asked for. `await` needs none of it.


# %%
def library_function() -> float:
    """Stand for code that is not yours."""
    return asyncio.run(price_of("NSE:SBIN"))


async def a_cell() -> None:
    """Stand for a notebook's cell: it runs inside a loop."""
    kp.allow_nested_asyncio()
    print("SBIN", library_function())
    await another_cell()


# %% [markdown]
# ## A blocking wait that lets tasks go on
#
# `ticker.wait()` blocks the loop of the cell: tasks that you started stand still. With
# `keep_loop=True` they go on meanwhile.


# %%
beats: list[float] = []


async def heart() -> None:
    """Beat ten times a second."""
    while True:
        beats.append(time.monotonic())
        await asyncio.sleep(0.1)


async def another_cell() -> None:
    """Wait for a second while a task runs."""
    task = asyncio.create_task(heart())
    with connected() as ticker:
        ticker.wait(timeout=1, keep_loop=True)
    task.cancel()


kp.run(a_cell())
exchange.stop()
print("beats during the wait:", len(beats))
assert len(beats) >= 5
assert price > 0
