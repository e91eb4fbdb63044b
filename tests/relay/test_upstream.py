"""What a relay asks its source for."""

from __future__ import annotations

from typing import Any

from kitepolars.feed.limits import Limits
from kitepolars.wire.layouts import Mode
from relay.conftest import packets, subscribe

INFY, SBIN, NIFTY = 408065, 779521, 256265


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


async def test_subscriptions_of_others_are_kept(relaying: Any) -> None:
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


async def test_subscriptions_beyond_the_room_of_the_source_are_refused(relaying: Any) -> None:
    limits = Limits(connections=1, instruments_per_connection=2)
    async with relaying(limits=limits) as relayed, relayed.client() as client:
        await subscribe(client, "full", INFY, SBIN, NIFTY)
        while (text := await client.text())["type"] != "error":
            pass
        assert text["data"] == "Can't subscribe to 1 more instruments: no room"
        assert len(await packets(client, 2)) == 2
        await relayed.until_kite(lambda kite: len(kite.subscribed()) == 2)
