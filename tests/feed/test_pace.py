"""Small messages of a steady stream are read together, but nobody who asks waits for them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from kitepolars.feed.account import Account
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.connection import Connection, open_connection
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.pace import ENOUGH, IS_SUPPORTED, SMOOTHED, ReadPace
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.source import Messages, Record
from kitepolars.wire.layouts import Mode
from kitepolars.wire.stream import RawMessages
from patience import PATIENCE

if TYPE_CHECKING:
    from feed.conftest import Peer, Serve

BINARY = 2
ACCOUNT = Account("main", "key", "token")
POLICY = ReconnectPolicy(silence=PATIENCE, connect_timeout=60.0)
FOREVER = 3_600.0
HELD_AFTER = 2 * SMOOTHED - 2
"""Messages after which a socket is held back, if they come in no time."""
CERTIFY = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-days", "2", "-subj", "/CN=feed", "-addext", "subjectAltName=IP:127.0.0.1"),
)
"""Makes a key and its certificate."""

pytestmark = pytest.mark.skipif(not IS_SUPPORTED, reason="the system reports every byte at once")


@dataclass
class Line:
    """A server that sends what it is told, and what a client of it has heard."""

    messages: list[bytes] = field(default_factory=list)
    peer: asyncio.Future[Peer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    came: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def script(self, peer: Peer) -> None:
        self.peer.set_result(peer)
        await self.ending.wait()

    def binary(self, _: int, messages: RawMessages) -> None:
        self.messages += messages
        self.came.set()

    def text(self, received_at: int, text: str) -> None:
        raise AssertionError((received_at, text))

    async def send(self, data: bytes) -> None:
        """Send a message; when this returns, it has arrived at this machine."""
        peer = await self.peer
        peer.send(BINARY, data)
        await peer.writer.drain()
        for _ in range(5):  # turns of the loop, in which it would be read
            await asyncio.sleep(0)

    async def heard(self, last: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.messages[-1:] != [last]:
                self.came.clear()
                await self.came.wait()


async def opened(
    serve: Serve, pace: ReadPace, tls: ssl.SSLContext | None = None
) -> tuple[Line, Connection]:
    """Return a connection that is held back, because it has read often in a short time."""
    line = Line()
    url = (await serve(line.script, tls=tls)).url
    connection = await open_connection(url, ACCOUNT, line, POLICY, FeedClock(), pace=pace)
    assert isinstance(connection, Connection), connection
    await until_held(line)
    return line, connection


async def until_held(line: Line) -> None:
    """Send one message after the other, until their average interval is short."""
    for number in range(HELD_AFTER):
        await line.send(b"%d!" % number)
        await line.heard(b"%d!" % number)
    line.messages.clear()


async def test_small_reads_in_quick_succession_wait_until_they_are_released(serve: Serve) -> None:
    pace = ReadPace(FOREVER)
    line, connection = await opened(serve, pace)
    await line.send(b"three")
    await line.send(b"four")
    assert line.messages == []
    assert pace.release()
    await line.heard(b"four")
    assert not ReadPace(FOREVER).release()
    line.ending.set()
    await connection.shut()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return the server's side of TLS, with a certificate that clients of this test trust."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [*CERTIFY, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_encrypted_reads_wait_and_are_released_alike(
    serve: Serve, tls: ssl.SSLContext
) -> None:
    pace = ReadPace(FOREVER)
    line, connection = await opened(serve, pace, tls)
    await line.send(b"three")
    await line.send(b"four")
    assert line.messages == []
    assert pace.release()
    await line.heard(b"four")
    line.ending.set()
    await connection.shut()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_a_large_encrypted_message_comes_whole(serve: Serve, tls: ssl.SSLContext) -> None:
    line, connection = await opened(serve, ReadPace(0.01), tls)
    large = bytes(20 * ENOUGH + 1)
    await line.send(large)
    await line.heard(large)
    line.ending.set()
    await connection.shut()


async def test_without_an_interval_everything_is_read_at_once(serve: Serve) -> None:
    pace = ReadPace()
    line, connection = await opened(serve, pace)
    await line.send(b"three")
    await line.heard(b"three")
    assert not pace.release()
    line.ending.set()
    await connection.shut()


async def test_what_waits_is_read_after_the_interval(serve: Serve) -> None:
    line, connection = await opened(serve, ReadPace(0.01))
    for message in (b"three", b"four", b"five"):
        await line.send(message)
    await line.heard(b"five")
    line.ending.set()
    await connection.shut()


async def test_much_data_is_read_at_once(serve: Serve) -> None:
    line, connection = await opened(serve, ReadPace(FOREVER))
    await line.send(bytes(ENOUGH))
    await line.heard(bytes(ENOUGH))
    line.ending.set()
    await connection.shut()


async def test_the_end_of_a_connection_is_noticed_at_once_and_with_what_came_before(
    serve: Serve,
) -> None:
    line, connection = await opened(serve, ReadPace(FOREVER))
    await line.send(b"last")
    line.ending.set()
    async with asyncio.timeout(PATIENCE):
        await connection.ended()
    assert line.messages == [b"last"]


async def test_a_socket_that_was_closed_meanwhile_is_let_go(serve: Serve) -> None:
    pace = ReadPace(FOREVER)
    line, connection = await opened(serve, pace)
    line.ending.set()
    await connection.shut()
    assert pace.release()
    assert not pace.release()


async def test_a_manager_reads_what_has_arrived_before_it_goes_on(serve: Serve) -> None:
    line = Line()

    class Sink:
        def take(self, record: Record) -> None:
            if isinstance(record, Messages):
                line.messages += record.messages
                line.came.set()

    url = (await serve(line.script)).url
    manager = TickerManager([ACCOUNT], sink=Sink(), url=url, read_interval=FOREVER)
    manager.subscribe([408065], Mode.FULL)
    await manager.start()
    await until_held(line)
    await line.send(b"three")
    assert line.messages == []
    assert await caught_up(manager, lambda: line.messages[-1]) == b"three"
    line.ending.set()
    await manager.stop()
    assert await caught_up(manager, lambda: "nothing waits") == "nothing waits"


async def caught_up(manager: TickerManager, function: Callable[[], object]) -> object:
    """Return what a function says when the manager has caught up."""
    result: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    manager.catch_up(lambda: result.set_result(function()))
    async with asyncio.timeout(PATIENCE):
        return await result


def test_a_loop_that_shows_no_socket_has_every_read_at_once() -> None:
    pace = ReadPace(FOREVER)
    for read_at in range(2 * SMOOTHED):
        pace.after_read(None, 1, read_at)
    assert not pace.release()


class Marks:
    """Stands for a socket, and remembers its low-water marks."""

    def __init__(self) -> None:
        self.marks: list[int] = []

    def setsockopt(self, *option: int) -> None:
        self.marks.append(option[-1])


async def test_messages_that_come_slowly_are_never_held_back() -> None:
    pace, connection = ReadPace(0.01), Marks()
    for number in range(100):
        # Every 5.5 ms on average, as in a market with many packets a message, but unevenly.
        at = 5_500 * number + (2_000 if number % 2 else 0)
        pace.after_read(cast("TransportSocket", connection), 1, at)
    assert connection.marks == []
    for number in range(2 * SMOOTHED):
        pace.after_read(cast("TransportSocket", connection), 1, at + 900 * number)
    assert connection.marks == [ENOUGH]
    pace.release()
    assert connection.marks == [ENOUGH, 1]


async def test_messages_that_were_combined_still_count_one_by_one() -> None:
    pace, connection = ReadPace(0.01), Marks()
    for number in range(100):
        pace.after_read(cast("TransportSocket", connection), 10, 10_000 * number)
        pace.release()
    assert connection.marks[-2:] == [ENOUGH, 1]
