"""kiteconnect 5.2.2, unchanged, takes the simulator for Kite and reads the right values."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from kitepolars.sim import SimulatedKite
from kitepolars.wire.layouts import SEGMENT_MASK, SEGMENTS
from patience import PATIENCE

SCRIPT: Final = Path(__file__).with_name("official_client.py")
INFY, RELIANCE, SBIN, NIFTY, BANK, VIX = 408065, 738561, 779521, 256265, 260105, 264969
NOW: Final = 1_795_494_600.0
"""A day on which the contracts named here are listed: 24 November 2026, 10:00 in India."""
DEPTH: Final = {"buy": "bid", "sell": "ask"}
PLAIN: Final = (
    "last_traded_quantity",
    "volume_traded",
    "total_buy_quantity",
    "total_sell_quantity",
)
FULL: Final = ("oi", "oi_day_high", "oi_day_low", "last_trade_time", "exchange_timestamp")


async def run_client(kite: SimulatedKite, access_token: str, wanted: dict[str, list[int]]) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        f"ws://127.0.0.1:{kite.port}",
        "key",
        access_token,
        json.dumps(wanted),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if access_token != "expired":
            tokens = {token for tokens in wanted.values() for token in tokens}
            modes = {token: mode for mode, tokens in wanted.items() for token in tokens}
            await asyncio.to_thread(
                kite.wait_for, lambda kite: kite.subscribed() == modes, PATIENCE
            )
            await asyncio.to_thread(
                kite.wait_for, lambda kite: kite.packets_sent >= len(tokens), PATIENCE
            )
            kite.step()
            kite.order_update(status="COMPLETE", tag="official")
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return json.loads(output)


async def test_the_official_client_reads_what_the_market_has() -> None:
    assert version("kiteconnect") == "5.2.2"
    with SimulatedKite(rate=0, clock=lambda: NOW) as kite:
        find = kite.instruments.find
        dollar = find("CDS", "USDINR27MARFUT").instrument_token
        brent = find("NCO", "BRCRUDEOIL27JANFUT").instrument_token
        option = next(
            row.instrument_token
            for row in kite.instruments.listings
            if row.segment == "NFO-OPT" and row.name == "BANKNIFTY"
        )
        wanted = {
            "ltp": [RELIANCE, VIX],
            "quote": [SBIN, BANK],
            "full": [INFY, NIFTY, dollar, brent, option],
        }
        seen = await run_client(kite, "token", wanted)
        expected = {token: kite.last_values(token) for mode in wanted for token in wanted[mode]}

    assert seen["errors"] == []
    assert seen["orders"][0]["tag"] == "official"
    assert len(seen["ticks"]) == 9
    for token, values in expected.items():
        check(seen["ticks"][str(token)], token, values)


def check(tick: dict[str, Any], token: int, values: dict[str, Any]) -> None:
    divisor = SEGMENTS[token & SEGMENT_MASK].divisor
    assert tick["tradable"] == SEGMENTS[token & SEGMENT_MASK].tradable
    assert tick["last_price"] == values["last_price"] / divisor
    if tick["mode"] == "ltp":
        return
    assert tick["ohlc"] == {
        field: values[field] / divisor for field in ("open", "high", "low", "close")
    }
    if tick["tradable"]:
        assert tick["average_traded_price"] == values["average_traded_price"] / divisor
        assert {field: tick[field] for field in PLAIN} == {field: values[field] for field in PLAIN}
    if tick["mode"] == "full":
        assert tick["exchange_timestamp"] == values["exchange_timestamp"]
    if tick["mode"] == "full" and tick["tradable"]:
        assert {field: tick[field] for field in FULL} == {field: values[field] for field in FULL}
        for side, prefix in DEPTH.items():
            levels = zip(
                values[f"{prefix}_quantity"],
                values[f"{prefix}_price"],
                values[f"{prefix}_orders"],
                strict=True,
            )
            assert tick["depth"][side] == [
                {"quantity": quantity, "price": price / divisor, "orders": orders}
                for quantity, price, orders in levels
            ]


async def test_the_official_client_is_refused_with_an_expired_token() -> None:
    with SimulatedKite(rate=0) as kite:
        seen = await run_client(kite, "expired", {"full": [INFY]})

        assert "403" in seen["errors"][0]
        assert [handshake.status for handshake in kite.handshakes] == [403]
