# %% [markdown]
# # How do I keep memory flat for a whole session?
#
# *Performance · 6 seconds · simulated*
#
# Uses: `Ticker`, `Retention`, `SimulatedKite`, `Ticker.stats`, `Ticker.frame`, `Ticker.wait`,
# `Ticker.latest`
#
# A full tick takes about 258 bytes. 9,000 instruments at two a second are 17 GB an hour. A
# `Retention` keeps the latest rows, or those of the last minutes, and drops the rest in chunks.
# Without one, `events()` warns an hour before memory is full.

# %%
import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

MOST, INSTRUMENTS, STEPS = 200_000, 3_000, 200
exchange = SimulatedKite(rate=0)
exchange.start()
ticker = kp.Ticker(
    "key",
    "token",
    url=exchange.url,
    instruments=exchange.instruments_csv(),
    retention=kp.Retention(max_rows=MOST),
).start()
ticker.subscribe(ticker.instruments.frame.filter(exchange="NSE").head(INSTRUMENTS), mode="full")
subscribed = ticker.subscriptions().height
assert ticker.wait(rows=subscribed, timeout=20)

# %% [markdown]
# Three times as many ticks as may be held pass through. `frame()` shows the latest; `latest()`
# knows every instrument, however long ago it ticked.

# %%
held, megabytes = [], []
for step in range(1, STEPS + 1):
    exchange.step()
    if step % 20 == 0:
        assert ticker.wait(until=lambda t: t.stats().ticks >= exchange.packets_sent, timeout=20)
        frame = ticker.frame()
        held.append(frame.height)
        megabytes.append(frame.estimated_size("mb"))

stats = ticker.stats()
print(f"{stats.ticks:,} ticks received, {stats.rows:,} held, losses {stats.losses}")
print(f"in memory since {stats.history.since:%H:%M:%S}: {stats.history.bytes / 1e6:,.0f} MB")
print(pl.DataFrame({"rows": held, "MB": [round(size) for size in megabytes]}))

# %% [markdown]
# ## By age
#
# `max_age` bounds the time instead. Both may be given; the stricter one decides.

# %%
hour = kp.Retention(max_rows=5_000_000, max_age=3_600)
print(hour)
ticker.stop()
exchange.stop()

assert stats.ticks >= 300_000
assert max(held) <= MOST
assert min(held[-3:]) >= MOST * 15 // 16 - 70_000
assert max(megabytes) < 1.3 * megabytes[-1]
assert ticker.latest().height == subscribed
assert not any(stats.losses.values())
