# %% [markdown]
# # How do I write an asyncio program that ends cleanly on Ctrl-C?
#
# *Advanced · 4 seconds · simulated*
#
# Uses: `demo`, `run`, `Ticker.stream`, `Ticker.wait_async`, `Ticker.is_running`, `Ticker.stats`,
# `Ticker`
#
# A service of two tasks: one consumes ticks as they come, one reports. The first failure, Ctrl-C
# or SIGTERM ends both, and the ticker with them.

# %%
import asyncio
import contextlib
import signal
import threading
import time

import kitepolars as kp

counts: dict[str, int] = {}


async def consume(ticker: kp.Ticker) -> None:
    """Count ticks by symbol, until the ticker stops."""
    async for batch in ticker.stream():
        for symbol, count in batch["symbol"].value_counts().iter_rows():
            counts[symbol] = counts.get(symbol, 0) + count


async def report(ticker: kp.Ticker) -> None:
    """Say each second how things stand."""
    while True:
        await asyncio.sleep(1)
        print(ticker)


# %% [markdown]
# `add_signal_handler` works in the main thread of Unix only; elsewhere Ctrl-C raises
# `KeyboardInterrupt` and `asyncio.run` cancels the service, which has the same effect.


# %%
async def serve(seconds: float) -> None:
    """Run until a signal, or for some seconds."""
    ending = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, ending.set)
    with kp.demo(rate=5) as ticker:
        assert await ticker.wait_async(rows=1, timeout=10)
        async with asyncio.TaskGroup() as tasks:
            consumer = tasks.create_task(consume(ticker))
            reporter = tasks.create_task(report(ticker))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), seconds)
            reporter.cancel()
            ticker.stop()  # the stream ends, and with it its task
        assert consumer.done()
        assert not ticker.is_running
        assert sum(counts.values()) <= ticker.stats().ticks


# %% [markdown]
# `kp.run` is `asyncio.run` in a script; in a notebook's cell, where a loop is running already, it
# works as well.

# %%
begun = time.monotonic()
kp.run(serve(seconds=3))
print(f"ended after {time.monotonic() - begun:.1f} s;", dict(sorted(counts.items())))
assert len(counts) == 8
