"""A manager against the simulated Kite, and a bare TCP server for what no Kite would do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from dataclasses import dataclass, field
from typing import Any

import pytest

from kitepolars.feed.account import Account
from kitepolars.feed.connection import LATE
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.sim import SimulatedKite
from kitepolars.source import (
    ClockMoved,
    ConnectionState,
    Messages,
    Record,
    SnapshotsExpected,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE

TURN = LATE * 0.8
"""Seconds between two turns of a loop that is not late."""
QUICK = ReconnectPolicy(initial_delay=0.02, max_delay=0.2, silence=60.0, connect_timeout=60.0)
TOKEN = "t0p-s3cr3t/token+="
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Kite(SimulatedKite):
    """The simulator, with what these tests ask of it on the event loop."""

    async def happens(self, predicate: Callable[[SimulatedKite], object]) -> None:
        """Wait, without blocking the loop, until something holds on the simulator's side."""
        await asyncio.to_thread(self.wait_for, predicate, PATIENCE)

    def listed(self, count: int) -> list[int]:
        """Return some tokens that tick."""
        return [int(token) for token in self.instruments.instrument_token[:count]]


@dataclass
class RecordingSink:
    """Keeps what it receives, and wakes waiters."""

    pulse: asyncio.Event = field(default_factory=asyncio.Event)
    received: list[tuple[int, int, bytes]] = field(default_factory=list)
    expected: list[int] = field(default_factory=list)
    unsubscribed: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)

    def take(self, record: Record) -> None:
        if isinstance(record, Messages):
            at, connection, messages = record
            self.received += ((at, connection, data) for data in messages)
        elif isinstance(record, SnapshotsExpected):
            self.expected.extend(record.instrument_tokens)
        elif isinstance(record, Unsubscribed):
            self.unsubscribed.extend(record.instrument_tokens)
        elif isinstance(record, ClockMoved):
            self.moved.append(record.microseconds)
        self.pulse.set()


@dataclass
class Rig:
    """A manager with a recording sink, and a way to wait for what it does."""

    manager: TickerManager
    sink: RecordingSink

    def __post_init__(self) -> None:
        self.manager.on_event(lambda _: self.sink.pulse.set())
        self.manager.on_state(lambda _: self.sink.pulse.set())
        self.manager.on_order(lambda _: self.sink.pulse.set())

    async def streaming(self, kite: Kite, count: int, mode: Mode = Mode.FULL) -> list[int]:
        """Start, subscribe, and wait until every connection that is needed delivers."""
        tokens = kite.listed(count)
        self.manager.subscribe(tokens, mode)
        await self.manager.start()
        await self.until(lambda: all(status.messages for status in self.manager.connections()))
        await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, mode))
        return tokens

    async def until(self, predicate: Callable[[], object]) -> None:
        """Wait until a predicate holds; looked at again whenever the feed does something."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not predicate():
                    self.sink.pulse.clear()
                    await self.sink.pulse.wait()
        except TimeoutError:
            events = "\n".join(map(str, self.manager.events()))
            pytest.fail(f"it did not happen: {self.manager.stats()}\n{events}")

    def states(self) -> list[ConnectionState]:
        return [status.state for status in self.manager.connections()]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.manager.events()]

    def count(self, kind: str) -> int:
        return self.kinds().count(kind)


MakeRig = Callable[..., Rig]


@pytest.fixture
def kite() -> Iterator[Kite]:
    with Kite(interval=0.05, rate=20) as running:
        yield running


@pytest.fixture
def quiet_kite() -> Iterator[Kite]:
    """A Kite that sends heartbeats and nothing else."""
    with Kite(rate=0, heartbeat=0.05, interval=0.05) as running:
        yield running


@pytest.fixture
def narrow_kite() -> Iterator[Kite]:
    """A Kite that has room for two connections of an API key."""
    with Kite(connections=2) as running:
        yield running


@dataclass
class Clock:
    """The event loop's time, which a test lets pass at once."""

    ahead: float = 0.0

    def jump(self, seconds: float) -> None:
        """Let the loop stand still for so long."""
        self.ahead += seconds

    async def run(self, seconds: float, turn: float = TURN) -> None:
        """Let time pass on a loop that turns often enough."""
        for _ in range(round(seconds / turn)):
            self.ahead += turn
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    loop, clock = asyncio.get_running_loop(), Clock()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + clock.ahead)
    return clock


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
async def make_rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeRig]:
    # However slow the machine is, a handshake under way does not count as one that hangs.
    monkeypatch.setattr("kitepolars.feed.accounts.GATE_PATIENCE", PATIENCE)
    rigs: list[Rig] = []

    def make(url: str, *accounts: Account, **settings: Any) -> Rig:
        sink = RecordingSink()
        accounts = accounts or (Account("main", "my_api_key", TOKEN),)
        settings.setdefault("reconnect", QUICK)
        rigs.append(Rig(TickerManager(accounts, sink=sink, url=url, **settings), sink))
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.manager.stop()


@dataclass
class Peer:
    """The server's end of a bare connection: it says what the script has it say."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, opcode: int, data: bytes, *, fin: bool = True) -> None:
        """Send a frame."""
        length = len(data)
        head = bytes([opcode | (0x80 if fin else 0)])
        if length < 126:
            size = bytes([length])
        elif length < 65_536:
            size = b"\x7e" + length.to_bytes(2, "big")
        else:
            size = b"\x7f" + length.to_bytes(8, "big")
        self.writer.write(head + size + data)

    async def trickle(self, pieces: Iterable[bytes], every: float = 0.05) -> None:
        """Send bytes with pauses, until there are no more or the client has gone."""
        gone = asyncio.create_task(self.gone())
        for piece in pieces:
            self.writer.write(piece)
            if (await asyncio.wait([gone], timeout=every))[0]:
                break
        await gone

    async def gone(self) -> None:
        """Wait until the client has gone."""
        while await self.reader.read(65_536):
            pass


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Bare:
    """A TCP server that answers the handshake and then does as a script says."""

    url: str = ""
    handshakes: int = 0


Serve = Callable[..., Awaitable[Bare]]
"""A script, and for TLS the server's side of it (`tls`) → the server."""


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[Any]] = set()

    async def start(script: Script, tls: ssl.SSLContext | None = None) -> Bare:
        bare = Bare()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
                bare.handshakes += 1
                await script(Peer(reader, writer))
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client has gone, or the test is over
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        host, port = server.sockets[0].getsockname()
        bare.url = f"{'wss' if tls else 'ws'}://{host}:{port}/"
        return bare

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def answer(request: bytes) -> bytes:
    """Accept a WebSocket handshake."""
    lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
    key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
    digest = base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
    )
