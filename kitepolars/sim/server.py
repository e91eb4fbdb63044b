"""The server of the simulated Kite: handshakes, requests, and the push cycle.

Owns every connection; all of it runs on one event loop, the simulator's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from kitepolars.sim import texts
from kitepolars.sim.admission import Admission, Refusal, parse_credentials
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.line import Line, takes_a_place
from kitepolars.sim.record import Handshake, Record
from kitepolars.sim.session import Session

__all__ = ["KiteServer", "Pace"]

HEARTBEAT: Final = b"\x00"
_SUCCESS: Final = 101
_CLOSE_TIMEOUT: Final = 0.5
_GOING_AWAY: Final = 1001

_LOGGER: Final = logging.getLogger(__name__)
_TRANSPORT_LOGGER: Final = logging.getLogger("kitepolars.sim.transport")


class _Discreet(logging.Filter):
    """Keeps requests out of the log: they carry access tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == "opening handshake failed":
            record.exc_info = None
        return record.levelno > logging.DEBUG


_TRANSPORT_LOGGER.addFilter(_Discreet())


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When things go out, and how much of them may wait.

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


class KiteServer:
    """A Kite on one event loop.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one, and keeps it.
    exchange
        Where packets come from.
    admission
        Who may connect.
    record
        What is written down.
    pace
        When things go out.
    clock
        The exchange's time in UTC epoch seconds.
    users
        API key → user id; other keys get made-up ones.
    limit
        Instruments per connection.
    """

    def __init__(
        self,
        address: tuple[str, int],
        exchange: Exchange,
        admission: Admission,
        record: Record,
        *,
        pace: Pace,
        clock: Callable[[], float],
        users: dict[str, str],
        limit: int,
    ) -> None:
        self.address = address
        self.admission = admission
        self.market = exchange.market
        self.is_market_open = True
        self.flaps_left: int | None = 0
        self.silences_newcomers = False
        self._exchange = exchange
        self._record = record
        self._pace = pace
        self._clock = clock
        self._users = users
        self._limit = limit
        self._port: Server
        self._lines: dict[int, Line] = {}
        self._next_connection = 0
        self._next_order = 0
        self._greeting = texts.instruments_meta(exchange.master.instrument_token)

    # Life

    async def open(self) -> None:
        """Open the port and begin to accept.

        Raises
        ------
        OSError
            The port is taken.
        """
        host, port = self.address
        self._port = await serve(
            self._handle,
            host,
            port,
            process_request=self._answer_handshake,
            process_response=self._note_answer,
            compression=None,
            server_header=None,
            ping_interval=None,
            close_timeout=_CLOSE_TIMEOUT,
            max_queue=None,  # so that nothing but silence pauses reading
            logger=_TRANSPORT_LOGGER,
        )
        self.address = host, self._port.sockets[0].getsockname()[1]

    async def run(self) -> None:
        """Push for ever, a cycle every interval."""
        loop = asyncio.get_running_loop()
        last = due = loop.time()
        while True:
            due = max(due + self._pace.interval, last)  # what was missed is not made up for
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            self.push(now - last)
            last = now

    async def close(self) -> None:
        """Close the port and every connection, within a second whatever clients do."""
        self._port.close(close_connections=False)
        for line in self.lines(None):
            line.be_silent(on=False, pongs=True)  # so that its goodbye can be read
        await self.say_goodbye(None, _GOING_AWAY, "")
        await self._port.wait_closed()

    # The market

    def push(self, seconds: float) -> None:
        """Run a push cycle: let the market go on, send what is due, keep alive."""
        if self.is_market_open:
            self._exchange.advance(seconds, self._sessions(), self._clock())
        else:
            self._exchange.rest()
        self._send_collected()
        self._keep_alive()

    def step(self, seconds: float) -> int:
        """Let every subscribed instrument tick once; return how many packets went out."""
        before = self._record.packets_sent
        self._exchange.step(seconds, self._sessions(), self._clock())
        self._send_collected()
        return self._record.packets_sent - before

    def _sessions(self) -> list[Session]:
        return [line.session for line in self._lines.values()]

    def _send_collected(self) -> None:
        with self._record.changing():
            for line in self.lines(None):
                if not line.is_silent:
                    for packets, message in self._exchange.collect(line.session):
                        line.write(message, packets)

    def _keep_alive(self) -> None:
        if self._pace.heartbeat is None:
            return
        latest = asyncio.get_running_loop().time() - self._pace.heartbeat
        with self._record.changing():
            for line in self.lines(None):
                if line.last_sent <= latest:
                    line.write(HEARTBEAT)

    # What is scripted

    def lines(self, connection: int | None) -> Iterator[Line]:
        """Yield one open connection, or all.

        Raises
        ------
        KeyError
            There is no such open connection.
        """
        yield from list(self._lines.values()) if connection is None else [self._lines[connection]]

    def send(self, message: bytes | str, connection: int | None) -> None:
        """Send a message as it is, to one or all."""
        with self._record.changing():
            for line in self.lines(connection):
                line.write(message)

    def send_order(self, user_id: str | None, fields: dict[str, Any]) -> None:
        """Send an order update to every connection of a user, or of each user."""
        self._next_order += 1
        now = self._clock()
        order_id = f"{now:.0f}{self._next_order:06}"
        with self._record.changing():
            for line in self.lines(None):
                owner = line.session.user_id
                if user_id in (None, owner):
                    line.write(texts.order(owner, order_id, now, fields))

    async def say_goodbye(self, connection: int | None, code: int, reason: str) -> None:
        """Close with a code and a reason; wait a moment for the clients' answers."""
        await asyncio.gather(*(line.socket.close(code, reason) for line in self.lines(connection)))

    # One connection's life

    def _answer_handshake(self, _: ServerConnection, request: HttpRequest) -> Response | None:
        credentials = parse_credentials(request.path)
        places = Counter(
            line.session.api_key for line in self.lines(None) if takes_a_place(line.socket)
        )
        refused = self.admission.decide(credentials, places)
        if refused is None:
            return None
        self._record.add_handshake(Handshake(refused.status, credentials.api_key))
        return _response(refused)

    def _note_answer(
        self, socket: ServerConnection, request: HttpRequest, response: Response
    ) -> None:
        """Write a connection down before its client can know that it is open."""
        will_open = takes_a_place(socket) and self._port.is_serving()
        if response.status_code == _SUCCESS and will_open:
            self._begin(socket, parse_credentials(request.path).api_key)

    async def _handle(self, socket: ServerConnection) -> None:
        """Live with one connection, from its handshake to its end."""
        line = next((line for line in self.lines(None) if line.socket is socket), None)
        if line is None:
            return  # it has ended before it began
        if not self._flaps(line):
            self._greet(line)
        try:
            async for message in socket:
                self._receive(line, message)
        except ConnectionClosedError:
            _LOGGER.debug("connection %d left without a goodbye", line.session.connection)

    def _begin(self, socket: ServerConnection, api_key: str) -> None:
        session = Session(self._next_connection, api_key, self._user_of(api_key), limit=self._limit)
        self._next_connection += 1
        line = self._lines[session.connection] = Line(
            session,
            socket,
            self._record,
            write_buffer=self._pace.write_buffer,
            is_silent=self.silences_newcomers,
        )
        with self._record.changing():
            self._record.opened(session)
            self._record.add_handshake(Handshake(_SUCCESS, api_key, session.connection))
        line.closed.add_done_callback(lambda _: self._end(line))

    def _end(self, line: Line) -> None:
        del self._lines[line.session.connection]
        self._exchange.forget(line.session)
        self._record.closed(line.session.connection)

    def _flaps(self, line: Line) -> bool:
        if self.flaps_left == 0:
            return False
        if self.flaps_left is not None:
            self.flaps_left -= 1
        line.abort()
        return True

    def _greet(self, line: Line) -> None:
        with self._record.changing():
            line.write(self._greeting)
            line.write(texts.app_code(self._clock()))

    def _receive(self, line: Line, message: str | bytes) -> None:
        with self._record.changing():
            request, error = line.session.receive(message)
            self._record.add_request(request)
            if error is not None:
                line.write(texts.error(error))

    def _user_of(self, api_key: str) -> str:
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
