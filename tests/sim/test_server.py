"""The three requests, and what flows: the protocol as Kite speaks it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from websockets.asyncio.client import connect

from kitepolars.sim import SimulatedKite
from sim.conftest import Until

INFY, SBIN, NIFTY = 408065, 779521, 256265


async def test_after_a_connect_come_instruments_meta_and_app_code(
    kite: SimulatedKite, client: Any
) -> None:
    async with client() as talking:
        meta, code = await talking.text(), await talking.text()

    assert meta["type"] == "instruments_meta"
    assert meta["data"]["count"] == len(kite.instruments)
    assert meta["data"]["etag"].startswith('W/"')
    assert code.keys() == {"type", "timestamp"}
    assert str(datetime.fromisoformat(code["timestamp"]).utcoffset()) == "5:30:00"


async def test_a_bare_subscribe_yields_one_snapshot_as_quote(client: Any) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY, NIFTY])

        assert sorted(await talking.packets()) == [(NIFTY, "index quote"), (INFY, "quote")]


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("ltp", {(INFY, "ltp"), (NIFTY, "ltp")}),
        ("quote", {(INFY, "quote"), (NIFTY, "index quote")}),
        ("full", {(INFY, "full"), (NIFTY, "index full")}),
    ],
)
async def test_the_mode_decides_the_packet(
    kite: SimulatedKite, client: Any, mode: str, kinds: set[tuple[int, str]], until: Until
) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY, NIFTY])
        await talking.packets()
        await talking.ask("mode", [mode, [INFY, NIFTY]])
        await until(lambda kite: set(kite.subscribed().values()) == {mode})

        assert kite.step() == 2
        assert set(await talking.packets()) == kinds


async def test_an_unsubscribed_instrument_is_quiet(
    kite: SimulatedKite, client: Any, until: Until
) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY, SBIN])
        await talking.packets()
        await talking.ask("unsubscribe", [INFY])
        await until(lambda kite: kite.subscribed() == {SBIN: "quote"})

        assert kite.step() == 1
        assert await talking.packets() == [(SBIN, "quote")]


async def test_an_unknown_token_is_subscribed_and_quiet(kite: SimulatedKite, client: Any) -> None:
    unknown = 99_999_999 << 4 | 1
    async with client() as talking:
        await talking.ask("subscribe", [unknown, INFY])

        assert await talking.packets() == [(INFY, "quote")]
        assert set(kite.subscribed()) == {unknown, INFY}


async def test_heartbeats_fill_the_quiet(client: Any) -> None:
    async with client() as talking:
        assert await talking.heartbeat() == b"\x00"
        assert await talking.heartbeat() == b"\x00"


async def test_order_updates_go_to_every_connection_of_the_user() -> None:
    users = {"one": "AB1234", "two": "XY9999"}
    with SimulatedKite(rate=0, heartbeat=None, users=users) as kite:

        async def orders(api_key: str) -> list[dict[str, Any]]:
            url = f"{kite.url}?api_key={api_key}&access_token=t"
            async with connect(url, proxy=None) as socket:
                texts = [json.loads(await socket.recv()) for _ in range(3)]
            return [text for text in texts if text["type"] == "order"]

        waiting = [asyncio.create_task(orders(key)) for key in ("one", "one", "two")]
        everybody = lambda kite: len(kite.connections) == 3  # noqa: E731
        await asyncio.to_thread(kite.wait_for, everybody)
        kite.order_update(user_id="AB1234", status="CANCELLED", tag="mine")
        kite.order_update(user_id="XY9999")
        first, second, third = await asyncio.gather(*waiting)

    assert first == second
    assert first[0]["id"] == ""
    order = first[0]["data"]
    assert (order["account_id"], order["status"], order["tag"]) == ("AB1234", "CANCELLED", "mine")
    assert order["checksum"] == ""
    assert datetime.fromisoformat(order["order_timestamp"]).tzinfo is None
    assert third[0]["data"]["account_id"] == "XY9999"
    assert third[0]["data"]["order_id"] != order["order_id"]


async def test_packets_of_a_cycle_come_in_messages_of_bounded_count() -> None:
    with SimulatedKite(rate=0, interval=0.01, heartbeat=None, packets_per_message=4) as kite:
        async with connect(f"{kite.url}?api_key=k&access_token=t", proxy=None) as socket:
            tokens = kite.instruments.instrument_token[:10].tolist()
            await socket.send(json.dumps({"a": "subscribe", "v": tokens}))
            messages = [await socket.recv() for _ in range(5)][2:]

    counts = [int.from_bytes(message[:2]) for message in messages if isinstance(message, bytes)]
    assert counts == [4, 4, 2]
    assert kite.connections[0].messages_sent == 5
    assert kite.packets_sent == kite.connections[0].packets_sent == 10
