"""One socket against a server that says what no Kite would."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidProxy, InvalidStatus, InvalidURI
from websockets.http11 import Response

from kitepolars.feed.account import Account
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.connection import PROGRESS, Connection, describe, open_connection
from kitepolars.feed.reconnect import Failure, ReconnectPolicy
from kitepolars.wire.control import MAX_TEXT
from kitepolars.wire.stream import RawMessages
from patience import PATIENCE

if TYPE_CHECKING:
    from feed.conftest import Bare, Clock, Peer, Script, Serve

TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9
ACCOUNT = Account("main", "my_api_key", "t0p-s3cr3t/token")
POLICY = ReconnectPolicy(silence=20.0, connect_timeout=60.0)


@dataclass
class Heard:
    """A receiver that remembers."""

    messages: list[bytes | str] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)

    def binary(self, received_at: int, messages: RawMessages) -> None:
        assert received_at > 0
        self.messages += messages
        self.reads.append(len(messages))

    def text(self, received_at: int, text: str) -> None:
        assert received_at > 0
        self.messages.append(text)


async def connected(bare: Bare, heard: Heard) -> Connection:
    opened = await open_connection(bare.url, ACCOUNT, heard, POLICY, FeedClock())
    assert isinstance(opened, Connection), opened
    return opened


async def life(serve: Serve, script: Script) -> tuple[Heard, str]:
    """Connect, stay until the end, and return what was heard and why it ended."""
    heard = Heard()
    connection = await connected(await serve(script), heard)
    async with asyncio.timeout(PATIENCE):
        failure = await connection.ended()
    assert failure.status is None
    return heard, failure.reason


async def test_messages_arrive_whole_and_in_order(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        peer.send(BINARY, b"\x00")
        peer.send(BINARY, b"one")
        peer.send(TEXT, "zwei ₹".encode())
        peer.send(BINARY, b"th", fin=False)
        peer.send(PING, b"?")
        peer.send(CONTINUATION, b"", fin=False)
        peer.send(CONTINUATION, b"ree")
        peer.send(TEXT, b"fo", fin=False)
        peer.send(CONTINUATION, b"ur")
        peer.send(BINARY, bytes(600_000))

    heard, reason = await life(serve, script)
    assert heard.messages == [b"one", "zwei ₹", b"three", "four", bytes(600_000)]
    assert reason == "closed (code 1006)"


async def test_the_messages_of_a_read_are_taken_together_and_in_their_order(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    heard = Heard()
    connection = await connected(await serve(script), heard)
    connection.data_received(b"\x82\x01\x00\x82\x03one\x81\x01?\x82\x03two\x82\x05thr")
    connection.data_received(b"ee")
    await connection.shut()
    assert heard.messages == [b"one", "?", b"two", b"three"]
    assert heard.reads == [1, 1, 1]  # a heartbeat is not counted as a message


async def test_a_text_that_is_no_utf8_costs_nothing(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        peer.send(TEXT, b"caf\xe9")
        peer.send(BINARY, b"on")

    heard, _ = await life(serve, script)
    assert heard.messages == ["caf\ufffd", b"on"]


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff\xff\xff", b"\x80\x01x", b"\x82\x7f" + (2**30).to_bytes(8, "big")],
    ids=["no frame", "a continuation of nothing", "a gigabyte"],
)
async def test_a_broken_protocol_ends_the_connection_though_the_server_talks_on(
    serve: Serve, rubbish: bytes
) -> None:
    async def script(peer: Peer) -> None:
        peer.send(BINARY, b"before")
        peer.writer.write(rubbish)
        await peer.trickle(itertools.repeat(b"\x82\x01\x00"))  # heartbeats for the watchdog

    heard, reason = await life(serve, script)
    assert heard.messages == [b"before"]
    assert reason.startswith("closed (code 1006")


async def test_a_close_that_the_server_does_not_finish_ends_soon(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        peer.send(CLOSE, (1001).to_bytes(2, "big") + b"going\x07")
        await peer.gone()

    _, reason = await life(serve, script)
    assert reason == "closed (code 1001: going\\x07)"


async def test_silence_ends_the_connection(serve: Serve, clock: Clock) -> None:
    async def script(peer: Peer) -> None:
        peer.send(BINARY, b"one")
        await clock.run(POLICY.silence + 5)
        await peer.gone()

    heard, reason = await life(serve, script)
    assert heard.messages == [b"one"]
    assert reason.startswith("silent for 2")


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param([b"\x82\x7d", *[b"x"] * 100], id="drips a message"),
        pytest.param([b"\x89\x00"] * 100, id="pings"),
        pytest.param([b"\x8a\x00"] * 100, id="pongs"),
        pytest.param([b"\x02\x01x", *[b"\x00\x01x"] * 100], id="endless fragments"),
    ],
)
async def test_bytes_that_complete_no_message_are_no_sign_of_life(
    serve: Serve, clock: Clock, endless: list[bytes]
) -> None:
    async def script(peer: Peer) -> None:
        for piece in endless:
            peer.writer.write(piece)
            await clock.run(1.0)
        await peer.gone()

    connection = await connected(await serve(script), Heard())
    failure = await connection.ended()
    assert failure.reason.startswith("silent for 2")
    assert connection.lived == 0.0


async def test_a_large_message_may_take_longer_than_the_silence(serve: Serve, clock: Clock) -> None:
    pieces = 4

    async def script(peer: Peer) -> None:
        peer.writer.write(b"\x82\x7f" + (pieces * PROGRESS).to_bytes(8, "big"))
        for _ in range(pieces):
            peer.writer.write(bytes(PROGRESS))
            await peer.writer.drain()
            await clock.run(POLICY.silence * 0.7)

    heard, reason = await life(serve, script)
    assert [len(message) for message in heard.messages] == [pieces * PROGRESS]
    assert reason == "closed (code 1006)"


async def test_a_text_is_a_sign_of_life_and_is_cut(serve: Serve, clock: Clock) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(3):
            peer.send(TEXT, b"x" * (MAX_TEXT + 100))
            await clock.run(POLICY.silence * 0.7)

    heard, reason = await life(serve, script)
    assert heard.messages == ["x" * (MAX_TEXT + 1)] * 3
    assert reason == "closed (code 1006)"


async def test_a_handshake_that_never_ends_is_given_up() -> None:
    gone = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    opened = await open_connection(
        f"ws://{host}:{port}/", ACCOUNT, Heard(), ReconnectPolicy(connect_timeout=0.2), FeedClock()
    )
    await gone.wait()
    server.close()
    assert isinstance(opened, Failure)
    assert opened.reason == "TimeoutError: timed out during opening handshake"


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    elsewhere = await serve(script)

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    opened = await open_connection(f"ws://{host}:{port}/", ACCOUNT, Heard(), POLICY, FeedClock())
    await gone.wait()
    server.close()
    assert opened == Failure("HTTP 302", 302)
    assert elsewhere.handshakes == 0


async def test_sending_on_a_dead_connection_fails(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        peer.send(BINARY, b"on")

    connection = await connected(await serve(script), Heard())
    await connection.ended()
    assert await connection.send_request("too late") is False
    await connection.shut()
    assert repr(connection) == "<Connection closed>"


async def test_shutting_does_not_wait_for_a_server_that_reads_nothing(serve: Serve) -> None:
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()

    connection = await connected(await serve(script), Heard())
    sending = asyncio.create_task(connection.send_request("x" * 30_000_000))
    await asyncio.wait([sending], timeout=0.1)
    assert not sending.done()
    async with asyncio.timeout(PATIENCE):
        await connection.shut()
        await sending


async def test_a_cancelled_task_shuts_its_connection_too(serve: Serve) -> None:
    async def script(_: Peer) -> None:
        await asyncio.Event().wait()  # it never answers the close

    connection = await connected(await serve(script), Heard())

    async def stay() -> None:
        try:
            await connection.ended()
        finally:
            await connection.shut()

    staying = asyncio.create_task(stay())
    await asyncio.sleep(0)
    staying.cancel()
    await asyncio.wait([staying], timeout=PATIENCE)
    assert staying.cancelled()
    assert repr(connection) == "<Connection closed>"


def refused(status: int, body: bytes) -> InvalidStatus:
    return InvalidStatus(Response(status, "No", Headers(), body))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused(403, b""), Failure("HTTP 403", 403)),
        (refused(502, b"<html>Bad</html>"), Failure("HTTP 502", 502)),
        (refused(500, b"[1]"), Failure("HTTP 500", 500)),
        (
            refused(429, b'{"message":"Too many."}'),
            Failure(
                "HTTP 429: Too many.: Kite allows three connections for an API key: "
                "does another program use it?",
                429,
            ),
        ),
        (
            refused(403, b'{"status":"error","message":"Bad my_api_key\\n"}'),
            Failure("HTTP 403: Bad …\\n", 403),
        ),
        (refused(403, b"\xff\xfe"), Failure("HTTP 403", 403)),
        (refused(403, b"[" * 100_000), Failure("HTTP 403", 403)),
        (
            InvalidURI("wss://x/?access_token=t0p-s3cr3t%2Ftoken", "because"),
            Failure("InvalidURI: wss://x/?access_token=… isn't a valid URI: because"),
        ),
        (
            InvalidProxy("http://user:pass@proxy:1/x", "path is meaningless"),
            Failure("InvalidProxy: http://…@proxy:1/x isn't a valid proxy: path is meaningless"),
        ),
        (
            ConnectionRefusedError(111, "refused"),
            Failure("ConnectionRefusedError: [Errno 111] refused"),
        ),
    ],
)
def test_failures_are_reported_without_credentials(error: Exception, expected: Failure) -> None:
    assert describe(error, ACCOUNT) == expected


def test_a_long_refusal_is_cut() -> None:
    reason = describe(refused(500, b'{"message":"' + b"x" * 9_000 + b'"}'), ACCOUNT).reason
    assert len(reason) <= 201


@pytest.mark.parametrize(
    ("dates", "time"),
    [
        (["Thu, 01 Jan 2026 00:00:00 GMT"], 1_767_225_600),
        (["Thu, 01 Jan 2026 00:00:00 GMT", "tomorrow"], 1_767_225_600),
        ([], None),
        (["tomorrow"], None),
        (["Thu, 01 Jan 99999999 00:00:00 GMT"], None),
    ],
)
def test_the_time_of_the_server_is_that_of_its_answer(dates: list[str], time: int | None) -> None:
    response = Response(101, "Switching Protocols", Headers([("Date", date) for date in dates]))
    assert Connection.server_time.fget(SimpleNamespace(response=response)) == time  # type: ignore[attr-defined]
