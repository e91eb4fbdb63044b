# %% [markdown]
# # How do I record a day, and replay it tomorrow?
#
# *Basic · 5 seconds · simulated*
#
# Uses: `demo`, `Ticker.record`, `Ticker.wait`, `Ticker.frame`, `replay`, `ReplayTicker`,
# `ReplayTicker.play`, `ReplayTicker.position`, `ReplayTicker.is_over`, `ReplayTicker.speed`,
# `ReplayTicker.pause`, `ReplayTicker.resume`, `ReplayTicker.is_paused`, `ReplayTicker.seek`,
# `ReplayTicker.transport`, `Transport`, `read_journal`, `JournalError`, `NotLive`,
# `spread`
#
# `record` writes whatever arrives into a folder, on its own thread. A replay is a ticker
# again: the same frames, candles, callbacks and widgets, on the time of the recording.

# %%
import polars as pl
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.widgets import Transport

with kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=20) as live:
    recorder = live.record("ticks/")
    assert live.wait(rows=100, timeout=20)
    live.exchange.abort()  # a hole, to see that it is recorded, too
    assert live.wait(
        until=lambda t: t.gaps().height and t.gaps()["ended_at"].null_count() == 0, timeout=20
    )
recorder.end()
print(live)

# %% [markdown]
# ## As fast as possible
#
# `speed=1` plays it as it was; `None` as fast as callbacks allow. The frame is the live one's,
# bit for bit.

# %%
replayed: kp.ReplayTicker = kp.replay("ticks/", speed=None)
replayed.play(progress=False)
print(replayed, f"{replayed.position.fraction:.0%} played")
recorded = live.frame().tail(replayed.frame().height)  # some had come before `record`
assert recorded.height > 90
assert_frame_equal(replayed.frame(), recorded, categorical_as_str=True)
print(replayed.gaps().select("started_at", "ended_at", "reason"))

# %% [markdown]
# ## At another speed
#
# `speed` may change while it plays. `seek` goes back or forth: the frame is then what it was at
# that time.

# %%
slow = kp.replay("ticks/", speed=1).start()
slow.pause()
assert slow.is_paused
slow.seek(live.gaps()["started_at"][0])
print(slow.position.now, slow.frame().height, "ticks so far")
assert slow.frame().height < recorded.height
transport: Transport = slow.transport()  # the same as buttons, and a time line with the gap
transport

# %%
slow.speed = 20
slow.resume()
assert slow.wait(until=lambda _: slow.is_over, timeout=20)
slow.stop()

# %% [markdown]
# What only a live ticker can do raises `NotLive`:

# %%
try:
    replayed.subscribe(["NSE:INFY"])
except kp.NotLive as error:
    print(error)
replayed.stop()

# %% [markdown]
# ## A query without a ticker
#
# `read_journal` is a LazyFrame over the recording: only what the query needs is kept.

# %%
question = (
    kp.read_journal("ticks/")
    .filter(~pl.col("is_snapshot"))
    .group_by("symbol")
    .agg(pl.len().alias("ticks"), kp.spread().mean().round(3).alias("spread"))
)
answer = question.collect()
print(answer)

try:
    kp.read_journal("elsewhere/")
except kp.JournalError as error:
    print(error)

assert answer["ticks"].sum() == recorded.filter(~pl.col("is_snapshot")).height
assert replayed.gaps().height == live.gaps().height == 1
