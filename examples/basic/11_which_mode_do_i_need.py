# %% [markdown]
# # Which mode do I need: ltp, quote or full?
#
# *Basic · 5 seconds · simulated*
#
# Uses: `demo`, `Mode`, `Stats`, `Ticker.set_mode`, `Ticker.stats`, `Ticker.frame`, `Ticker.wait`,
# `Ticker`, `Ticker.default_mode`, `Retention`
#
# The mode determines the fields and the size of a tick. This example measures both.

# %%
import polars as pl

import kitepolars as kp

SHARE, INDEX = "NSE:INFY", "NSE:NIFTY 50"
ticker = kp.demo(instruments=[SHARE, INDEX], rate=10)


def measured(mode: kp.Mode) -> dict[str, object]:
    """Return what ticks of the share carry in a mode, and their bytes on the wire."""
    ticker.set_mode([SHARE, INDEX], mode)
    of_share = pl.col("symbol") == SHARE
    seen = ticker.frame().height
    assert ticker.wait(
        until=lambda t: t.frame()[seen:].filter(of_share, mode=mode.value).height >= 5, timeout=20
    )
    before: kp.Stats = ticker.stats()
    assert ticker.wait(rows=before.rows + 20, timeout=20)
    after = ticker.stats()
    ticks = ticker.frame()[seen:].filter(of_share, mode=mode.value)
    filled = [name for name in ticks.columns if ticks[name].null_count() == 0]
    return {
        "mode": mode.value,
        "columns filled": len(filled),
        "exchange time": "exchange_timestamp" in filled,
        "volume": "volume_traded" in filled,
        "order book": "bid_price" in filled,
        "bytes per tick": round((after.bytes - before.bytes) / (after.ticks - before.ticks)),
    }


table = pl.DataFrame([measured(mode) for mode in kp.Mode])
ticker.stop()
print(table)

# %% [markdown]
# - **ltp**: the price. For alerts on many instruments.
# - **quote**: the day's range, volume and totals. For scanners. No exchange time: candles are cut
#   on the arrival.
# - **full**: exchange time, open interest and the order book. For everything else.
#
# `default_mode` of a `Ticker` is what `subscribe` uses when it names none:

# %%
scanner = kp.Ticker(
    "my_api_key",
    "my_access_token",
    default_mode="ltp",
    retention=kp.Retention(max_rows=1_000_000),
)
scanner.subscribe([408065])
print(scanner.default_mode, scanner.subscriptions())

assert table["bytes per tick"].is_sorted()
assert table["order book"].to_list() == [False, False, True]
assert scanner.subscriptions()["mode"].to_list() == ["ltp"]
