"""What each client of a relay is sent of what the source delivers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from patience import PATIENCE
from relay.conftest import next_packets, next_text, packets, subscribe
from sim.conftest import split

INFY, SBIN, NIFTY = 408065, 779521, 256265


async def test_each_client_gets_the_packets_it_subscribed(relaying: Any) -> None:
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


async def test_bytes_that_a_client_wants_whole_are_those_that_came(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        taken: list[bytes] = []
        await subscribe(client, "full", INFY, SBIN)
        await packets(client, 2)
        relayed.manager.deliver_to(Messages(taken))
        relayed.kite.step()
        message = await next_packets(client)
        assert [message] == taken


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


async def test_a_late_subscriber_gets_the_last_packet_at_once(relaying: Any) -> None:
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


async def test_an_order_reaches_the_allowed_clients_once(relaying: Any) -> None:
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


async def test_a_loss_is_announced_to_the_clients_of_its_instruments(relaying: Any) -> None:
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


async def test_what_upstream_sends_malformed_is_not_passed_on(relaying: Any) -> None:
    async with relaying() as relayed, relayed.client() as client:
        await subscribe(client, "ltp", INFY)
        await packets(client, 1)
        good = bytes.fromhex("0008 00063a01 00026683")
        relayed.kite.send(bytes.fromhex("0002 0003 010203") + good)
        assert split(await next_packets(client)) == [(INFY, "ltp")]


class Messages:
    """A sink that keeps the bytes of messages."""

    def __init__(self, taken: list[bytes]) -> None:
        self.taken = taken

    def take(self, record: Any) -> None:
        self.taken += getattr(record, "messages", ())
