# %% [markdown]
# # How do I trade the breakout of the opening range, and test it on my own clock?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `CandleBuilder`, `DemoTicker`, `Ticker.frame`, `Ticker.subscribe`, `Ticker.wait`,
# `SimulatedKite`
#
# The range of the first fifteen minutes, then the first close outside it. The exchange moves only
# on `step`, and takes its time from this script: a morning passes in seconds.

# %%
import datetime as dt

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
SYMBOL = "NSE:TATASTEEL"


class Morning:
    """The exchange's clock: the last weekday's session, moved on by hand."""

    def __init__(self) -> None:
        day = dt.datetime.now(IST).date() - dt.timedelta(days=1)
        while day.weekday() > 4:
            day -= dt.timedelta(days=1)
        self.now = dt.datetime.combine(day, dt.time(9, 15), IST)

    def __call__(self) -> float:
        """Return the time as the exchange wants it, in seconds since the epoch."""
        return self.now.timestamp()


clock = Morning()
ticker = kp.DemoTicker(SimulatedKite(seed=7, rate=0, clock=clock)).start()
ticker.subscribe([SYMBOL], mode="full")
assert ticker.wait(rows=1, timeout=10)

# %% [markdown]
# ## Fifteen minutes, then the wait for a breakout
#
# The builder takes the rows that are new since its last call (`rows` says how far it has read).
# Only finished bars decide: `include_partial=False`.

# %%
builder = kp.CandleBuilder("1m")


def bars() -> pl.DataFrame:
    """Return the finished bars so far."""
    builder.update(ticker.frame()[builder.rows :])
    return builder.frame(include_partial=False)


def pass_a_minute(ticks: int = 6) -> None:
    """Let a minute of the market pass, in some ticks."""
    for _ in range(ticks):
        clock.now += dt.timedelta(seconds=60 / ticks)
        ticker.exchange.step(60 / ticks)
        assert ticker.wait(until=lambda t: t.stats().ticks >= t.exchange.packets_sent, timeout=10)


for _ in range(16):
    pass_a_minute()
opening = bars().head(15).select(pl.col("high").max(), pl.col("low").min()).row(0, named=True)
print("opening range", opening)

# %%
breakout = None
for _ in range(90):
    pass_a_minute(2)
    last = bars().tail(1)
    if last["close"][0] > opening["high"] or last["close"][0] < opening["low"]:
        breakout = last
        break

ticker.stop()
if breakout is None:
    print("inside the range all morning: no trade")
else:
    print(breakout.select("symbol", "start", "open", "high", "low", "close", "volume"))
print(builder)

finished = bars()
assert finished["start"][0] == clock.now.replace(hour=9, minute=15, second=0)
assert not finished["is_partial"].any()
assert opening["high"] > opening["low"]
assert builder.rows == ticker.frame().height
