# %% [markdown]
# # How do I watch the whole market for a condition, and was it a good one?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `demo`, `sample`, `Ticker.alert`, `Ticker.alerts`, `Ticker.active_alerts`,
# `Ticker.on_alert`, `Ticker.off`, `Ticker.wait`, `Ticker.frame`, `ReplayTicker.play`, `Alert`,
# `Alert.name`, `Alert.condition`, `Alert.instruments`, `Alert.fired`, `Alert.last_fired`,
# `Alert.error`, `Alert.is_set`, `Alert.snooze`, `Alert.snoozed_until`, `Alert.level`,
# `Alert.move`, `Alert.remove`,
# `FiredAlert`, `alerts`, `crosses`, `change`, `imbalance`, `indicators`, `indicators.rsi`, `ALERTS`
#
# A condition is an expression over a tick. All of them are evaluated together, each time ticks are
# flushed, on a thread of their own.

# %%
import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=[], rate=5)
shares = ticker.instruments.frame.filter(exchange="NSE", instrument_type="EQ").head(300)
ticker.subscribe(shares, mode="full")

told: list[kp.FiredAlert] = []


@ticker.on_alert
def tell(fired: kp.FiredAlert) -> None:
    told.append(fired)


strong = ticker.alert(kp.change() > 0.05, name="strong", once=True)
buyers: kp.Alert = ticker.alert(kp.imbalance() > 0.3, name="buyers", cooldown="1m")
assert ticker.wait(until=lambda t: t.alerts().height >= 5 and len(told) >= 5, timeout=20)
print(ticker.alerts().tail(5))
print(buyers.name, buyers.condition[:40], buyers.instruments, buyers.fired, buyers.last_fired)

# %% [markdown]
# Snooze one by the ticker's clock, and remove the other. An alert whose condition fails says so in
# `error`. One about a price can be moved.

# %%
buyers.snooze("10m")
print(buyers.snoozed_until, [alert.name for alert in ticker.active_alerts()])
strong.remove()
assert not strong.is_set
assert buyers.is_set
assert buyers.error is None
ceiling = ticker.alert(kp.crosses("last_price", 1_700, "up"), instruments="NSE:INFY")
ceiling.move(1_710)
print(ceiling.name, ceiling.level)
ticker.off(tell)
ticker.stop()

# %% [markdown]
# Would it have been a good alert? On a recording it fires at the same ticks each time, and
# `kp.alerts` finds them in a frame.

# %%
above = kp.crosses("last_price", "average_traded_price", "up")
day = kp.sample(speed=None)
day.alert(above, name="above the average", lasting=2, cooldown="1m")
day.alert(
    pl.col("rsi") < 30,
    name="oversold",
    every="5s",
    on="received_at",
    indicators=[kp.indicators.rsi(14)],
)
day.play(progress=False)
day.stop()
fired = day.alerts().filter(name="above the average")
assert fired.schema == kp.ALERTS
later = pl.col("fired_at").cast(pl.Datetime("us", "Asia/Kolkata")) + pl.duration(seconds=30)
outcome = (
    fired.sort("fired_at")
    .with_columns(received_at=later)
    .join_asof(
        day.frame().select("received_at", "instrument_token", after="last_price"),
        on="received_at",
        by="instrument_token",
        check_sortedness=False,  # both are in the order of time
    )
    .select("symbol", "fired_at", "price", "after", gained=pl.col("after") - pl.col("price"))
)
print(outcome.head())
assert fired.height == outcome.height
