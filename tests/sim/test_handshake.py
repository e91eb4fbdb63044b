"""Who is admitted, and what the others receive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from kitepolars.sim import SimulatedKite
from kitepolars.sim.server import KiteServer
from patience import PATIENCE

Until = Callable[[Callable[[SimulatedKite], object]], Any]


async def refusal(url: str) -> tuple[int, str]:
    """Return the status and body of a refused handshake."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, proxy=None):
            pass
    response = caught.value.response
    return response.status_code, bytes(response.body or b"").decode()


@pytest.mark.parametrize(
    "query", ["", "?api_key=key", "?access_token=token", "?api_key=&access_token=token", "?x"]
)
async def test_missing_credentials_are_400(kite: SimulatedKite, query: str) -> None:
    status, body = await refusal(kite.url + query)

    assert status == 400
    assert json.loads(body)["status"] == "error"


async def test_an_expired_token_is_403_with_kites_body(kite: SimulatedKite) -> None:
    status, body = await refusal(kite.url + "?api_key=key&access_token=expired")

    assert status == 403
    assert json.loads(body) == {
        "status": "error",
        "message": "Incorrect `api_key` or `access_token`.",
        "error_type": "TokenException",
    }


async def test_the_slash_before_the_query_may_be_missing(kite: SimulatedKite) -> None:
    async with connect(f"ws://127.0.0.1:{kite.port}?api_key=k&access_token=t", proxy=None):
        assert [connection.is_open for connection in kite.connections] == [True]


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


async def test_the_fourth_connection_of_a_key_is_429_and_the_three_stay(
    kite: SimulatedKite, client: Any
) -> None:
    async with client(), client(), client() as third:
        status, _ = await refusal(kite.url + "?api_key=key&access_token=token")
        async with client(api_key="another"):
            pass
        await third.text()

        assert status == 429
        assert [handshake.status for handshake in kite.handshakes] == [101, 101, 101, 429, 101]
        assert sum(connection.is_open for connection in kite.connections) >= 3


async def test_a_closed_connection_gives_its_place_back(client: Any) -> None:
    async with client(), client():
        for _ in range(3):
            async with client() as third:
                await third.text()


async def test_scripted_refusals_end_after_their_number(kite: SimulatedKite, client: Any) -> None:
    url = kite.url + "?api_key=key&access_token=token"
    kite.reject(503, times=2)

    assert [await refusal(url), await refusal(url)] == [
        (503, "<html><body><h1>503</h1></body></html>")
    ] * 2
    async with client() as accepted:
        assert (await accepted.text())["type"] == "instruments_meta"


async def test_scripted_refusals_can_have_any_status_and_body(kite: SimulatedKite) -> None:
    url = kite.url + "?api_key=key&access_token=token"
    kite.reject(599, body="")

    assert await refusal(url) == (599, "")
    kite.accept()
    async with connect(url, proxy=None):
        pass


async def test_tokens_expire_for_new_handshakes(kite: SimulatedKite, client: Any) -> None:
    async with client(access_token="today") as early:
        kite.expire_tokens()
        status, _ = await refusal(kite.url + "?api_key=key&access_token=today")
        await early.heartbeat()

        async with client(access_token="tomorrow") as late:
            await late.heartbeat()
    assert status == 403


async def test_flapping_accepts_and_cuts_off(kite: SimulatedKite, client: Any) -> None:
    kite.flap(times=1)

    async with client() as cut_off:
        await asyncio.wait_for(cut_off.socket.wait_closed(), PATIENCE)
        assert cut_off.socket.close_code == 1006
    async with client() as accepted:
        await accepted.text()


async def test_the_access_token_is_nowhere(
    kite: SimulatedKite, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kitepolars")

    async with client(access_token="hush-hush") as talking:
        await talking.ask("subscribe", [408065])
        await talking.packets()
    await refusal(kite.url + "?access_token=hush-hush")
    kite.expire_tokens()
    await refusal(kite.url + "?api_key=key&access_token=hush-hush")
    with contextlib.closing((await asyncio.open_connection("127.0.0.1", kite.port))[1]) as raw:
        raw.write(b"GET /?access_token=hush-hush HTTP/0.9\r\n\r\n")
        await raw.drain()

    said = repr((kite, kite.connections, kite.handshakes, kite.requests))
    assert "hush-hush" not in said + caplog.text
    server = kite._server
    assert "hush-hush" not in repr((vars(server), vars(server.admission)))


def test_a_client_that_never_asks_does_not_delay_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kitepolars.server.endpoint._OPENING", 10 * PATIENCE)
    with SimulatedKite() as kite, socket.create_connection(("127.0.0.1", kite.port)) as mute:
        kite.stop()
        with contextlib.suppress(ConnectionResetError):  # where it was not even accepted
            assert mute.recv(1) == b""
    assert caplog.messages == []
