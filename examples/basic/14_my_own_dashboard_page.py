# %% [markdown]
# # How do I lay out my own page of live widgets?
#
# *Basic · 8 seconds · simulated*
#
# Uses: `demo`, `Ticker.watch`, `Ticker.chart`, `Ticker.ladder`, `Ticker.controls`,
# `Ticker.monitor`, `Ticker.dashboard`, `Ticker.tape`, `Ticker.depth_map`, `Ticker.chain`,
# `LiveTable`, `Chart`, `Ladder`, `Controls`, `Monitor`, `Dashboard`, `TimeAndSales`, `DepthMap`,
# `OptionChain`, `Ticker.alerts_panel`, `AlertsPanel`
#
# Open this file as a notebook: a cell that ends with a widget shows it. On the documentation's
# page the widgets play a recording.

# %%
import ipywidgets

import kitepolars as kp
from kitepolars.widgets import (
    AlertsPanel,
    Chart,
    Controls,
    Dashboard,
    DepthMap,
    Ladder,
    LiveTable,
    Monitor,
    OptionChain,
    TimeAndSales,
)

ticker = kp.demo(rate=10)
assert ticker.wait(until=lambda t: t.latest().height == 8 and t.frame().height > 400, timeout=20)

# %% [markdown]
# ## A table of a few columns
#
# Click a title to sort, type to filter. `columns` chooses and orders them; a row without a tick
# for `stale_after` seconds turns grey.

# %%
table: LiveTable = ticker.watch(
    columns=["last_price", "spark", "change", "bid", "ask", "volume_traded"],
    height=240,
    stale_after=10,
)
table

# %% [markdown]
# ## A chart beside the order book
#
# Widgets are ipywidgets: boxes lay them out, `observe` links them. A click on a row of the table
# shows that instrument in both; here `table.selected = …` in code does, too. `studies` draws
# indicators. `record` keeps two seconds of each for pages without a
# kernel, such as this one; a widget displayed by itself needs no such line.

# %%
chart: Chart = ticker.chart("NSE:INFY", every="1s", studies=["ema(5)"], height=300)
ladder: Ladder = ticker.ladder("NSE:INFY")


def show(change: dict[str, int]) -> None:
    """Follow the selected row."""
    if change["new"]:
        chart.instrument = ladder.instrument = change["new"]


table.observe(show, "selected")
chart.record(seconds=2)
ladder.record(seconds=2)
ipywidgets.HBox([chart, ladder], layout={"flex_flow": "row wrap"})

# %% [markdown]
# ## What traded, the book through time, and the options

# %%
tape: TimeAndSales = ticker.tape("NSE:INFY", height=160)
tape

# %%
depth_map: DepthMap = ticker.depth_map("NSE:INFY", height=200)
depth_map

# %%
ticker.subscribe(ticker.instruments.option_chain("NIFTY"), mode="full")
chain: OptionChain = ticker.chain("NIFTY", strikes=6, height=280)
chain

# %% [markdown]
# ## Alerts by hand
#
# The form is about the instrument that is selected in the table. What fires is announced in a
# corner of the page, with a sound. `set_alert` does what the form does.

# %%
alerts: AlertsPanel = ticker.alerts_panel("NSE:INFY", height=120)
alerts.set_alert("change", "above", -5.0, everywhere=True, once=True)
alerts

# %% [markdown]
# ## Subscriptions by hand, and the health of the feed

# %%
panel: Controls = ticker.controls(mode="full")
panel

# %%
health: Monitor = ticker.monitor()
health

# %% [markdown]
# ## The whole page
#
# `dashboard` is a ready-made arrangement.

# %%
everything: Dashboard = ticker.dashboard("NSE:RELIANCE", every="5s")
assert chart.instrument == "NSE:INFY"
table.selected = ticker.instruments.resolve("NSE:SBIN")
print("selected in the table, shown in chart and ladder:", chart.instrument)
assert chart.instrument == ladder.instrument == "NSE:SBIN"
everything.close()
ticker.stop()
