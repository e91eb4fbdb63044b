"""Measures the stages of a tick: socket, message, split, decode, append, snapshot.

Processor time of the thread concerned. The first two stages are the difference between a client
that only counts bytes, and one that receives WebSocket messages and drops them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import filling
import harness
import messages
from firehose import Firehose, Workload
from kitepolars.feed.account import Account
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.connection import Connection, open_connection
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.buffers import TickBuffer
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.wire.decode import decode
from kitepolars.wire.layouts import COUNT, FULL
from kitepolars.wire.scan import Scanner
from kitepolars.wire.stream import RawMessages
from timing import best_of

RATE: Final = 400_000
"""Ticks per second while sockets are measured: far above a market, below saturation."""

SINGLES_RATE: Final = 100_000
"""The same with one packet a message: the server makes no more than some hundred thousand."""


class _Sized(Protocol):
    """Counts bytes."""

    size: int


Connect = Callable[[str], Awaitable[tuple[_Sized, Callable[[], None]]]]
"""URL → a counter of bytes, and a function that ends the connection."""


class _Counter:
    """Counts and drops messages."""

    def __init__(self) -> None:
        self.size = 0

    def binary(self, received_at: int, messages: RawMessages) -> None:
        assert received_at
        self.size += messages.size

    def text(self, received_at: int, text: str) -> None:
        raise AssertionError(f"a text at {received_at}: {text}")


class _Bytes(asyncio.Protocol):
    """Sends the opening handshake, then only counts bytes."""

    def __init__(self) -> None:
        self.size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        self.size += len(data)


async def _raw(url: str) -> tuple[_Sized, Callable[[], None]]:
    host, _, port = url.removeprefix("ws://").rstrip("/").partition(":")
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Bytes, host, int(port))
    return protocol, transport.abort


async def _websocket(url: str) -> tuple[_Sized, Callable[[], None]]:
    counter = _Counter()
    account = Account("benchmark", "key", "token")
    connection = await open_connection(url, account, counter, ReconnectPolicy(), FeedClock())
    assert isinstance(connection, Connection), connection
    return counter, connection.transport.abort


def measure(results: harness.Results) -> None:
    """Measure each stage and its share."""
    seconds = 2.0 if results.quick else 5.0
    socket = asyncio.run(_received(_raw, Workload(seconds=seconds, rate=RATE)))
    through_message = asyncio.run(_received(_websocket, Workload(seconds=seconds, rate=RATE)))
    singles = Workload(seconds=seconds, rate=SINGLES_RATE, packets=1)
    results.series["singles"] = {
        "socket": asyncio.run(_received(_raw, singles)),
        "message": asyncio.run(_received(_websocket, singles)),
    }
    timings = _in_memory(5 if results.quick else 15)
    stages = {
        "socket": socket,
        "message": max(0.0, through_message - socket),
        "split": timings["split"],
        "decode": timings["decode"] - timings["split"],
        "append": timings["pipeline"] - timings["decode"],
        "snapshot": timings["snapshot"],
    }
    total = sum(stages.values())
    for stage, nanoseconds in stages.items():
        results.add(
            f"A tick's way: {stage}",
            100 * nanoseconds / total,
            form="{:.0f} %",
            note=f"{nanoseconds:,.0f} ns of processor time",
        )
    results.series["stages"] = stages


async def _received(connect: Connect, workload: Workload) -> float:
    """Return nanoseconds of processor time of this thread per tick received."""
    tick_bytes = COUNT.itemsize / workload.packets + FULL.framed_dtype.itemsize
    with Firehose() as server:
        counter, abort = await connect(server.url)
        await asyncio.sleep(0.2)
        server.begin(workload)
        loop = asyncio.get_running_loop()
        ended = loop.run_in_executor(None, server.sent)
        await asyncio.sleep(0.5)
        cpu, size = time.thread_time(), counter.size
        await asyncio.sleep(workload.seconds - 1.0)
        cpu, size = time.thread_time() - cpu, counter.size - size
        sent = await ended
        await asyncio.sleep(0.2)
        assert counter.size >= sum(sent) * tick_bytes, "bytes are missing"
        abort()
    return 1e9 * cpu / (size / tick_bytes)


def _in_memory(repeats: int) -> dict[str, float]:
    """Return nanoseconds per tick of split, of split and decode, of the pipeline, and of frames."""
    source = filling.batch_messages()
    sent = [message for _ in range(100) for message in source.round()]
    size = math.ceil(Flush().max_bytes / len(sent[0]))
    batches = [sent[first : first + size] for first in range(0, len(sent), size)]
    scanner, buffer = Scanner(), TickBuffer(size * messages.PACKETS)
    pipelines: list[Pipeline] = []

    def renew() -> None:
        pipelines[:] = [filling.within_loop(filling.settled_pipeline)]

    def decode_all() -> int:
        done = 0
        for batch in batches:
            packets = scanner.scan(batch)
            decode(packets, 0, len(packets), buffer.target, 0)
            done += len(packets)
        return done

    def snapshot() -> int:
        """Make frames: one per 18,000 ticks, as once per second in a market."""
        return filling.RATE * sum(held.frame().height > 0 for _ in range(50))

    renew()
    filling.within_loop(lambda: filling.feed(pipelines[0], sent))
    held = pipelines[0].store.held
    timings = best_of(
        {
            "split": lambda: sum(len(scanner.scan(batch)) for batch in batches),
            "decode": decode_all,
            "pipeline": lambda: filling.within_loop(lambda: filling.feed(pipelines[0], sent)),
            "snapshot": snapshot,
        },
        repeats=repeats,
        prepare={"pipeline": renew},
    )
    return {name: 1e9 * timing.cpu for name, timing in timings.items()}


if __name__ == "__main__":
    harness.main("stages", measure, __doc__)
