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
from kitepolars.feed.clock import PULSE, SETTLING
from kitepolars.feed.limits import Limits
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.store import TickStore
from kitepolars.ledger.gaps import Gap
from kitepolars.pipeline import Pipeline
from kitepolars.wire.layouts import Mode
from patience import PATIENCE

TOKENS = tuple(range(257, 257 + 24 * 256, 256))
"""Instruments of the segment NSE."""

MODES = {token: tuple(Mode)[n % 3] for n, token in enumerate(TOKENS)}
"""The mode of each."""


PAUSED = ("the event loop stood still", "the wall clock was set forward")
"""How the reasons of gaps begin for which no connection was lost."""


@dataclass
class Machine:
    """A machine's two clocks, in nanoseconds beside the real ones."""

    wall: int = 0
    elapsed: int = 0

    def drive(self, manager: TickerManager) -> None:
        """Let a feed's clock follow this machine's."""
        clock = manager._clock
        wall, elapsed = clock._wall, clock._elapsed
        clock._wall = lambda: wall() + self.wall
        clock._elapsed = lambda: elapsed() + self.elapsed

    def set(self, seconds: int) -> None:
        """Set the wall clock."""
        self.wall += seconds * 10**9

    def stop(self, seconds: int) -> None:
        """Let time pass in which nothing runs."""
        self.wall += seconds * 10**9
        self.elapsed += seconds * 10**9


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
        self.machine = Machine()
        self.machine.drive(self.manager)
        self.manager.on_event(self._note)

    async def start(self) -> None:
        for mode in Mode:
            self.manager.subscribe([one for one in TOKENS if MODES[one] is mode], mode)
        await self.manager.start()
        await self.until(self.is_whole)

    def is_whole(self) -> bool:
        """Whether everything is subscribed in its mode, ticks, and is in no open gap."""
        self.pipeline.flush()
        wanted = {token: mode for token, (mode, _) in self.manager.subscriptions().items()}
        return (
            self.market.modes == wanted
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

    async def settle(self) -> None:
        """Let what follows a pause come to its end."""
        await self.clock.run(SETTLING + PULSE)
        await self.until(self.is_whole)

    async def turn(self) -> None:
        """Let 0.2 seconds pass, and what is under way arrive."""
        await self.clock.run(0.2)
        await asyncio.sleep(0.001)

    async def pulse(self) -> None:
        """Let time pass until the feed has looked at its clock, less than a turn ago."""
        looked_at = self.manager._clock._pulse_at
        await self.until(lambda: self.manager._clock._pulse_at != looked_at)

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
        assert any(accounts_for(gap, row["before"], row["at"]) for gap in gaps), (row, gaps)


def accounts_for(gap: Gap, before: int, at: int) -> bool:
    """Return whether a gap begins between two packets, or neither ends before nor begins after.

    The latter goes for pauses only: what the buffers held comes first.
    """
    if gap.reason.startswith(PAUSED):
        return gap.started_at <= at and (gap.ended_at is None or gap.ended_at >= before)
    return before <= gap.started_at <= at


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
    monkeypatch.setattr("kitepolars.feed.accounts.GATE_PATIENCE", PATIENCE)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", proxy.resolve)
    trial = Trial(market, proxy, clock=clock)
    yield trial
    await trial.manager.stop()
