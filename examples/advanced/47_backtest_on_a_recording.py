# %% [markdown]
# # Would my strategy have made money on that day?
#
# *Advanced · 3 seconds · no connection*
#
# Uses: `sample`, `ReplayTicker`, `ReplayTicker.play`, `Ticker.on_batch`, `Ticker.candles`, `mid`
#
# A replay calls the same callbacks with the same batches every time, and waits for them, so a
# backtest is reproducible. The recording here is part of the package;
# `kp.replay("ticks/2026-11-20")` plays one of yours.

# %%
from dataclasses import dataclass, field

import polars as pl

import kitepolars as kp

SYMBOL, FEE = "NSE:RELIANCE", 0.02  # rupees a share and trade


@dataclass
class Crossing:
    """Long one share while the fast average of the mid is above the slow one."""

    fast: int
    slow: int
    cash: float = 0.0
    position: int = 0
    mids: list[float] = field(default_factory=list)
    trades: list[tuple[str, float]] = field(default_factory=list)

    def take(self, batch: pl.DataFrame) -> None:
        """Trade at the other side of the book: a backtest at the last price flatters."""
        fresh = batch.filter(~pl.col("is_snapshot"))
        book = fresh.select(
            kp.mid(), bid=pl.col("bid_price").arr.first(), ask=pl.col("ask_price").arr.first()
        )
        for mid, bid, ask in book.drop_nulls().iter_rows():
            self.mids.append(mid)
            if len(self.mids) < self.slow:
                continue
            wanted = int(self.average(self.fast) > self.average(self.slow))
            if wanted > self.position:
                self.cash -= ask + FEE
                self.trades.append(("buy", ask))
            elif wanted < self.position:
                self.cash += bid - FEE
                self.trades.append(("sell", bid))
            self.position = wanted

    def average(self, count: int) -> float:
        """Return the mean of the last mids."""
        return sum(self.mids[-count:]) / count

    @property
    def profit(self) -> float:
        """The result in rupees, the position valued at the last mid."""
        return self.cash + self.position * self.mids[-1]


def backtest(fast: int, slow: int) -> Crossing:
    """Return the strategy after the recorded time."""
    ticker: kp.ReplayTicker = kp.sample(speed=None)
    strategy = Crossing(fast, slow)
    ticker.on_batch(instruments=[SYMBOL])(strategy.take)
    ticker.play(progress=False).stop()
    return strategy


# %%
results = {(fast, slow): backtest(fast, slow) for fast, slow in ((5, 20), (10, 40), (20, 80))}
print(
    pl.DataFrame(
        [
            (fast, slow, len(run.trades), round(run.profit, 2))
            for (fast, slow), run in results.items()
        ],
        schema=["fast", "slow", "trades", "rupees a share"],
        orient="row",
    )
)

# %% [markdown]
# Eight minutes prove nothing about a strategy, but two equal runs show that the test is
# reproducible:

# %%
again = backtest(5, 20)
assert again.trades == results[5, 20].trades
assert again.profit == results[5, 20].profit
assert [side for side, _ in again.trades[:2]] == ["buy", "sell"]

with kp.sample(speed=None) as ticker:
    ticker.wait()
bars = ticker.candles("1m", SYMBOL)
print(bars.select("start", "open", "high", "low", "close", "volume").tail(4))
assert bars.height == 8
