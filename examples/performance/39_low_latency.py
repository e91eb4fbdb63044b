# %% [markdown]
# # How soon does my callback see a tick, and what does it cost to be sooner?
#
# *Performance · 9 seconds · simulated*
#
# Uses: `Ticker`, `Flush`, `Ticker.on_batch`, `Ticker.off`, `SimulatedKite`, `Ticker.subscribe`
#
# Messages may wait to be decoded together: by default 50 ms, which is cheapest, and 8 ms while
# there is a callback. `Flush(interval=…)` is the longest that one waits. A reader that asks
# (`frame()`, `latest()`) never waits for it, nor does a message that comes after a pause.

# %%
import time

import numpy as np
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

INSTRUMENTS = 500
exchange = SimulatedKite(rate=2, interval=0.005)  # a steady stream: a message every 5 ms
exchange.start()
tokens = exchange.instruments.instrument_token[:INSTRUMENTS].tolist()


def measured(interval: float, seconds: float = 2.0) -> dict[str, float]:
    """Return how long ticks waited for a callback, and the processor time of this process."""
    waits: list[pl.Series] = []
    ticker = kp.Ticker("key", "token", url=exchange.url, flush=kp.Flush(interval=interval))

    @ticker.on_batch
    def arrived(batch: pl.DataFrame) -> None:
        now = time.time_ns() // 1_000
        waits.append((now - batch["received_at"].dt.epoch("us")) / 1_000)

    ticker.subscribe(tokens, mode="full")
    with ticker:
        assert ticker.wait(until=lambda t: t.latest().height == INSTRUMENTS, timeout=20)
        waits.clear()
        cpu, begun = time.process_time(), time.perf_counter()
        time.sleep(seconds)
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begun
        ticker.off(arrived)
    milliseconds = np.concatenate([wait.to_numpy() for wait in waits])
    return {
        "interval, ms": 1e3 * interval,
        "median, ms": round(float(np.median(milliseconds)), 1),
        "99 %, ms": round(float(np.quantile(milliseconds, 0.99)), 1),
        "of a core, %": round(100 * cpu / elapsed, 1),
    }


table = pl.DataFrame([measured(interval) for interval in (0.05, 0.01, 0.0)])
exchange.stop()
print(f"{INSTRUMENTS} instruments, twice a second each; the exchange is in this process, too")
print(table)

# %% [markdown]
# Measure on your own machine, and at your own load: `kitepolars bench`, or [the
# figures](../../docs/performance.md) of a quiet one.

# %%
assert table["median, ms"][0] > table["median, ms"][2]
assert (table["median, ms"] > 0).all()
