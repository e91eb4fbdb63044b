# %% [markdown]
# # Can one core follow 9,000 instruments in full mode?
#
# *Performance · 12 seconds · simulated*
#
# Uses: `Ticker`, `Stats`, `Stats.losses`, `Ticker.stats`, `Ticker.frame`, `Ticker.connections`,
# `Ticker.subscribe`, `Ticker.wait`, `SimulatedKite`
#
# What one account may subscribe, at two ticks a second each: 18,000 ticks, 3.3 MB a second. The
# exchange runs in a separate process, as Kite does, so that this process's share is the
# ticker's.

# %%
import subprocess
import sys
import time

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

INSTRUMENTS, RATE, SECONDS = 9_000, 2, 5
exchange = subprocess.Popen(
    [sys.executable, "-m", "kitepolars", "sim", "--port", "0", "--rate", str(RATE)],
    stdout=subprocess.PIPE,
    text=True,
)
assert exchange.stdout is not None
url = exchange.stdout.readline().strip()
tokens = SimulatedKite().instruments.instrument_token[:INSTRUMENTS]

ticker = kp.Ticker("key", "token", url=url)
ticker.subscribe(tokens, mode="full")
ticker.start()
assert ticker.wait(until=lambda t: t.latest().height == INSTRUMENTS, timeout=30)

# %%
before: kp.Stats = ticker.stats()
cpu, begun = time.process_time(), time.perf_counter()
for _ in range(SECONDS):
    time.sleep(1)
    ticker.frame()  # a reader that looks each second
cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begun
after = ticker.stats()
connections = ticker.connections()
ticker.stop()
exchange.terminate()
exchange.wait(10)
exchange.stdout.close()

ticks = after.ticks - before.ticks
print(connections.select("connection", "instruments", "messages", pl.col("bytes") // 1_000_000))
print(f"{ticks / elapsed:,.0f} ticks a second at {cpu / elapsed:.1%} of a core")
print("lost:", after.losses)

# %% [markdown]
# `losses` counts whatever did not become a row: gaps, packets that could not be read, messages
# that were dropped. On a market that is busier than a machine can follow, it says so.

# %%
assert connections["instruments"].to_list() == [3_000] * 3
assert not any(after.losses.values())
assert ticks > 0.5 * INSTRUMENTS * RATE * elapsed
assert cpu / elapsed < 1
