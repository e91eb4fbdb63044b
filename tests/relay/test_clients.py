"""Real clients of a relay: the official one unchanged, and the package's own."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import kitepolars as kp
from kitepolars.journal.writer import JournalWriter
from kitepolars.wire.layouts import Mode
from patience import PATIENCE
from relay.conftest import NAME, Relayed, until
from sim.test_official_client import SCRIPT, check

INFY, RELIANCE, SBIN, NIFTY, BANK, VIX = 408065, 738561, 779521, 256265, 260105, 264969


async def test_the_official_client_reads_what_the_market_has(relaying: Any) -> None:
    wanted = {"ltp": [RELIANCE, VIX], "quote": [SBIN, BANK], "full": [INFY, NIFTY]}
    modes = {token: mode for mode, tokens in wanted.items() for token in tokens}
    async with relaying() as relayed:
        token = relayed.tokens.add("official", orders=True).reveal()
        host, port = relayed.relay.address
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            f"ws://{host}:{port}",
            "official",
            token,
            json.dumps(wanted),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await relayed.until_kite(lambda kite: kite.subscribed() == modes)
            await relayed.until_kite(lambda kite: kite.packets_sent >= len(modes))
            relayed.kite.step()
            relayed.kite.order_update(status="COMPLETE", tag="official")
            output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        seen = json.loads(output)
        assert seen["errors"] == []
        assert [order["tag"] for order in seen["orders"]] == ["official"]
        assert {int(token): tick["mode"] for token, tick in seen["ticks"].items()} == modes
        for number in modes:
            check(seen["ticks"][str(number)], number, relayed.kite.last_values(number))


@asynccontextmanager
async def ticker_on(
    relayed: Relayed, *instruments: int, mode: str = "full"
) -> AsyncIterator[kp.Ticker]:
    """Run a ticker on a relay, whose loop must not be blocked meanwhile."""
    ticker = kp.Ticker(NAME, relayed.token, url=relayed.relay.url)
    ticker.subscribe(list(instruments), mode=mode)
    await asyncio.to_thread(ticker.start)
    try:
        yield ticker
    finally:
        await asyncio.to_thread(ticker.stop)


async def test_a_ticker_has_the_frame_of_the_source(relaying: Any, tmp_path: Path) -> None:
    async with relaying() as relayed:
        journal = JournalWriter(tmp_path / "journal")
        relayed.manager.deliver_to(journal)
        async with ticker_on(relayed, INFY, SBIN, NIFTY) as ticker:
            await relayed.until_kite(lambda kite: kite.packets_sent >= 3)
            for _ in range(5):
                relayed.kite.step()
            await until(lambda: len(ticker.frame()) == 18)
            mine = ticker.frame()
            await asyncio.to_thread(journal.close)
            theirs = kp.read_journal(tmp_path / "journal").collect()
            ours = [name for name in mine.columns if name not in _OF_THE_TICKER]
            assert mine.select(ours).equals(theirs.select(ours))
            assert mine["is_snapshot"].sum() == 3
            assert ticker.gaps().is_empty()


_OF_THE_TICKER: Final = {"symbol", "received_at", "connection"}
"""Columns that a ticker fills itself."""


async def test_a_loss_upstream_is_a_gap_of_the_ticker(relaying: Any) -> None:
    async with relaying() as relayed, ticker_on(relayed, INFY, SBIN) as ticker:
        await until(lambda: len(ticker.frame()) == 2)
        relayed.kite.abort()
        await until(lambda: len(ticker.frame()) == 4)
        gaps = ticker.gaps()
        assert gaps["instruments"].to_list() == [2]
        assert gaps["waiting"].to_list() == [0]
        assert "1006" in gaps["reason"][0]
        assert gaps["started_at"][0] < gaps["ended_at"][0]
        assert ticker.frame()["is_snapshot"].to_list() == [True] * 4
        relayed.kite.step()
        await until(lambda: len(ticker.frame()) == 6)
        assert ticker.frame()["is_snapshot"].sum() == 4
        assert ticker.stats().reconnects == 0


async def test_who_comes_during_a_loss_learns_of_it(relaying: Any) -> None:
    async with relaying() as relayed:
        relayed.manager.subscribe([INFY], Mode.FULL)
        await relayed.until_kite(lambda kite: kite.packets_sent)
        await until(lambda: relayed.manager.stats().messages)
        relayed.kite.reject(503)
        relayed.kite.abort()
        await until(relayed.manager.gaps)
        async with ticker_on(relayed, INFY) as ticker:
            await until(lambda: len(ticker.gaps()) == 1)
            gap = ticker.gaps().row(0, named=True)
            assert gap["ended_at"] is None
            assert gap["waiting"] == 1
            assert gap["started_at"] < dt.datetime.now(dt.UTC)
            relayed.kite.accept()


async def test_a_ticker_comes_back_when_the_relay_does(relaying: Any) -> None:
    async with relaying() as relayed, ticker_on(relayed, INFY, mode="ltp") as ticker:
        await until(lambda: len(ticker.frame()) == 1)
        for client in relayed.relay._connected():
            client.abort()
        await until(lambda: len(ticker.frame()) == 2)  # the last packet again
        assert ticker.frame()["is_snapshot"].all()
        assert ticker.stats().reconnects == 1
        assert len(ticker.gaps()) == 1
