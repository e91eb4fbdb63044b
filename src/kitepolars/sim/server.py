"""The sockets of the simulated Kite: handshakes, requests, and the push cycle.

Owns every connection; all of it runs on one event loop, the simulator's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.protocol import State

from kitepolars.sim import texts
from kitepolars.sim.admission import Admission, Refusal, parse_credentials
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.record import Handshake, Record
from kitepolars.sim.session import Session

__all__ = ["KiteServer", "Pace"]

HEARTBEAT: Final = b"\x00"
_SUCCESS: Final = 101
_CLOSE_TIMEOUT: Final = 0.5
_GOING_AWAY: Final = 1001


class Clock(Protocol):
    """Tells the exchange's time in UTC epoch seconds."""

    def __call__(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When things go out.

    Parameters
    ----------
    interval
        Seconds between two push cycles.
    heartbeat
        Seconds without a message after which a heartbeat is sent; None for never.
    write_buffer
        Bytes that may wait for a slow client; beyond, it is dropped.
    """

    interval: float
    heartbeat: float | None
    write_buffer: int


class _Discreet(logging.Filter):
    """Keeps requests out of the log: they carry access tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.msg == "opening handshake failed":
            record.exc_info = None
        return record.levelno > logging.DEBUG


_LOGGER: Final = logging.getLogger("kitepolars.sim")
_LOGGER.addFilter(_Discreet())


class _Line:
    """One connection: its session, its socket, and whether it was told to be silent."""

    def __init__(self, session: Session, socket: ServerConnection, *, is_silent: bool) -> None:
        self.session = session
        self.socket = socket
        self.is_silent = is_silent
        self.last_sent = asyncio.get_running_loop().time()

    @property
    def is_open(self) -> bool:
        return self.socket.protocol.state is State.OPEN

    @property
    def takes_a_place(self) -> bool:
        """Whether it counts against the limit of its API key: a closing one does not."""
        return self.socket.protocol.state in (State.CONNECTING, State.OPEN)

    def abort(self) -> None:
        self.socket.transport.abort()


class KiteServer:
    """A Kite on one event loop.

    Parameters
    ----------
    exchange
        Where packets come from.
    admission
        Who may connect.
    record
        What is written down.
    pace
        When things go out.
    clock
        The exchange's time.
    users
        API key → user id; other keys get made-up ones.
    limit
        Instruments per connection.
    """

    def __init__(
        self,
        exchange: Exchange,
        admission: Admission,
        record: Record,
        *,
        pace: Pace,
        clock: Callable[[], float],
        users: dict[str, str],
        limit: int,
    ) -> None:
        self.admission = admission
        self.is_market_open = True
        self.flaps_left: int | None = 0
        self.silences_newcomers = False
        self._exchange = exchange
        self._record = record
        self._pace = pace
        self._clock = clock
        self._users = users
        self._limit = limit
        self._lines: dict[int, _Line] = {}
        self._waiting: dict[ServerConnection, _Line] = {}
        self._next_connection = 0
        self._next_order = 0
        self._greeting = texts.instruments_meta(len(exchange.master), exchange.master.dump_csv())

    async def listen(self, host: str, port: int) -> Server:
        """Open the port and begin to accept."""
        return await serve(
            self._handle,
            host,
            port,
            process_request=self._answer_handshake,
            compression=None,
            server_header=None,
            ping_interval=None,
            close_timeout=_CLOSE_TIMEOUT,
            max_queue=None,  # so that only `silence` ever pauses reading
            logger=_LOGGER,
        )

    async def run_market(self) -> None:
        """Push for ever, a cycle every interval."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(self._pace.interval)
            now = loop.time()
            self.push(now - last)
            last = now

    async def hang_up(self, server: Server) -> None:
        """Close the port and every connection, within a second whatever clients do."""
        server.close(close_connections=False)
        lines = list(self._lines.values())
        for line in lines:
            line.socket.transport.resume_reading()
        farewells = [asyncio.create_task(line.socket.close(_GOING_AWAY)) for line in lines]
        if farewells:
            await asyncio.wait(farewells)
        for connection in list(server.connections):
            connection.transport.abort()
        await server.wait_closed()

    def push(self, seconds: float) -> None:
        """Run a push cycle: let the market go on, send what is due, keep alive."""
        sessions = [line.session for line in self._lines.values()]
        if self.is_market_open:
            self._exchange.advance(seconds, sessions, self._clock())
        else:
            self._exchange.rest()
        self._send_collected()
        self._keep_alive()

    def step(self, seconds: float) -> int:
        """Let every subscribed instrument tick once; return how many packets went out."""
        before = self._record.packets_sent
        sessions = [line.session for line in self._lines.values()]
        self._exchange.step(seconds, sessions, self._clock())
        self._send_collected()
        return self._record.packets_sent - before

    def lines(self, connection: int | None) -> Iterator[_Line]:
        """Yield one open connection, or all.

        Raises
        ------
        KeyError
            There is no such open connection.
        """
        if connection is None:
            yield from list(self._lines.values())
        else:
            yield self._lines[connection]

    def send(self, message: bytes | str, connection: int | None, packets: int = 0) -> None:
        """Send a message as it is, to one or all."""
        with self._record.changing():
            for line in self.lines(connection):
                self._write(line, message, packets)

    def send_order(self, user_id: str | None, fields: dict[str, Any]) -> None:
        """Send an order update to every connection of a user, or of each user."""
        self._next_order += 1
        order_id = f"{self._clock():.0f}{self._next_order:06}"
        with self._record.changing():
            for line in self.lines(None):
                owner = line.session.user_id
                if user_id in (None, owner):
                    message = texts.order(owner, order_id, self._clock(), fields)
                    self._write(line, message, 0)

    def abort(self, connection: int | None) -> None:
        """Cut the connection off, without a closing handshake."""
        for line in self.lines(connection):
            line.abort()

    async def close(self, connection: int | None, code: int, reason: str) -> None:
        """Close with a code and a reason; wait for the client's answer for a moment."""
        closing = [line.socket.close(code, reason) for line in self.lines(connection)]
        await asyncio.gather(*closing)

    def silence(self, connection: int | None, *, on: bool, pongs: bool) -> None:
        """Keep connections open and say nothing, or speak again."""
        for line in self.lines(connection):
            line.is_silent = on
            if on and not pongs:
                line.socket.transport.pause_reading()
            else:
                line.socket.transport.resume_reading()

    def _answer_handshake(self, socket: ServerConnection, request: HttpRequest) -> Response | None:
        credentials = parse_credentials(request.path)
        places = Counter(
            line.session.api_key
            for line in (*self._lines.values(), *self._waiting.values())
            if line.takes_a_place
        )
        refused = self.admission.decide(credentials, places)
        if refused is not None:
            self._record.add_handshake(Handshake(refused.status, credentials.api_key))
            return _response(refused)
        session = Session(
            self._next_connection,
            credentials.api_key,
            self._user(credentials.api_key),
            limit=self._limit,
        )
        self._next_connection += 1
        self._waiting = {other: line for other, line in self._waiting.items() if line.takes_a_place}
        self._waiting[socket] = _Line(session, socket, is_silent=self.silences_newcomers)
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        """Live with one connection, from its handshake to its end."""
        line = self._waiting.pop(socket)
        session = line.session
        self._lines[session.connection] = line
        self._record.opened(session)
        self._record.add_handshake(Handshake(_SUCCESS, session.api_key, session.connection))
        try:
            self._greet(line)
            async for message in socket:
                self._receive(line, message)
        except ConnectionClosedError:
            _LOGGER.debug("a client left without a closing handshake")
        finally:
            del self._lines[session.connection]
            self._exchange.forget(session)
            self._record.closed(session.connection)

    def _greet(self, line: _Line) -> None:
        if self.flaps_left is None or self.flaps_left > 0:
            self.flaps_left = None if self.flaps_left is None else self.flaps_left - 1
            line.abort()
            return
        with self._record.changing():
            self._write(line, self._greeting, 0)
            self._write(line, texts.app_code(self._clock()), 0)

    def _receive(self, line: _Line, message: str | bytes) -> None:
        with self._record.changing():
            request, error = line.session.receive(message)
            self._record.add_request(request)
            if error is not None:
                self._write(line, texts.error(error), 0)

    def _send_collected(self) -> None:
        with self._record.changing():
            for line in list(self._lines.values()):
                if not line.is_silent:
                    for packets, message in self._exchange.collect(line.session):
                        self._write(line, message, packets)

    def _keep_alive(self) -> None:
        if self._pace.heartbeat is None:
            return
        latest = asyncio.get_running_loop().time() - self._pace.heartbeat
        with self._record.changing():
            for line in list(self._lines.values()):
                if line.last_sent <= latest:
                    self._write(line, HEARTBEAT, 0)

    def _write(self, line: _Line, message: bytes | str, packets: int) -> None:
        """Hand a message to an open socket, without ever waiting for its client."""
        if line.is_silent or not line.is_open or line.socket.transport.is_closing():
            return
        broadcast([line.socket], message)
        line.last_sent = asyncio.get_running_loop().time()
        self._record.sent(line.session.connection, packets)
        if line.socket.transport.get_write_buffer_size() > self._pace.write_buffer:
            _LOGGER.info("connection %d is too slow and is dropped", line.session.connection)
            line.abort()

    def _user(self, api_key: str) -> str:
        return self._users.setdefault(api_key, f"AB{len(self._users) + 1:04}")


def _response(refused: Refusal) -> Response:
    body = refused.body.encode()
    headers = Headers(
        {
            "Connection": "close",
            "Content-Type": refused.content_type,
            "Content-Length": str(len(body)),
        }
    )
    return Response(refused.status, refused.reason, headers, body)
