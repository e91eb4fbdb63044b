# %% [markdown]
# # How do I print ten ticks in a script, without Jupyter?
#
# *Basic · 2 seconds · simulated*
#
# Uses: `__version__`, `show_versions`, `demo`, `DemoTicker`, `Ticker.wait`, `Ticker.frame`,
# `Ticker.is_running`
#
# `kp.demo()` returns a running ticker on an exchange that is simulated in this process. A
# `Ticker` on your own account has the same methods: only the line that creates it differs.

# %%
import kitepolars as kp

print(f"kitepolars {kp.__version__}")
kp.show_versions()
ticker: kp.DemoTicker = kp.demo(instruments=["NSE:INFY", "NSE:RELIANCE"], rate=5)

# %% [markdown]
# A background thread receives the ticks. `wait` blocks this one until ten rows are there, or
# returns False after ten seconds.

# %%
assert ticker.wait(rows=10, timeout=10)
ticks = ticker.frame().head(10)
print(ticks.select("received_at", "symbol", "mode", "last_price", "volume_traded"))

# %% [markdown]
# `stop` closes the connection. What has been received stays readable.

# %%
ticker.stop()

assert not ticker.is_running
assert ticks.height == 10
assert set(ticks["symbol"].cast(str)) == {"NSE:INFY", "NSE:RELIANCE"}
