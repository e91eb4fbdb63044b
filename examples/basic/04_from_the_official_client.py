# %% [markdown]
# # I have a `KiteConnect` object already. How do I use it?
#
# *Basic · 4 seconds · account*
#
# Uses: `Ticker`, `Ticker.from_kite`, `Instruments`, `Instruments.from_records`,
# `Ticker.subscribe`, `Ticker.wait`, `Ticker.latest`
#
# Programs that place orders with the official client are logged in through it. A ticker takes its
# key and token from that object, and the instruments from the list that it returns.

# %%
import os

from kiteconnect import KiteConnect

import kitepolars as kp

kite = KiteConnect(
    os.environ["KITE_API_KEY"],
    os.environ["KITE_ACCESS_TOKEN"],
    root=os.environ.get("KITE_ROOT"),  # None in real life; the test points it to a stand-in
)

# %% [markdown]
# `kite.instruments()` downloads all of them. With an exchange it is quicker, and names of other
# exchanges are unknown then.

# %%
records = kite.instruments("NSE")
instruments = kp.Instruments.from_records(records)
print(instruments)
assert len(instruments) == len(records)

# %%
with kp.Ticker.from_kite(kite, instruments=instruments, default_mode="quote") as ticker:
    ticker.subscribe(["NSE:SBIN", "NSE:ITC"])
    assert ticker.wait(until=lambda t: t.latest().height == 2, timeout=20)
    latest = ticker.latest()

print(latest.select("symbol", "last_price", "change", "volume_traded"))
assert latest["volume_traded"].min() is not None
