# %% [markdown]
# # How do several programs share my three connections?
#
# *Advanced · 8 seconds · simulated*
#
# Uses: `Ticker`, `Ticker.subscribe`, `Ticker.wait`, `Ticker.frame`, `Ticker.stop`,
# `RelayTokens`, `SimulatedKite`, `SimulatedKite.subscribed`
#
# `kitepolars relay` serves what a recorder receives as Kite would, so that any client of Kite can
# connect to it: here two tickers, which could be notebooks on two machines. It is for the account
# holder's own programs.

# %%
import subprocess
import sys

import kitepolars as kp
from kitepolars.relay import RelayTokens
from kitepolars.sim import SimulatedKite

exchange = SimulatedKite(rate=10)
exchange.start()
listing = exchange.instruments_csv()

# %% [markdown]
# ## The recorder and its relay
#
# In terminals: `kitepolars record --out ticks/ NSE:INFY`, `kitepolars relay token add laptop --out
# ticks/`, and `kitepolars relay --out ticks/`. Here a ticker starts the recorder.

# %%
owner = kp.Ticker("an_api_key", "a_token", url=exchange.url, instruments=listing, recorder="ticks")
owner.subscribe(["NSE:INFY"], mode="ltp")
owner.start()
tokens = RelayTokens("ticks")
laptop, desktop = tokens.add("laptop").reveal(), tokens.add("desktop").reveal()
relay = subprocess.Popen(
    [sys.executable, "-m", "kitepolars", "relay", "--out", "ticks", "--port", "0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
)
assert relay.stdout is not None
with relay.stdout:
    url = relay.stdout.readline().strip()
print("the relay listens at", url.partition("//")[0])

# %% [markdown]
# ## Two clients
#
# Each has its own instruments and modes. The exchange sees one subscription of each
# instrument, in the highest mode that a client wants.

# %%
first = kp.Ticker("laptop", laptop, url=url, instruments=listing)
second = kp.Ticker("desktop", desktop, url=url, instruments=listing)
first.subscribe(["NSE:INFY", "NSE:SBIN"], mode="full")
second.subscribe(["NSE:SBIN"], mode="ltp")
with first, second:
    assert first.wait(rows=40, timeout=20)
    assert second.wait(rows=20, timeout=20)
    print("upstream:", {token: mode.value for token, mode in exchange.subscribed().items()})
    assert set(exchange.subscribed().values()) == {"full"}
    # A subscription begins in quote mode, as with Kite: the first packets may be in that.
    assert set(first.frame()["mode"].cast(str).tail(10)) == {"full"}
    assert set(second.frame()["mode"].cast(str).tail(10)) == {"ltp"}
    print(first, second, sep="\n")

# %% [markdown]
# When they disconnect, the recorder returns to its own subscriptions.

# %%
exchange.wait_for(lambda kite: list(kite.subscribed().values()) == ["ltp"])
relay.terminate()
relay.wait(20)
owner.stop()
subprocess.run(
    [sys.executable, "-m", "kitepolars", "record", "ctl", "stop", "--out", "ticks"],
    check=True,
    stdout=subprocess.DEVNULL,
)
exchange.stop()
