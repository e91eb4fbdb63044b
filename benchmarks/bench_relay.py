"""Measures the relay: a hundred clients at the load of a market, and the delay of their ticks.

The simulated Kite, the recorder and the relay are processes of their own; all clients are in this
one, and read without looking, but for one that compares with a direct connection.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import psutil

import harness
import kitepolars as kp
import messages
from kitepolars.feed.account import Account
from kitepolars.process import ServerProcess
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.relay import RelayTokens
from kitepolars.wire.control import set_mode, subscribe
from kitepolars.wire.stream import StreamWalker
from kitepolars.wire.views import packets

PER_INSTRUMENT = 2.0
SETTLING = 6.0
"""Seconds for the cached values after subscribing, and for the first memory."""

CLIENTS = 100
COMPARED = 40
"""Instruments by which the relay is compared with a direct connection."""


class Load(NamedTuple):
    """What the clients want: how many instruments each, in which mode, the same or different."""

    what: str
    instruments: int
    mode: kp.Mode
    are_same: bool


class Sides(NamedTuple):
    """The URLs of exchange and relay, a token of the relay, and the processes in between."""

    exchange: str
    relay: str
    token: str
    recording: psutil.Process
    relaying: psutil.Process


LOADS = (
    Load("all 9,000 in full mode", messages.INSTRUMENTS, kp.Mode.FULL, are_same=True),
    Load("300 each in quote mode, all different", 300, kp.Mode.QUOTE, are_same=False),
)


class Reader(asyncio.Protocol):
    """A client that counts what it gets, and keeps when each packet of some instruments came."""

    def __init__(self, target: str, requests: Sequence[str], *, keeps: bool) -> None:
        self.bytes = 0
        self.seen: dict[bytes, float] = {}
        self.is_closed = False
        self._target = target
        self._requests = requests
        self._walker = StreamWalker(2**24) if keeps else None
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._target} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count, and keep what is compared."""
        now = time.perf_counter()
        if not self._is_open:
            assert b" 101 " in data, data[:80]
            self._is_open = True
            data = data.partition(b"\r\n\r\n")[2]
            for request in self._requests:
                self.transport.write(masked(request.encode()))
        self.bytes += len(data)
        for part in self._walker.feed(data) if self._walker and data else ():
            for message in () if isinstance(part, bytes) else part:
                for run in packets(message):
                    for packet in run.packets:
                        self.seen.setdefault(packet.tobytes(), now)

    def connection_lost(self, _: Exception | None) -> None:
        """Take note."""
        self.is_closed = True


def masked(text: bytes) -> bytes:
    """Return a text as the frame that a client sends, masked with zeros."""
    size = len(text)
    head = (
        bytes((0x81, 0xFE)) + size.to_bytes(2)
        if size < 2**16
        else (bytes((0x81, 0xFF)) + size.to_bytes(8))
    )
    return head + bytes(4) + text


async def connect(
    url: str, name: str, token: str, tokens: list[int], mode: kp.Mode, *, keeps: bool = False
) -> Reader:
    """Connect a client."""
    parts = urlsplit(url)
    target = f"/?api_key={name}&access_token={token}"
    requests = [subscribe(tokens), set_mode(mode, tokens)]
    _, reader = await asyncio.get_running_loop().create_connection(
        lambda: Reader(target, requests, keeps=keeps), parts.hostname or "", parts.port or 0
    )
    return reader


@contextmanager
def relay(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run the command; yield its URL and its process."""
    command = [sys.executable, "-m", "kitepolars", "relay", "--out", str(folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        yield running.stdout.readline().strip(), psutil.Process(running.pid)
        running.terminate()


def measure(results: harness.Results) -> None:
    """Measure each load."""
    seconds = 5.0 if results.quick else 20.0
    for load in LOADS:
        with (
            tempfile.TemporaryDirectory() as name,
            ServerProcess("kitepolars.sim", "--rate", str(PER_INSTRUMENT)) as exchange,
        ):
            folder = Path(name) / "ticks"
            wanted = dict.fromkeys(messages.tokens(), kp.Mode.FULL)
            request = Request(url=exchange.url, subscriptions=wanted)
            recorder = launch(folder, [Account("benchmark", "benchmark", "benchmark")], request)
            try:
                token = RelayTokens(folder).add("client").reveal()
                with relay(folder) as (url, process):
                    feed = psutil.Process(recorder.ask("status")["pid"])
                    sides = Sides(exchange.url, url, token, feed, process)
                    asyncio.run(_load(results, load, sides, seconds))
            finally:
                recorder.ask("stop")


async def _load(results: harness.Results, load: Load, sides: Sides, seconds: float) -> None:
    tokens = messages.tokens()
    compared = tokens[:COMPARED]
    direct = await connect(sides.exchange, "other", "other", compared, kp.Mode.FULL, keeps=True)
    relayed = await connect(sides.relay, "client", sides.token, compared, kp.Mode.FULL, keeps=True)
    clients = []
    for number in range(CLIENTS - 1):
        first = 0 if load.are_same else number * (len(tokens) - load.instruments) // CLIENTS
        own = tokens[first : first + load.instruments]
        clients.append(await connect(sides.relay, "client", sides.token, own, load.mode))
    await asyncio.sleep(SETTLING)
    direct.seen.clear()
    relayed.seen.clear()
    received = sum(client.bytes for client in clients)
    process, feed = sides.relaying, sides.recording
    before, recording, begin = process.cpu_times(), feed.cpu_times(), time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - begin
    after, recorded = process.cpu_times(), feed.cpu_times()
    received = sum(client.bytes for client in clients) - received
    await asyncio.sleep(1)
    assert not any(client.is_closed for client in [*clients, relayed])
    later = [relayed.seen[one] - at for one, at in direct.seen.items() if one in relayed.seen]
    assert len(later) > 0.8 * len(direct.seen)
    used = after.user + after.system - before.user - before.system
    took = recorded.user + recorded.system - recording.user - recording.system
    what = f"Relay, {CLIENTS} clients, {load.what}"
    results.add(
        f"{what}: processor",
        100 * used / elapsed,
        form="{:.0f} % of a core",
        note=f"{received / elapsed / 1e6:,.0f} MB/s sent; 18,000 full ticks/s received; "
        f"the recorder meanwhile {100 * took / elapsed:.1f} %; "
        f"{process.memory_info().rss / 1e6:.0f} MB",
    )
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        results.add(
            f"{what}: later than a direct connection, {name}",
            float(np.quantile(later, quantile)) * 1000,
            form="{:.1f} ms",
            note=f"{len(later):,} packets",
        )


if __name__ == "__main__":
    harness.main("relay", measure, __doc__)
