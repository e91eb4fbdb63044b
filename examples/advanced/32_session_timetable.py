# %% [markdown]
# # How do I change lists and modes by time of day?
#
# *Advanced · 3 seconds · simulated*
#
# Uses: `demo`, `Ticker.instruments`, `Ticker.subscribe`, `Ticker.unsubscribe`, `Ticker.set_mode`,
# `Ticker.subscriptions`, `Instruments.read_csv`, `Instruments`, `Mode`, `Ticker`
#
# Indices before the open, the watch list in full during the session, prices alone after it. The
# timetable is data; one function brings the ticker to whatever it says now.

# %%
import datetime as dt

import kitepolars as kp

INDICES = ["NSE:NIFTY 50", "NSE:NIFTY BANK"]
SHARES = ["NSE:INFY", "NSE:RELIANCE", "NSE:SBIN"]

TIMETABLE: list[tuple[dt.time, str, dict[str, list[str]]]] = [
    (dt.time(9, 0), "pre-open", {"quote": INDICES + SHARES}),
    (dt.time(9, 15), "open", {"quote": INDICES, "full": SHARES}),
    (dt.time(15, 30), "closed", {"ltp": INDICES}),
]
"""From when on, what it is called, and mode → names."""


def phase(at: dt.time) -> tuple[str, dict[str, list[str]]]:
    """Return the phase of the day at a time in India; before the first, nothing is wanted."""
    begun = [(name, wanted) for begins, name, wanted in TIMETABLE if begins <= at]
    return begun[-1] if begun else ("night", {})


# %% [markdown]
# `subscribe` changes the mode of what is subscribed already, so that the two cases need no
# distinction.


# %%
def apply(ticker: kp.Ticker, wanted: dict[str, list[str]]) -> None:
    """Bring the subscriptions to what is wanted."""
    keep = {name for names in wanted.values() for name in names}
    gone = [name for name in ticker.subscriptions()["symbol"] if name not in keep]
    ticker.unsubscribe(gone)
    for mode, names in wanted.items():
        ticker.subscribe(names, mode=mode)


# %% [markdown]
# A day in a second. A service calls the same two functions once a minute with the clock's time.

# %%
ticker = kp.demo(instruments=[], rate=10)
seen: dict[str, dict[str, str]] = {}
for at in (dt.time(8), dt.time(9, 5), dt.time(11), dt.time(16)):
    if at == dt.time(8):  # a new list of instruments each morning: contracts expire
        ticker.instruments = kp.Instruments.read_csv(ticker.exchange.instruments_csv())
    name, wanted = phase(at)
    apply(ticker, wanted)
    seen[name] = dict(ticker.subscriptions().select("symbol", "mode").iter_rows())
    print(f"{at:%H:%M} {name:9}", seen[name])
assert ticker.exchange.wait_for(
    lambda exchange: set(exchange.subscribed().values()) == {kp.Mode.LTP}, timeout=10
)

# %% [markdown]
# One instrument can be an exception for a while: `set_mode` changes the mode of what is
# subscribed, and nothing else.

# %%
ticker.set_mode(["NSE:NIFTY 50"], "full")
print(dict(ticker.subscriptions().select("symbol", "mode").iter_rows()))
ticker.stop()

assert seen["night"] == {}
assert seen["open"]["NSE:INFY"] == "full"
assert seen["closed"] == dict.fromkeys(INDICES, "ltp")
