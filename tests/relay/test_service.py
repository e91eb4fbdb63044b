"""The port of a relay: heartbeats, slow clients, garbage, plaintext."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from kitepolars.errors import ConfigError
from kitepolars.feed.account import Account
from kitepolars.feed.manager import TickerManager
from kitepolars.relay import Relay, RelayTokens
from kitepolars.relay.service import MAX_MALFORMED
from kitepolars.sim import SimulatedKite
from patience import PATIENCE
from relay.conftest import closed, packets, subscribe, until

INFY, SBIN, NIFTY = 408065, 779521, 256265


async def test_heartbeats_come_when_nothing_else_does(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        relayed.kite.pause_market()
        assert await client.heartbeat() == b"\x00"


async def test_a_client_that_reads_nothing_is_dropped_alone(
    relaying: Any,
) -> None:
    async with (
        relaying(write_buffer=200_000) as relayed,
        relayed.client() as slow,
        relayed.client() as quick,
    ):
        tokens = relayed.kite.instruments.instrument_token[:3000].tolist()
        await subscribe(quick, "full", *tokens)
        await packets(quick, 3000)
        await subscribe(slow, "full", *tokens)
        await packets(slow, 3000)
        slow.socket.transport.pause_reading()
        while not relayed.relay.stats().dropped:
            relayed.kite.step()
            assert len(await packets(quick, 3000)) == 3000
        slow.socket.transport.resume_reading()
        await closed(slow)
        await until(lambda: relayed.relay.stats().clients == 1)
        assert any("bytes wait that it does not read" in line for line in relayed.events())
        relayed.kite.step()
        assert len(await packets(quick, 3000)) == 3000


async def test_a_client_that_is_dropped_and_reads_again_learns_why(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        await subscribe(client, "ltp", INFY)
        await packets(client, 1)
        relayed.relay._connected()[0].too_slow()
        code, reason = await closed(client)
        assert (code, reason[:17]) == (1013, "reads too slowly:")


@pytest.mark.parametrize("message", ["{", "[" * 100_000, b"\xff\x00", '{"a":"dance"}'])
async def test_garbage_is_ignored_and_too_much_of_it_ends_the_connection(
    relaying: Any, message: str | bytes
) -> None:
    async with relaying() as relayed, relayed.client() as client, relayed.client() as other:
        await client.socket.send(message)
        await subscribe(client, "ltp", INFY)
        assert await packets(client, 1) == [(INFY, "ltp")]
        for _ in range(MAX_MALFORMED):
            await client.socket.send(message)
        assert (await closed(client))[0] == 1008
        await subscribe(other, "ltp", INFY)
        assert await packets(other, 1) == [(INFY, "ltp")]


async def test_bytes_that_are_no_websocket_do_not_affect_others(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        reader, writer = await asyncio.open_connection(*relayed.relay.address)
        writer.write(b"\x16\x03\x01" + bytes(range(256)) * 64)
        await writer.drain()
        await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        frames = client.socket.transport
        frames.write(b"\xff" * 64)  # no valid frame
        await closed(client)
        await until(lambda: relayed.relay.stats().clients == 0)


def test_plaintext_stays_on_this_machine(kite: SimulatedKite, tmp_path: Path) -> None:
    manager = TickerManager([Account("main", "key", "token")], url=kite.url)
    for host in ("0.0.0.0", "192.168.1.5", "", "kite.example"):  # noqa: S104 - refused
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            Relay(manager, RelayTokens(tmp_path), host=host)


async def test_a_hundred_clients_get_everything(relaying: Any) -> None:
    async with relaying() as relayed, AsyncExitStack() as stack:
        tokens = relayed.kite.instruments.instrument_token[:90].tolist()
        clients = [await stack.enter_async_context(relayed.client()) for _ in range(100)]
        for number, client in enumerate(clients):
            mine = tokens if number % 2 else tokens[number : number + 10]
            await subscribe(client, "full" if number % 3 else "quote", *mine)
            await packets(client, len(mine))
        rounds = 5
        for _ in range(rounds):
            relayed.kite.step()
        for number, client in enumerate(clients):
            mine = tokens if number % 2 else tokens[number : number + 10]
            found = Counter(token for token, _ in await packets(client, rounds * len(mine)))
            assert found == dict.fromkeys(mine, rounds)
        assert relayed.relay.stats().clients == 100
        assert relayed.relay.stats().dropped == 0
