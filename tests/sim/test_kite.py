"""What can be scripted to go wrong, and what must not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import pytest
from websockets.asyncio.client import connect

from kitepolars.errors import ConfigError, NotRunning
from kitepolars.sim import SimulatedKite
from patience import PATIENCE
from sim.conftest import Until

INFY = 408065


async def test_anything_can_be_sent_to_one_or_to_all(kite: SimulatedKite, client: Any) -> None:
    async with client() as first, client() as second:
        for talking in (first, second):
            await talking.text(), await talking.text()
        kite.send('{"type":"message","data":"to one"}', connection=1)
        kite.send('{"type":"message","data":"to all"}')

        assert (await first.text())["data"] == "to all"
        assert (await second.text())["data"] == "to one"
        kite.send(b"\x00\x01\x00\x08\x00\x06:\x01\x00\x02f\xba", connection=0)
        assert await first.packets() == [(INFY, "ltp")]


async def test_an_abort_has_no_goodbye(kite: SimulatedKite, client: Any, until: Until) -> None:
    async with client() as first, client() as second:
        await second.text()
        kite.abort(0)
        await asyncio.wait_for(first.socket.wait_closed(), PATIENCE)
        await until(lambda kite: not kite.connections[0].is_open)

        assert first.socket.close_code == 1006
        assert kite.connections[1].is_open


async def test_a_close_has_its_code_and_reason(kite: SimulatedKite, client: Any) -> None:
    async with client() as talking:
        await talking.text()
        await asyncio.to_thread(kite.close, None, 1012, "restart")
        await asyncio.wait_for(talking.socket.wait_closed(), PATIENCE)

    assert (talking.socket.close_code, talking.socket.close_reason) == (1012, "restart")


async def test_silence_keeps_the_socket_and_says_nothing(kite: SimulatedKite, client: Any) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY])
        await talking.packets()
        kite.silence()
        sent = kite.connections[0].messages_sent

        assert kite.step() == 0
        await asyncio.wait_for(await talking.socket.ping(), PATIENCE)
        assert kite.connections[0].messages_sent == sent
        kite.silence(False)
        assert kite.step() == 1


async def test_silence_without_pongs_is_a_half_open_connection(
    kite: SimulatedKite, client: Any
) -> None:
    async with client() as talking:
        await talking.text()
        kite.silence(pongs=False)
        pong = await talking.socket.ping()
        done, _ = await asyncio.wait([pong], timeout=0.2)

        assert not done
        kite.silence(False)
        await asyncio.wait_for(pong, PATIENCE)


async def test_newcomers_can_be_silent_too(kite: SimulatedKite, client: Any) -> None:
    kite.silence(newcomers=True)

    async with client() as mute:
        await asyncio.wait_for(await mute.socket.ping(), PATIENCE)
        assert kite.connections[0].messages_sent == 0


async def test_a_paused_market_still_gives_snapshots() -> None:
    with SimulatedKite(rate=50, interval=0.01) as kite:
        kite.pause_market()
        async with connect(f"{kite.url}?api_key=k&access_token=t", proxy=None) as talking:
            await talking.send(json.dumps({"a": "subscribe", "v": [INFY]}))
            kite.wait_for(lambda kite: kite.packets_sent == 1)
            before = kite.last_values(INFY)
            assert kite.last_values(INFY) == before
            kite.resume_market()
            kite.wait_for(lambda kite: kite.packets_sent >= 5)


def test_start_and_stop_are_idempotent_and_keep_the_port() -> None:
    before = set(threading.enumerate())
    kite = SimulatedKite(rate=0)
    kite.stop()
    kite.start()
    kite.start()
    url = kite.url
    kite.stop()
    kite.stop()
    assert set(threading.enumerate()) <= before
    with socket.socket() as free:
        free.bind(("127.0.0.1", kite.port))
    with kite:
        assert kite.url == url
        assert url in repr(kite)
    assert repr(kite) == "<SimulatedKite, stopped>"


def test_a_taken_port_is_an_error_of_start(kite: SimulatedKite) -> None:
    second = SimulatedKite(port=kite.port)

    with pytest.raises(OSError, match="address already in use"):
        second.start()
    assert not second.is_running


def test_scripting_needs_it_to_run() -> None:
    kite = SimulatedKite(rate=0)

    with pytest.raises(NotRunning, match=r"call start\(\)"):
        kite.step()


def test_an_unknown_connection_is_a_key_error(kite: SimulatedKite) -> None:
    with pytest.raises(KeyError):
        kite.abort(7)


def test_waiting_has_an_end(kite: SimulatedKite) -> None:
    with pytest.raises(TimeoutError, match="did not hold"):
        kite.wait_for(lambda kite: kite.packets_sent, timeout=0.01)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 70_000),
        ("rate", -1),
        ("rate", float("nan")),
        ("interval", 0),
        ("heartbeat", 0),
        ("connections", 0),
        ("instruments_per_connection", 0),
        ("packets_per_message", 65_536),
        ("write_buffer", 0),
    ],
)
def test_a_setting_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field) as caught:
        SimulatedKite(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


async def test_flapping_accepts_and_cuts_off(kite: SimulatedKite, client: Any) -> None:
    kite.flap(times=1)

    async with client() as cut_off:
        await asyncio.wait_for(cut_off.socket.wait_closed(), PATIENCE)
        assert cut_off.socket.close_code == 1006
    async with client() as accepted:
        await accepted.text()
