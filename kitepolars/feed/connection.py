"""One socket: open, send, read, watch. It never reconnects. Loop thread only.

`Connection` is the transport's own protocol object, an `asyncio.Protocol`. What a
read of the socket brings is stamped and divided: steady binary messages go to the
receiver where they lie, and everything else goes through the library as always.
No task is woken for a message. No exception of the transport leaves this module:
its frames hold the handshake, which carries the token. A `Failure` says what happened.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

from kitepolars.feed.account import (
    HEADERS,
    Account,
    handshake_query,
    is_loopback,
    redact,
)
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.reconnect import Failure, ReconnectPolicy
from kitepolars.wire.control import MAX_TEXT, printable
from kitepolars.wire.stream import RawMessages, StreamWalker

MAX_MESSAGE: Final = 16 * 2**20
"""Bytes of a message: 3,000 full packets are 558,002, so this is generous."""

CLOSE_TIMEOUT: Final = 0.5
"""The timeout for the server's part of a closing handshake, in seconds."""

PROGRESS: Final = 16 * 1024
"""Bytes of a message under way that count as a sign of life. A large message over a slow line
takes longer than the silence that is allowed, and a server that only drips is not alive."""

LATE: Final = 0.25
"""Seconds of delay of a timer that indicate a blocked event loop."""

_HINTS: Final[dict[int, str]] = {
    HTTPStatus.TOO_MANY_REQUESTS: "Kite allows three connections for an API key: "
    "does another program use it?",
}

_END_OF_HEAD: Final = b"\r\n\r\n"

_URL_PASSWORD: Final = re.compile(r"//[^/@\s]*@")

_log = logging.getLogger("kitepolars.feed.websocket")
# The library logs the request line, token and all, at DEBUG, and each frame.
_log.setLevel(logging.WARNING)
_log.addFilter(lambda record: record.levelno >= logging.WARNING)


class Receiver(Protocol):
    """Receives what arrives on a connection. Quick; never raises."""

    def binary(self, received_at: int, messages: RawMessages) -> None:
        """Take binary messages of one read of the socket, heartbeats included, and its time.

        The time is in microseconds since the Unix epoch, UTC.
        """
        ...

    def text(self, received_at: int, text: str) -> None:
        """Take one text message, cut to a bounded length, and its time."""
        ...


