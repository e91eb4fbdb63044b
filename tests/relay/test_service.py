"""One feed for many clients: what each gets, and what the source is asked for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kitepolars.errors import ConfigError
from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.feed.manager import TickerManager
from kitepolars.relay import Relay, RelayTokens
from kitepolars.relay.service import MAX_MALFORMED
from kitepolars.relay.tokens import TOKENS
from kitepolars.sim import SimulatedKite
from kitepolars.wire.layouts import Mode
from patience import PATIENCE
from relay.conftest import until
from sim.conftest import Client, split

INFY, SBIN, NIFTY = 408065, 779521, 256265


async def subscribe(client: Client, mode: str, *tokens: int) -> None:
    await client.ask("subscribe", list(tokens))
    await client.ask("mode", [mode, list(tokens)])


async def closed(client: Client) -> tuple[int | None, str]:
    """Read until the relay closes; return its code and reason."""
    with suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code, client.socket.close_reason or ""


async def test_each_client_gets_its_part_of_what_comes(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as full, relayed.client() as ltp:
        await subscribe(full, "full", INFY, NIFTY)
        await subscribe(ltp, "ltp", INFY, SBIN)
        await relayed.until_kite(
            lambda kite: kite.subscribed() == {INFY: "full", NIFTY: "full", SBIN: "ltp"}
        )
        assert sorted(await packets(full, 2)) == [(NIFTY, "index full"), (INFY, "full")]
        assert sorted(await packets(ltp, 2)) == [(INFY, "ltp"), (SBIN, "ltp")]
        relayed.kite.step()
        assert sorted(await packets(full, 2)) == [(NIFTY, "index full"), (INFY, "full")]
        assert sorted(await packets(ltp, 2)) == [(INFY, "ltp"), (SBIN, "ltp")]


async def packets(client: Client, count: int) -> list[tuple[int, str]]:
    """Return (token, kind) of the next packets, in as many messages as they come."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(PATIENCE):  # heartbeats come for ever
        while len(found) < count:
            found += await client.packets()
    return found


