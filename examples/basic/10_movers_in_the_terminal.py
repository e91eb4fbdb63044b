# %% [markdown]
# # How do I show the day's winners and losers in a terminal?
#
# *Basic · 4 seconds · simulated*
#
# Uses: `demo`, `Ticker.wait`, `Ticker.movers`, `Ticker.latest`, `movers`, `change`
#
# A table that refreshes each second, drawn by `rich`, a dependency of the package.

# %%
import time

import polars as pl
from rich.console import Console
from rich.live import Live
from rich.table import Table

import kitepolars as kp

ticker = kp.demo(instruments=[], rate=2)
shares = ticker.instruments.frame.filter(exchange="NSE", instrument_type="EQ").head(200)
ticker.subscribe(shares, mode="quote")
assert ticker.wait(until=lambda t: t.latest().height == shares.height, timeout=20)


# %%
def drawn(movers: pl.DataFrame) -> Table:
    """Return winners in green and losers in red."""
    table = Table("", "symbol", "last", "change", title="Since yesterday's close")
    for row in movers.iter_rows(named=True):
        colour = "green" if row["mover"] == "gainer" else "red"
        table.add_row(
            f"{row['mover']} {row['rank']}",
            row["symbol"],
            f"{row['last_price']:,.2f}",
            f"[{colour}]{row['change']:+.2f} %[/]",
        )
    return table


console = Console()
with Live(drawn(ticker.movers(5)), console=console) as live:
    for _ in range(3):  # `while True` in real life
        time.sleep(1)
        live.update(drawn(ticker.movers(5)))

# %% [markdown]
# `kp.movers` ranks any frame with a `change`, so the list can be narrowed first: only shares
# above a thousand rupees here. `kp.change()` is that column as an expression.

# %%
latest = ticker.latest()
ticker.stop()
dear = kp.movers(latest.filter(pl.col("last_price") > 1_000), n=3)
print(dear)

computed = latest.select("instrument_token", kp.change())
assert computed["change"].equals(latest["change"])
assert dear.filter(mover="gainer")["change"].is_sorted(descending=True)
assert (dear["last_price"] > 1_000).all()
