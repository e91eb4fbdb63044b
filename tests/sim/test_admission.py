"""Whom the simulator admits, and what the others receive."""

from __future__ import annotations

from typing import Any

from websockets.asyncio.client import connect

from kitepolars.sim import SimulatedKite
from sim.conftest import refusal


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
