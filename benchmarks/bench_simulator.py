"""Measures the simulator: 9,000 instruments in full mode at 2 packets per second each.

The processor share of its process, without the clients, and the packets received.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime

from websockets.asyncio.client import connect

import harness
from kitepolars.process import ServerProcess
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import day_of

INSTRUMENTS = 9_000
RATE = 2.0
CONNECTIONS = 3
SETTLING = 2.0


class Received:
    """What the clients have received so far."""

    packets = 0
    size = 0


async def drain(url: str, tokens: list[int], received: Received) -> None:
    """Subscribe in full mode, then read forever."""
    credentials = "?api_key=key&access_token=token"
    async with connect(url + credentials, proxy=None, max_size=None) as socket:
        await socket.send(json.dumps({"a": "subscribe", "v": tokens}))
        await socket.send(json.dumps({"a": "mode", "v": ["full", tokens]}))
        async for message in socket:
            if isinstance(message, bytes) and len(message) > 1:
                received.packets += int.from_bytes(message[:2])
                received.size += len(message)


async def load(url: str, instruments: int, seconds: float) -> Received:
    """Read for some seconds; return what was received."""
    today = day_of(datetime.now(UTC).timestamp())
    tokens = generate_instruments(on=today).instrument_token[:instruments].tolist()
    received = Received()
    clients = [
        asyncio.create_task(drain(url, tokens[slot::CONNECTIONS], received))
        for slot in range(CONNECTIONS)
    ]
    await asyncio.sleep(SETTLING)
    received.packets = received.size = 0
    await asyncio.sleep(seconds)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return received


def cpu_of_children() -> float:
    """Return the processor seconds of child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def run(instruments: int, rate: float, seconds: float) -> tuple[float, Received]:
    """Return the processor seconds of a simulator from start to end, and what was received."""
    before = cpu_of_children()
    with ServerProcess("kitepolars.sim", "--rate", str(rate)) as simulator:
        received = asyncio.run(load(simulator.url, instruments, seconds))
    return cpu_of_children() - before, received


def measure(results: harness.Results) -> None:
    """Measure a long and a short run; the difference excludes start and settling."""
    seconds = 4.0 if results.quick else 10.0
    short, _ = run(INSTRUMENTS, RATE, 0.0)
    long, received = run(INSTRUMENTS, RATE, seconds)
    rate = received.packets / seconds
    assert 0.8 < rate / (INSTRUMENTS * RATE) < 1.2, f"{rate:,.0f} packets/s"
    results.add(
        "Simulated Kite: 9,000 instruments in full mode at 2/s",
        100 * (long - short) / seconds,
        form="{:.1f} % of a core",
        note=f"{rate:,.0f} packets/s, {received.size / seconds / 1e6:.2f} MB/s; "
        f"{long:.2f} s of processor time from start to end",
    )


if __name__ == "__main__":
    harness.main("simulator", measure, __doc__)
