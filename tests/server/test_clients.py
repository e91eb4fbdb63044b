"""What a client has subscribed, as Kite keeps it, and a client that does not read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from kitepolars.sim import SimulatedKite
from sim.conftest import Until

INFY, SBIN, NIFTY = 408065, 779521, 256265


async def test_subscribing_again_resets_the_mode(client: Any, until: Until) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY])
        await talking.ask("mode", ["full", [INFY]])
        await until(lambda kite: kite.subscribed() == {INFY: "full"})
        await talking.ask("subscribe", [INFY])
        await until(lambda kite: kite.subscribed() == {INFY: "quote"})


async def test_a_mode_is_only_for_what_is_subscribed(
    kite: SimulatedKite, client: Any, until: Until
) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY])
        await talking.ask("mode", ["ltp", [INFY, SBIN]])
        await until(lambda kite: len(kite.requests) == 2)

        assert kite.subscribed() == {INFY: "ltp"}


async def test_strings_and_nonsense_silently_yield_nothing(
    kite: SimulatedKite, client: Any
) -> None:
    nonsense = ["408065", None, True, 1.5, -1, 1 << 32, [INFY], {"token": INFY}]
    async with client() as talking:
        await talking.ask("subscribe", nonsense)
        await talking.ask("subscribe", [SBIN])

        assert await talking.packets() == [(SBIN, "quote")]
        assert kite.subscribed() == {SBIN: "quote"}


async def test_tokens_beyond_the_limit_are_ignored_with_an_error_to_the_client(
    kite: SimulatedKite, client: Any
) -> None:
    tokens = kite.instruments.instrument_token[:3001].tolist()
    async with client() as talking:
        await talking.text(), await talking.text()
        await talking.ask("subscribe", tokens)
        error = await talking.text()
        packets = await talking.packets()

        assert error == {
            "type": "error",
            "data": "Can't subscribe to more than 3000 instruments",
        }
        assert sorted(token for token, _ in packets) == sorted(tokens[:3000])
        assert list(kite.subscribed()) == tokens[:3000]


async def test_a_repeated_token_takes_another_place_until_it_is_unsubscribed() -> None:
    with SimulatedKite(rate=0, interval=0.01, instruments_per_connection=3) as kite:
        async with connect(f"{kite.url}?api_key=k&access_token=t", proxy=None) as socket:

            async def ask(action: str, *tokens: int) -> None:
                await socket.send(json.dumps({"a": action, "v": tokens}))

            await ask("subscribe", INFY, INFY, INFY, SBIN)
            await asyncio.to_thread(kite.wait_for, lambda kite: len(kite.requests) == 1)
            assert kite.subscribed() == {INFY: "quote"}
            await ask("unsubscribe", INFY)
            await ask("subscribe", SBIN, NIFTY)
            await asyncio.to_thread(kite.wait_for, lambda kite: len(kite.requests) == 3)
            assert kite.subscribed() == {SBIN: "quote", NIFTY: "quote"}


async def test_a_client_that_does_not_read_is_dropped_without_stalling_others() -> None:
    with SimulatedKite(rate=0, interval=0.01, write_buffer=1 << 20) as kite:
        url = f"{kite.url}?api_key=k&access_token=t"
        async with (
            connect(url, proxy=None, max_queue=1, close_timeout=0.1) as deaf,
            connect(url, proxy=None) as awake,
        ):
            await deaf.recv(), await awake.recv()
            deaf.transport.pause_reading()

            async def flood() -> None:
                for _ in range(200):
                    kite.send(bytes(1 << 20), connection=0)
                    kite.send("ping", connection=1)
                    while await awake.recv() != "ping":
                        pass

            with pytest.raises(KeyError):  # there is no such connection any more
                await flood()
            assert not kite.connections[0].is_open
            deaf.transport.abort()
        assert kite.connections[0].messages_sent > 1
