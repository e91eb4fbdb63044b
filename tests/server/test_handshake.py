"""Credentials that are missing, refused or oddly written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

import pytest
from websockets.asyncio.client import connect

from kitepolars.sim import SimulatedKite
from sim.conftest import refusal


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