class Connection(ClientConnection):
    """An open socket that hands whole messages to its receiver.

    Parameters
    ----------
    protocol
        The transport's state machine.
    receiver
        Receives the messages.
    account
        Its credentials are removed from the server's texts.
    clock
        Gives the time of each read.
    pace
        May hold back reads of a steady stream.
    options
        Passed on to the transport.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        receiver: Receiver,
        account: Account,
        clock: FeedClock,
        pace: ReadPace,
        **options: Any,
    ) -> None:
        super().__init__(protocol, **options)
        self._receiver = receiver
        self._account = account
        self._clock = clock
        self._pace = pace
        self._read_at = 0
        self._answer = b""  # the end of what has come of the answer to the handshake
        self._walker = StreamWalker(MAX_MESSAGE)
        self._fragments = bytearray()
        self._fragmented: Opcode | None = None
        self._opened_at = self._alive_at = self.loop.time()
        self._since_alive = 0  # bytes
        self._silence = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._failure: Failure | None = None
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.state.name.lower()}>"

    @property
    def lived(self) -> float:
        """Seconds between the handshake and the last message or heartbeat."""
        return self._alive_at - self._opened_at

    @property
    def server_time(self) -> float | None:
        """The ``Date`` of the answer to the handshake, in seconds since the Unix epoch, if any."""
        dates = [] if self.response is None else self.response.headers.get_all("Date")
        try:
            return parsedate_to_datetime(dates[0]).timestamp()
        except (IndexError, ValueError, TypeError, OverflowError):
            return None

    def watch(self, silence: float) -> None:
        """From now on, abort when no message or heartbeat is completed for `silence` seconds.

        Bytes are no sign of life: a server that drips them, or answers pings and sends no ticks,
        would pass for alive. One timer looks again when the silence would be over, so that
        nothing is scheduled for a message.
        """
        self._opened_at = self._alive_at = self.loop.time()
        self._silence = silence
        due = self._alive_at + silence
        self._watch = self.loop.call_at(due, self._check, due)

    async def send_request(self, text: str) -> bool:
        """Send a request; return whether the connection was still open."""
        try:
            await self.send(text)
        except ConnectionClosed:
            return False
        return True

    async def handshake(self, *headers: Any, **options: Any) -> None:
        """Send the opening handshake with the credentials; called by the library.

        They are part of the library's URL and request for this call only, so that neither it nor
        the cache of `urllib.parse` keeps them.
        """
        public = self.protocol.uri
        query = handshake_query(public.query, self._account)
        self.protocol.uri = replace(public, query=query)
        del query
        try:
            await super().handshake(*headers, **options)
        finally:
            self.protocol.uri = public
            if self.request is not None:
                self.request.path = public.resource_name

    async def ended(self) -> Failure:
        """Wait for the end of the connection and return its cause."""
        await self.wait_closed()
        return self._failure or self._closing()

    async def shut(self) -> None:
        """Close with a handshake, or abort if the server does not answer it in time.

        The closing has its own task, because `Link.stop` cancels the one that is here:
        Python 3.11.2, which is Debian's, raises no `TimeoutError` in a cancelled task.
        """
        closing = self.loop.create_task(self.close())
        try:
            await asyncio.wait([closing], timeout=2 * CLOSE_TIMEOUT)
        finally:
            self.transport.abort()  # when the peer reads nothing, not even the close frame leaves
        await closing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket; called by the event loop."""
        self._socket = transport.get_extra_info("socket")
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Stamp and pass on; called by the event loop."""
        self._read_at = self._clock.stamp()
        if self.response is None and not (data := self._shake_hands(data)):
            return
        self._since_alive += len(data)
        if self._since_alive >= PROGRESS:
            self._show_life()
        messages = 0
        for part in self._walker.feed(data):
            if isinstance(part, RawMessages):
                messages += len(part)
                self._hand_over(part)
            else:
                self._pass_on(part)
        self._pace.after_read(self._socket, messages, self._read_at)

    def _show_life(self) -> None:
        self._alive_at, self._since_alive = self.loop.time(), 0

    def _hand_over(self, messages: RawMessages) -> None:
        self._show_life()
        self._receiver.binary(self._read_at, messages)

    def _shake_hands(self, data: bytes) -> bytes:
        """Pass the response to the handshake to the library; return the bytes after it.

        The body of a rejection belongs to the library, too.
        """
        seen = self._answer + data
        end = seen.find(_END_OF_HEAD)
        here = len(data) if end < 0 else end + len(_END_OF_HEAD) - len(self._answer)
        self._answer = seen[1 - len(_END_OF_HEAD) :] if end < 0 else b""
        super().data_received(data[:here])
        if self.protocol.state is State.OPEN:
            return data[here:]
        if here < len(data):
            super().data_received(data[here:])
        return b""

    def eof_received(self) -> None:
        """Let the library see an incomplete message, and then the end; called by the event loop."""
        if held := self._walker.give_up():
            self._pass_on(held)
        super().eof_received()

    def _pass_on(self, data: bytes) -> None:
        """Pass bytes to the library, which interprets them and detects errors."""
        super().data_received(data)
        if self.protocol.state is not State.OPEN:
            self._walker.give_up()
        if self._deadline is None and self.protocol.close_expected():
            # The library would wait for the server to close, however long that takes.
            self._deadline = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def process_event(self, event: Any) -> None:
        """Keep data frames for the receiver, and pass others on; called by the library."""
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self._collect(event)
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers; called by the event loop."""
        self._error = exc
        for timer in (self._watch, self._deadline):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _collect(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._fragmented = frame.opcode
        self._fragments += frame.data
        if not frame.fin:
            return
        data, self._fragments = bytes(self._fragments), bytearray()
        if self._fragmented is Opcode.TEXT:
            self._show_life()
            # One character more than is parsed shows that it was too long.
            self._receiver.text(self._read_at, data.decode("utf-8", "replace")[: MAX_TEXT + 1])
        else:
            self._hand_over(RawMessages.of_message(data))

    def _check(self, due: float) -> None:
        now = self.loop.time()
        silent_at = self._alive_at + self._silence
        if now >= silent_at and now - due > LATE:
            silent_at = now + LATE  # it was the loop that stood still: let it read what waits
        if now < silent_at:
            self._watch = self.loop.call_at(silent_at, self._check, silent_at)
            return
        self._failure = Failure(f"silent for {now - self._alive_at:.1f} s")
        self.transport.abort()  # not a close: the peer may never answer it

    def _closing(self) -> Failure:
        code = f"code {self.close_code}"
        why = _clean(self.close_reason or "", self._account)
        why = why or ("" if self._error is None else type(self._error).__name__)
        return Failure(f"closed ({code}: {why})" if why else f"closed ({code})")


async def open_connection(
    base: str,
    account: Account,
    receiver: Receiver,
    policy: ReconnectPolicy,
    clock: FeedClock,
    *,
    pace: ReadPace | None = None,
) -> Connection | Failure:
    """Open a connection, or return why that failed. It raises nothing.

    Parameters
    ----------
    base
        The server's URL, without credentials.
    account
        The credentials to send.
    receiver
        Receives the messages.
    policy
        The timeouts.
    clock
        Gives the time of each read.
    pace
        May hold back reads of a steady stream; by default none is.
    """
    create = partial(
        Connection, receiver=receiver, account=account, clock=clock, pace=pace or ReadPace()
    )
    try:
        opening = _Connect(
            base,
            additional_headers=HEADERS,
            compression=None,
            proxy=None if is_loopback(base) else True,
            open_timeout=policy.connect_timeout,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_MESSAGE,
            logger=_log,
            create_connection=cast("type[ClientConnection]", create),
        )
        connection = cast("Connection", await opening)
    except Exception as error:  # noqa: BLE001 - each becomes a Failure, which is reported
        return describe(error, account)
    connection.watch(policy.silence)
    return connection


def describe(error: Exception, account: Account) -> Failure:
    """Describe an exception of the transport, without credentials.

    Parameters
    ----------
    error
        The exception.
    account
        Its credentials are removed from the text.
    """
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        parts = (f"HTTP {status}", _said(error.response), _HINTS.get(status, ""))
        return Failure(_clean(": ".join(filter(None, parts)), account), status=status)
    return Failure(_clean(f"{type(error).__name__}: {error}", account))


def _said(response: Response) -> str:
    """Return the message in the body of a rejection, if it is the JSON that Kite sends."""
    try:
        body = json.loads(response.body or b"")
    except (ValueError, RecursionError):
        return ""
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else ""


def _clean(text: str, account: Account) -> str:
    redacted = redact(_URL_PASSWORD.sub("//…@", text), account)
    return printable(redacted, limit=200)


class _Connect(connect):
    """The library's opening handshake, without redirects: the credentials go to one server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Treat a redirect as a rejection."""
        return exc
