# %% [markdown]
# # How do I lose nothing when my notebook's kernel dies?
#
# *Advanced · 8 seconds · simulated*
#
# Uses: `attach`, `JournalError`, `Ticker`, `Ticker.subscribe`, `Ticker.wait`, `Ticker.frame`,
# `Ticker.stop`, `read_journal`, `SimulatedKite`
#
# `kitepolars record` receives in a separate process. A notebook follows it: it has what was
# recorded today and then what comes, and needs no credentials. The recorder outlives the
# notebook, and the next one has everything again. On Linux and macOS.

# %%
import os
import subprocess
import sys
import time
from pathlib import Path

import kitepolars as kp
from kitepolars.sim import SimulatedKite

exchange = SimulatedKite(rate=10)
exchange.start()
Path("instruments.csv").write_bytes(exchange.instruments_csv())

# %% [markdown]
# In a terminal this is `kitepolars record --out ticks/ NSE:INFY NSE:SBIN`; the other options only
# lead to the simulated exchange.

# %%
COMMAND = [sys.executable, "-m", "kitepolars", "record"]
OPTIONS = ["--out", "ticks", "--url", exchange.url, "--instruments", "instruments.csv"]
recorder = subprocess.Popen(
    [*COMMAND, *OPTIONS, "NSE:INFY", "NSE:SBIN"],
    env=os.environ | {"KITE_API_KEY": "an_api_key", "KITE_ACCESS_TOKEN": "a_token"},
    stdout=subprocess.DEVNULL,
)


def follow(seconds: float = 60) -> kp.Ticker:
    """Attach to the recorder, which takes a moment to begin."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return kp.attach("ticks")
        except kp.JournalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


# %% [markdown]
# ## The first notebook
#
# Subscriptions belong to the recorder and apply to all notebooks.

# %%
first = follow()
assert first.wait(rows=20, timeout=20)
first.subscribe(["NSE:ITC"], mode="full")
assert first.wait(until=lambda t: "NSE:ITC" in t.frame()["symbol"], timeout=20)
seen = first.frame().height
print(first)
first.stop()  # or the kernel is killed: to the recorder it is the same
del first

# %% [markdown]
# ## The second one
#
# It begins with everything that the first one had, and what was recorded in between.

# %%
time.sleep(0.5)
second = follow()
assert second.wait(rows=seen + 5, timeout=20)
ticks = second.frame()
print(f"{seen} ticks before, {ticks.height} now, from {ticks['received_at'][0]:%H:%M:%S}")
second.stop()

subprocess.run([*COMMAND, "ctl", "stop", "--out", "ticks"], check=True, stdout=subprocess.DEVNULL)
recorder.wait(20)
exchange.stop()

recorded = kp.read_journal("ticks").collect()
print(f"{recorded.height} ticks recorded")
assert ticks.height > seen
assert set(ticks["symbol"].cast(str)) == {"NSE:INFY", "NSE:SBIN", "NSE:ITC"}
assert recorded.height >= ticks.height
