# %% [markdown]
# # How do I wait until a price crosses a level?
#
# *Basic · 3 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.latest`, `Ticker.note`, `Ticker.events`, `Ticker`
#
# `wait(until=…)` looks at a condition each time ticks arrive. It costs nothing in between, and it
# can be interrupted with Ctrl-C.

# %%
import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=["NSE:RELIANCE"], rate=20)
assert ticker.wait(rows=1, timeout=10)


def price(ticker: kp.Ticker) -> float:
    """Return the last traded price of the one instrument."""
    return float(ticker.latest()["last_price"][0])


# %% [markdown]
# The levels are near, so that this example ends soon: 30 paise above and below.

# %%
start = price(ticker)
above, below = start + 0.3, start - 0.3
print(f"at {start:.2f}; waiting for {above:.2f} or {below:.2f}")
seen: list[float] = []


def crosses(ticker: kp.Ticker) -> bool:
    """Look at the price, and remember the one that decided."""
    seen.append(price(ticker))
    return not below < seen[-1] < above


crossed = ticker.wait(until=crosses, timeout=10)

# %% [markdown]
# `note` puts a line of your own among the ticker's events: the record of the day has the
# reason of a decision beside the state of the connection. Credentials are removed from the
# text.

# %%
last = seen[-1]
if crossed:
    ticker.note("alert", f"RELIANCE at {last:.2f}, from {start:.2f}")
else:  # a quiet market is a valid answer, too
    ticker.note("alert", f"RELIANCE stayed between {below:.2f} and {above:.2f}")
ticker.stop()

noted = ticker.events().filter(kind="alert")
with pl.Config(fmt_str_lengths=80):
    print(noted.select("at", "kind", "detail"))
assert noted.height == 1
assert crossed == (not below < last < above)