async def test_bytes_that_a_client_wants_whole_are_those_that_came(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        taken: list[bytes] = []
        await subscribe(client, "full", INFY, SBIN)
        await packets(client, 2)
        relayed.manager.deliver_to(Messages(taken))
        relayed.kite.step()
        message = await next_packets(client)
        assert [message] == taken


class Messages:
    """A sink that keeps the bytes of messages."""

    def __init__(self, taken: list[bytes]) -> None:
        self.taken = taken

    def take(self, record: Any) -> None:
        self.taken += getattr(record, "messages", ())


async def next_packets(client: Client) -> bytes:
    while True:
        message = await client.receive()
        if isinstance(message, bytes) and len(message) > 1:
            return message


async def test_a_part_has_the_first_bytes_of_what_came(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as full, relayed.client() as quote:
        await subscribe(full, "full", INFY)
        await packets(full, 1)
        await quote.ask("subscribe", [INFY])
        await packets(quote, 1)
        relayed.kite.step()
        whole, part = await next_packets(full), await next_packets(quote)
        assert split(part) == [(INFY, "quote")]
        assert part[4:] == whole[4 : 4 + 44]


async def test_who_subscribes_later_gets_the_last_packet_at_once(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as first, relayed.client() as second:
        await subscribe(first, "full", INFY, SBIN)
        await packets(first, 2)
        relayed.kite.step()
        last = await next_packets(first)
        await subscribe(second, "full", INFY, SBIN)
        assert sorted(split(await next_packets(second))) == sorted(split(last))
        sent = relayed.kite.packets_sent
        await subscribe(second, "full", INFY)  # again
        assert await packets(second, 1) == [(INFY, "full")]
        assert relayed.kite.packets_sent == sent


async def test_the_source_has_the_union_in_the_highest_mode(relaying: Any) -> None:
    async with relaying() as relayed:
        relayed.manager.subscribe([INFY], Mode.QUOTE)  # its own
        async with relayed.client() as first:
            await subscribe(first, "ltp", INFY, SBIN)
            await relayed.until_kite(
                lambda kite: kite.subscribed() == {INFY: Mode.QUOTE, SBIN: Mode.LTP}
            )
            async with relayed.client() as second:
                await subscribe(second, "full", INFY, SBIN)
                await relayed.until_kite(
                    lambda kite: kite.subscribed() == {INFY: Mode.FULL, SBIN: Mode.FULL}
                )
            await relayed.until_kite(
                lambda kite: kite.subscribed() == {INFY: Mode.QUOTE, SBIN: Mode.LTP}
            )
            await first.ask("unsubscribe", [SBIN])
            await relayed.until_kite(lambda kite: kite.subscribed() == {INFY: Mode.QUOTE})


async def test_what_others_change_meanwhile_stays_theirs(relaying: Any) -> None:
    async with relaying() as relayed:
        async with relayed.client() as client:
            await subscribe(client, "quote", INFY)
            await relayed.until_kite(lambda kite: kite.subscribed() == {INFY: Mode.QUOTE})
            relayed.manager.subscribe([INFY, SBIN], Mode.FULL)
            relayed.manager.unsubscribe([SBIN])
            await relayed.until_kite(lambda kite: kite.subscribed() == {INFY: Mode.FULL})
            relayed.manager.set_mode([INFY], Mode.LTP)  # less than the client wants
            await relayed.until_kite(lambda kite: kite.subscribed() == {INFY: Mode.QUOTE})
        await relayed.until_kite(lambda kite: kite.subscribed() == {INFY: Mode.LTP})


async def test_beyond_what_the_source_has_room_for_the_client_is_told(relaying: Any) -> None:
    limits = Limits(connections=1, instruments_per_connection=2)
    async with relaying(limits=limits) as relayed, relayed.client() as client:
        await subscribe(client, "full", INFY, SBIN, NIFTY)
        while (text := await client.text())["type"] != "error":
            pass
        assert text["data"] == "Can't subscribe to 1 more instruments: no room"
        assert len(await packets(client, 2)) == 2
        await relayed.until_kite(lambda kite: len(kite.subscribed()) == 2)


async def test_orders_go_to_those_allowed_and_once(relaying: Any) -> None:
    async with relaying() as relayed:
        trader = relayed.tokens.add("trader", orders=True).reveal()
        async with relayed.client() as reader, relayed.client("trader", trader) as allowed:
            await subscribe(reader, "ltp", INFY)
            await packets(reader, 1)
            relayed.kite.order_update(tag="first")
            relayed.kite.send('{"type":"message","data":"margin call"}')
            relayed.kite.order_update(tag="second")
            texts = [await next_text(allowed) for _ in range(3)]
            assert [text["data"] for text in texts[1:2]] == ["margin call"]
            assert [texts[0]["data"]["tag"], texts[2]["data"]["tag"]] == ["first", "second"]
            relayed.kite.step()
            while isinstance(message := await reader.receive(), str):
                assert json.loads(message)["type"] in {"instruments_meta", "app_code"}
            assert split(message) == [(INFY, "ltp")]


async def next_text(client: Client) -> dict[str, Any]:
    while (text := await client.text())["type"] in {"instruments_meta", "app_code"}:
        pass
    return text


async def test_heartbeats_come_when_nothing_else_does(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        relayed.kite.pause_market()
        assert await client.heartbeat() == b"\x00"


async def test_a_loss_upstream_is_told_to_whom_it_concerns(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as one, relayed.client() as other:
        await subscribe(one, "full", INFY, SBIN)
        await packets(one, 2)
        await subscribe(other, "ltp", NIFTY)
        await packets(other, 1)
        relayed.kite.abort()
        gap = await next_text(one)
        assert gap["type"] == "gap"
        assert sorted(gap["data"]["instrument_tokens"]) == [INFY, SBIN]
        assert "1006" in gap["data"]["reason"]
        assert (await next_text(other))["data"]["instrument_tokens"] == [NIFTY]
        # connected again, the source gets its cached values again, and so do clients
        seen: set[tuple[int, str]] = set()
        async with asyncio.timeout(PATIENCE):
            while not {(INFY, "full"), (SBIN, "full")} <= seen:  # in quote first, perhaps
                seen.update(await packets(one, 1))
        assert await packets(other, 1) == [(NIFTY, "ltp")]
        relayed.kite.step()
        assert await packets(other, 1) == [(NIFTY, "ltp")]


async def test_a_client_that_reads_nothing_is_dropped_and_the_others_go_on(relaying: Any) -> None:
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
        relayed.relay.clients()[0].too_slow()
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


async def test_bytes_that_are_no_websocket_hurt_nobody(relaying: Any) -> None:
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


async def test_what_upstream_sends_malformed_is_not_passed_on(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        await subscribe(client, "ltp", INFY)
        await packets(client, 1)
        good = bytes.fromhex("0008 00063a01 00026683")
        relayed.kite.send(bytes.fromhex("0002 0003 010203") + good)
        assert split(await next_packets(client)) == [(INFY, "ltp")]


async def test_only_who_has_a_token_is_let_in(relaying: Any) -> None:
    async with relaying() as relayed:
        for name, token in (("laptop", "wrong"), ("desktop", relayed.token), ("", "")):
            with pytest.raises(InvalidStatus) as caught:
                async with relayed.client(name, token):
                    pass
            assert caught.value.response.status_code == (403 if name else 400)


async def test_a_revoked_token_ends_its_clients_and_nobody_elses(relaying: Any) -> None:
    async with relaying() as relayed:
        other = relayed.tokens.add("other").reveal()
        async with relayed.client() as client, relayed.client("other", other) as stays:
            RelayTokens(relayed.tokens.folder).revoke("laptop")  # as another process does
            assert await closed(client) == (1008, "the token was revoked")
            with pytest.raises(InvalidStatus):
                async with relayed.client():
                    pass
            await stays.heartbeat()


async def test_no_token_is_in_what_is_written_anywhere(
    relaying: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "kitepolars")
    async with relaying() as relayed:
        async with relayed.client() as client:
            await client.heartbeat()
        with pytest.raises(InvalidStatus):
            async with relayed.client("laptop", relayed.token + "x"):
                pass
        await until(lambda: any("disconnected" in line for line in relayed.events()))
        shown = [repr(relayed.relay), *relayed.events(), caplog.text]
        shown.append((tmp_path / TOKENS).read_text())
        for secret in (relayed.token, "canary5e3d9"):
            assert all(secret not in text for text in shown)


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
