# %% [markdown]
# # My library calls `asyncio.run` in a cell. Does that work here?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `run`, `TickerManager`, `Account`, `Mode`, `allow_nested_asyncio`, `Ticker.wait`,
# `Ticker.wait_async`, `Ticker`
#
# In a notebook an event loop is running already, so `asyncio.run` raises. `kp.run` runs a
# coroutine in a script and in a cell; `kp.allow_nested_asyncio()` makes `asyncio.run` itself
# work, in libraries that you cannot change.

# %%
import asyncio
import time

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from kitepolars.source import Messages, Record

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
# ## `asyncio.run` in a library
#
# The patch covers asyncio in the whole process and makes every task a little slower, so it is
# applied only on request. `await` does not need it.


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
# ## A blocking wait during which tasks continue
#
# `ticker.wait()` blocks the loop of the cell: other tasks are suspended. With
# `keep_loop=True` they continue.


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
print("beats during the wait:", len(beats))


# %% [markdown]
# ## On your own loop, without DataFrames
#
# `TickerManager` is the part below a ticker. It delivers records to a sink on the loop that runs
# it: here one that counts the bytes of messages.


# %%
class Bytes:
    """A sink: takes whatever a source delivers."""

    def __init__(self) -> None:
        self.received = 0

    def take(self, record: Record) -> None:
        """Count the messages of a read; other records are passed over."""
        if isinstance(record, Messages):
            self.received += sum(map(len, record.messages))


async def receive(seconds: float) -> int:
    """Return the bytes of two shares in full mode."""
    sink = Bytes()
    manager = kp.TickerManager([kp.Account("main", "key", "token")], sink=sink, url=exchange.url)
    manager.subscribe([408065, 738561], kp.Mode.FULL)
    await manager.start()
    await asyncio.sleep(seconds)
    print(manager)
    await manager.stop()
    return sink.received


received = kp.run(receive(1))
exchange.stop()
print(f"{received:,} bytes")
assert len(beats) >= 5
assert price > 0
assert received > 1_000
