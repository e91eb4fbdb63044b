"""A port and its connections, whatever clients do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.server import ServerProtocol

from kitepolars.sim import SimulatedKite
from kitepolars.sim.server import KiteServer
from patience import PATIENCE

INFY = 408065


async def test_a_connection_is_noted_before_its_client_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def idle(_: KiteServer, socket: ServerConnection) -> None:
        await socket.wait_closed()

    monkeypatch.setattr(KiteServer, "_handle", idle)
    with SimulatedKite(rate=0) as kite:
        async with connect(f"{kite.url}?api_key=k&access_token=t", proxy=None):
            assert [connection.is_open for connection in kite.connections] == [True]
            assert [shake.status for shake in kite.handshakes] == [101]
        await asyncio.to_thread(kite.wait_for, lambda kite: not kite.connections[0].is_open)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        "null",
        '"subscribe"',
        "{}",
        '{"a": "subscribe"}',
        '{"a": "subscribe", "v": 408065}',
        '{"a": "mode", "v": ["full"]}',
        '{"a": "mode", "v": ["huge", [408065]]}',
        '{"a": "mode", "v": [["full"], [408065]]}',
        '{"a": ["subscribe"], "v": [408065]}',
        '{"a": "dance", "v": [408065]}',
        "[" * 100_000,
        b"\xff\x00",
    ],
)
async def test_a_malformed_request_does_not_end_the_connection(
    kite: SimulatedKite, client: Any, message: str | bytes
) -> None:
    async with client() as talking:
        await talking.socket.send(message)
        await talking.ask("subscribe", [INFY])

        assert await talking.packets() == [(INFY, "quote")]
        assert [request.action for request in kite.requests] == ["", "subscribe"]


async def test_pings_are_answered_and_nothing_is_compressed(client: Any) -> None:
    async with client() as talking:
        await asyncio.wait_for(await talking.socket.ping(), PATIENCE)

        assert talking.socket.protocol.extensions == []


async def test_stopping_does_not_wait_for_clients(client: Any, kite: SimulatedKite) -> None:
    async with client() as talking:
        await talking.text()
        kite.silence(pongs=False)
        await asyncio.wait_for(asyncio.to_thread(kite.stop), PATIENCE)
        await asyncio.wait_for(talking.socket.wait_closed(), PATIENCE)
        assert talking.socket.close_code == 1001


def test_a_client_that_never_asks_does_not_delay_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kitepolars.server.endpoint._OPENING", 10 * PATIENCE)
    with SimulatedKite() as kite, socket.create_connection(("127.0.0.1", kite.port)) as mute:
        kite.stop()
        with contextlib.suppress(ConnectionResetError):  # where it was not even accepted
            assert mute.recv(1) == b""
    assert caplog.messages == []


async def test_a_connection_that_failed_before_its_request_does_not_break_the_end() -> None:
    server = SimulatedKite()._server
    await server.open()
    failed = server._new_socket(ServerProtocol(), server._port)  # as when TLS was not agreed on
    await server.close()
    assert not hasattr(failed, "transport")
