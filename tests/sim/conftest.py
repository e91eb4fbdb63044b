"""A simulated Kite that stands still but for `step`, and a client that speaks the protocol."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from kitepolars.sim import SimulatedKite
from patience import PATIENCE

LENGTHS = {8: "ltp", 28: "index quote", 32: "index full", 44: "quote", 184: "full"}


class Client:
    """A bare client of the protocol, with nothing of the package in it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def ask(self, action: str, value: object) -> None:
        await self.socket.send(json.dumps({"a": action, "v": value}))

    async def receive(self) -> str | bytes:
        return await asyncio.wait_for(self.socket.recv(), PATIENCE)

    async def text(self) -> dict[str, Any]:
        """Return the next text message."""
        while True:
            message = await self.receive()
            if isinstance(message, str):
                document: dict[str, Any] = json.loads(message)
                return document

    async def packets(self) -> list[tuple[int, str]]:
        """Return (token, kind) of the next message with packets."""
        while True:
            message = await self.receive()
            if isinstance(message, bytes) and len(message) > 1:
                return split(message)

    async def heartbeat(self) -> bytes:
        """Return the next heartbeat."""
        while True:
            message = await self.receive()
            if isinstance(message, bytes) and len(message) == 1:
                return message


def split(message: bytes) -> list[tuple[int, str]]:
    (count,) = struct.unpack_from(">H", message)
    packets, at = [], 2
    for _ in range(count):
        length, token = struct.unpack_from(">HI", message, at)
        packets.append((token, LENGTHS[length]))
        at += 2 + length
    assert at == len(message)
    return packets


Until = Callable[[Callable[[SimulatedKite], object]], Any]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


async def refusal(url: str) -> tuple[int, str]:
    """Return the status and body of a refused handshake."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, proxy=None):
            pass
    response = caught.value.response
    return response.status_code, bytes(response.body or b"").decode()


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0, interval=0.01, heartbeat=0.05) as running:
        yield running


@pytest.fixture
def client(kite: SimulatedKite) -> Connect:
    """Return what connects to `kite`: ``async with client() as c``."""

    @asynccontextmanager
    async def open_client(
        api_key: str = "key",
        access_token: str = "token",  # noqa: S107 - any token is let in
    ) -> AsyncIterator[Client]:
        url = f"{kite.url}?api_key={api_key}&access_token={access_token}"
        async with connect(url, proxy=None, max_size=None, close_timeout=1) as socket:
            yield Client(socket)

    return open_client


@pytest.fixture
def until(kite: SimulatedKite) -> Until:
    """Return what awaits a predicate on `kite` without blocking the test's loop."""

    async def wait(predicate: Callable[[SimulatedKite], object]) -> None:
        assert await asyncio.to_thread(kite.wait_for, predicate)

    return wait
