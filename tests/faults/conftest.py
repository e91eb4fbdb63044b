"""A feed with everything behind it, on the test's own loop, against a market through a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import polars as pl
import pytest

from faults.numbered import NumberedMarket
from faults.proxy import Proxy
from feed.conftest import Clock
from feed.conftest import clock as clock  # noqa: PLC0414 - the fixture is used here, too
from kitepolars.feed.account import Account
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.plan import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.store import TickStore
from kitepolars.ledger.gaps import Gap
from kitepolars.pipeline import Pipeline
from kitepolars.wire.layouts import Mode
from patience import PATIENCE

TOKENS = tuple(range(257, 257 + 24 * 256, 256))
"""Instruments of the segment NSE."""


@dataclass
class Trial:
    """A feed under test, and what breaks it."""

    market: NumberedMarket
    proxy: Proxy
    policy: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.manager = TickerManager(
            [Account("main", "my_api_key", "token")],
            url=self.proxy.url,
            limits=Limits(connections=3, instruments_per_connection=12),
            reconnect=self.policy,
        )
        self.store = TickStore()
        gaps = self.manager.ledger.gaps
        gaps.decoded = True
        self.pipeline = Pipeline(self.store, self.manager.ledger.events, arrived=gaps.arrived)
        self.manager.deliver_to(self.pipeline, first=True)
        self.lost_at: list[float] = []  # loop times
        self.manager.on_event(self._note)

    async def start(self) -> None:
        self.manager.subscribe(TOKENS, Mode.FULL)
        await self.manager.start()
        await self.until(self.is_whole)

    def is_whole(self) -> bool:
        """Whether everything is subscribed in its mode, ticks, and is in no open gap."""
        self.pipeline.flush()
        return (
            self.market.modes == dict.fromkeys(TOKENS, Mode.FULL)
            and len(self.store.index) == len(TOKENS)
            and not any(gap.waiting for gap in self.gaps)
        )

    async def until(
        self, happened: Callable[[], object], every_second: Callable[[], object] = lambda: None
    ) -> None:
        """Let time pass quickly until something holds; fail when it does not for long."""
        async with asyncio.timeout(PATIENCE + 1_000):
            for turn in range(100_000):
                if happened():
                    return
                if turn % 5 == 0:
                    every_second()
                await self.turn()
        pytest.fail("it did not happen:\n" + "\n".join(map(str, self.manager.events())))

    async def turn(self) -> None:
        """Let 0.2 seconds pass, and what is under way arrive."""
        await self.clock.run(0.2)
        await asyncio.sleep(0.001)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.manager.gaps()

    def frame(self) -> pl.DataFrame:
        self.pipeline.flush()
        return self.store.held.frame()

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.manager.events())

    def _note(self, event: object) -> None:
        if getattr(event, "kind", "") == "disconnected":
            self.lost_at.append(asyncio.get_running_loop().time())


def check(trial: Trial) -> None:
    """Fail where something is missing that no gap accounts for, or where times contradict."""
    frame, gaps = trial.frame(), trial.gaps
    times = frame["received_at"].dt.epoch("us")
    assert times.is_sorted()
    for gap in gaps:
        assert gap.ended_at is None or gap.ended_at >= gap.started_at, gap
    ticks = frame.select(
        "instrument_token",
        number=(pl.col("last_price") * 100).round().cast(pl.Int64),
        at=times,
    ).with_columns(
        missed=pl.col("number").diff().over("instrument_token") - 1,
        before=pl.col("at").shift().over("instrument_token"),
    )
    assert ticks["missed"].min() is not None
    assert ticks.filter(pl.col("missed") < -1).is_empty()  # -1: a cached value that was held
    for row in ticks.filter(pl.col("missed") > 0).iter_rows(named=True):
        assert any(row["before"] <= gap.started_at <= row["at"] for gap in gaps), (row, gaps)


@pytest.fixture
async def market() -> AsyncIterator[NumberedMarket]:
    async with NumberedMarket() as market:
        yield market


@pytest.fixture
async def proxy(market: NumberedMarket) -> AsyncIterator[Proxy]:
    async with Proxy(market.url) as proxy:
        yield proxy


@pytest.fixture
async def trial(
    market: NumberedMarket, proxy: Proxy, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Trial]:
    # However slow the machine is, a handshake under way does not count as one that hangs.
    monkeypatch.setattr("kitepolars.feed.link.GATE_PATIENCE", PATIENCE)
    trial = Trial(market, proxy, clock=clock)
    yield trial
    await trial.manager.stop()
