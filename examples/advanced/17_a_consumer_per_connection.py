# %% [markdown]
# # How do I give each connection its own consumer?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `demo`, `run`, `Ticker.stream`, `Ticker.connections`, `Ticker.subscriptions`,
# `Ticker.subscribe`
#
# A ticker spreads instruments over up to three connections. Each can be consumed as a channel of
# its own: three queues, three tasks, no tick in two of them.

# %%
import asyncio

import polars as pl

import kitepolars as kp

ticker = kp.demo(instruments=[], rate=1)
listed = ticker.instruments.frame.filter(pl.col("segment") != "INDICES").head(2_400)
ticker.subscribe(listed, mode="quote")
assert ticker.wait(until=lambda t: t.latest().height == listed.height, timeout=30)

connections = ticker.connections()
print(connections.select("connection", "state", "instruments", "capacity", "messages"))
assert connections["instruments"].sum() == listed.height

# %% [markdown]
# Which instrument is where is a frame, too: each connection's share, by exchange.

# %%
where = ticker.subscriptions().join(
    listed.select("instrument_token", "exchange"), on="instrument_token"
)
print(where.group_by("connection", "exchange").len().sort("connection", "exchange"))


# %%
async def consume(connection: int, batches: int) -> set[int]:
    """Return the instruments that a connection delivered in some batches."""
    seen: set[int] = set()
    async for batch in ticker.stream(connection=connection):
        assert set(batch["connection"]) == {connection}
        seen |= set(batch["instrument_token"])
        batches -= 1
        if batches == 0:
            break
    return seen


async def main() -> list[set[int]]:
    """Consume every connection at the same time."""
    return await asyncio.gather(*(consume(n, batches=15) for n in connections["connection"]))


shares = kp.run(main())
ticker.stop()
print("instruments seen by each consumer:", [len(share) for share in shares])
assert len(shares) == connections.height >= 2
assert all(shares)
assert len(set.union(*shares)) == sum(map(len, shares))
