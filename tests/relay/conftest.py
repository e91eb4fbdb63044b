"""A relay on a feed from a simulated Kite that stands still but for `step`; bare clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.feed.manager import TickerManager
from kitepolars.relay import Relay, RelayTokens
from kitepolars.relay.service import WRITE_BUFFER
from kitepolars.sim import SimulatedKite
from patience import PATIENCE
from sim.conftest import Client

NAME = "laptop"


class Relayed:
    """A simulated Kite, a feed from it and a relay of that."""

    def __init__(self, kite: SimulatedKite, folder: Path, **options: Any) -> None:
        self.kite = kite
        self.tokens = RelayTokens(folder)
        self.manager = TickerManager(
            [Account("main", "key", "canary5e3d9")],
            url=kite.url,
            limits=options.pop("limits", None),
        )
        self.relay = Relay(self.manager, self.tokens, **options)
        self.token = self.tokens.add(NAME).reveal()

    @asynccontextmanager
    async def client(self, name: str = NAME, token: str | None = None) -> AsyncIterator[Client]:
        presented = self.token if token is None else token
        url = f"{self.relay.url}?api_key={name}&access_token={presented}"
        async with connect(url, proxy=None, max_size=None, close_timeout=1) as socket:
            yield Client(socket)

    async def until_kite(self, predicate: Callable[[SimulatedKite], object]) -> None:
        assert await asyncio.to_thread(self.kite.wait_for, predicate)

    def events(self) -> list[str]:
        return [event.detail for event in self.manager.events() if event.kind == "relay"]


async def until(predicate: Callable[[], object]) -> None:
    """Wait until something is true, looking again each time the loop has turned."""
    async with asyncio.timeout(PATIENCE):
        while not predicate():  # noqa: ASYNC110 - of what has no event
            await asyncio.sleep(0.005)


async def subscribe(client: Client, mode: str, *tokens: int) -> None:
    await client.ask("subscribe", list(tokens))
    await client.ask("mode", [mode, list(tokens)])


async def closed(client: Client) -> tuple[int | None, str]:
    """Read until the relay closes; return its code and reason."""
    with suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code, client.socket.close_reason or ""


async def packets(client: Client, count: int) -> list[tuple[int, str]]:
    """Return (token, kind) of the next packets, in as many messages as they come."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(PATIENCE):  # heartbeats come for ever
        while len(found) < count:
            found += await client.packets()
    return found


async def next_packets(client: Client) -> bytes:
    while True:
        message = await client.receive()
        if isinstance(message, bytes) and len(message) > 1:
            return message


async def next_text(client: Client) -> dict[str, Any]:
    while (text := await client.text())["type"] in {"instruments_meta", "app_code"}:
        pass
    return text


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0, interval=0.01, heartbeat=0.05) as running:
        yield running


@pytest.fixture
def relaying(kite: SimulatedKite, tmp_path: Path) -> Any:
    """Return what runs a relay: ``async with relaying() as relayed``."""

    @asynccontextmanager
    async def run(
        *, limits: Limits | None = None, write_buffer: int = WRITE_BUFFER
    ) -> AsyncIterator[Relayed]:
        relayed = Relayed(kite, tmp_path, limits=limits, write_buffer=write_buffer)
        await relayed.manager.start()
        await relayed.relay.open()
        try:
            yield relayed
        finally:
            await relayed.relay.close()
            await relayed.manager.stop()

    return run
