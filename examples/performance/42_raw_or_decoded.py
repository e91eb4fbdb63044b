# %% [markdown]
# # What does it cost to find, decode and store a tick?
#
# *Performance · 4 seconds · simulated*
#
# Uses: `DemoTicker`, `SimulatedKite`, `Message`, `packets`, `Ticker.on_message`, `Ticker.frame`,
# `Ticker.wait`, `Ticker.stats`
#
# Three ways to take the same bytes: find the packets only, read one field of each, or let the
# ticker make rows with all 28 columns. Nanoseconds a tick, in one run.

# %%
import threading
import time
from collections.abc import Callable

import numpy as np
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

INSTRUMENTS, STEPS = 2_000, 50
ticker = kp.DemoTicker(SimulatedKite(rate=0, packets_per_message=100)).start()
ticker.subscribe(ticker.exchange.instruments.instrument_token[:INSTRUMENTS], mode="full")
assert ticker.wait(rows=INSTRUMENTS, timeout=20)

messages: list[bytes] = []
complete = threading.Event()


@ticker.on_message
def keep(message: kp.Message) -> None:
    """Keep the bytes of a message."""
    messages.append(message.data)
    if len(messages) == STEPS * INSTRUMENTS // 100:
        complete.set()


# %% [markdown]
# First the whole path: made by the exchange in this process, through a socket, into columns. Most
# of it is the exchange's part.

# %%
begun = time.perf_counter()
for _ in range(STEPS):
    ticker.exchange.step()
assert complete.wait(20)
assert ticker.wait(rows=INSTRUMENTS * (STEPS + 1), timeout=20)
whole = time.perf_counter() - begun
ticks = INSTRUMENTS * STEPS
stats = ticker.stats()
ticker.stop()


# %%
def nanoseconds(work: Callable[[], object]) -> float:
    """Return the best of three, in nanoseconds a tick."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return 1e9 * min(times) / ticks


def found() -> int:
    """Count the packets."""
    return sum(len(run.packets) for data in messages for run in kp.packets(data))


def one_field() -> np.ndarray:
    """Read the last price of each packet."""
    return np.concatenate(
        [run.packets["last_price"] for data in messages for run in kp.packets(data)]
    )


frame = ticker.frame()
table = pl.DataFrame(
    {
        "what": ["packets found", "one field read", "a query over the rows", "exchange to row"],
        "ns a tick": [
            nanoseconds(found),
            nanoseconds(one_field),
            nanoseconds(lambda: frame.select(pl.col("last_price").mean())),
            1e9 * whole / ticks,
        ],
    }
)
print(table.with_columns(pl.col("ns a tick").round(1)))
print(f"{frame.height:,} rows, {frame.estimated_size('mb'):,.0f} MB")

assert found() == ticks
assert len(one_field()) == ticks
assert stats.ticks == ticks + INSTRUMENTS
assert not any(stats.losses.values())
