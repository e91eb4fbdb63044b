"""The server of the simulated Kite: handshakes, requests, and the push cycle.

It owns the connections. All of it runs on the loop thread of the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from kitepolars.sim.admission import Admission, Login
from kitepolars.sim.client import ConnectedClient, Subscriptions, counts_against_limit
from kitepolars.sim.exchange import Exchange, app_code, error, instruments_meta, order
from kitepolars.sim.record import Handshake, Record

__all__ = ["KiteServer", "PushSettings"]

HEARTBEAT: Final = b"\x00"
_SUCCESS: Final = 101
_CLOSE_TIMEOUT: Final = 0.5
_GOING_AWAY: Final = 1001

_LOGGER: Final = logging.getLogger(__name__)
_TRANSPORT_LOGGER: Final = logging.getLogger("kitepolars.sim.transport")


class _WithoutRequests(logging.Filter):
    """Keeps requests out of the log: their URLs contain access tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == "opening handshake failed":
            record.exc_info = None
        return record.levelno > logging.DEBUG


_TRANSPORT_LOGGER.addFilter(_WithoutRequests())


@dataclass(frozen=True, kw_only=True)
class PushSettings:
    """The push cycle, in seconds, and its limit.

    Parameters
    ----------
    interval
        Between two cycles.
    heartbeat
        Without a message, after which a heartbeat is sent; None for never.
    write_buffer
        The most bytes that may wait for a slow client before it is dropped.
    """

    interval: float
    heartbeat: float | None
    write_buffer: int


class KiteServer:
    """The server.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one and keeps it.
    exchange
        Provides packets.
    admission
        Decides which handshakes are accepted.
    record
        Records what happens.
    push
        The push cycle.
    clock
        The time of the exchange in UTC epoch seconds.
    users
        API key → user id; other keys get generated ones.
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
        push: PushSettings,
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
        self._push = push
        self._clock = clock
        self._users = users
        self._limit = limit
        self._port: Server
        self._pushing: asyncio.Task[None]
        self._clients: dict[int, ConnectedClient] = {}
        self._next_connection = 0
        self._next_order = 0
        self._greeting = instruments_meta(exchange.master.instrument_token)

    async def open(self) -> None:
        """Open the port, accept clients, and start the push cycle.

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
            max_queue=None,  # only `ConnectedClient.silence` may pause reading
            logger=_TRANSPORT_LOGGER,
        )
        self.address = host, self._port.sockets[0].getsockname()[1]
        self._pushing = asyncio.create_task(self._push_forever())

    async def close(self) -> None:
        """Close the port and every connection, within a second whatever clients do."""
        self._port.close(close_connections=False)
        for client in self.clients(None):
            client.silence(on=False, pongs=True)  # its answer to the close must be read
        await self.disconnect(None, _GOING_AWAY, "")
        await self._port.wait_closed()
        self._pushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pushing

    @property
    def is_pushing(self) -> bool:
        """Whether the push cycle runs; it ends early only by a defect, which `close` raises."""
        return not self._pushing.done()

    async def _push_forever(self) -> None:
        loop = asyncio.get_running_loop()
        last = due = loop.time()
        while True:
            due = max(due + self._push.interval, last)  # cycles that were missed are not repeated
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            self.push(now - last)
            last = now

    # The market

    def push(self, seconds: float) -> None:
        """Run a push cycle: advance the market, send what is due, send heartbeats."""
        if self.is_market_open:
            self._exchange.advance(seconds, self._subscriptions(), self._clock())
        else:
            self._exchange.rest()
        self._send_collected()
        self._send_heartbeats()

    def step(self, seconds: float) -> int:
        """Make every subscribed instrument tick once; return the number of packets sent."""
        before = self._record.packets_sent
        self._exchange.step(seconds, self._subscriptions(), self._clock())
        self._send_collected()
        return self._record.packets_sent - before

    def _subscriptions(self) -> list[Subscriptions]:
        return [client.subscriptions for client in self._clients.values()]

    def _send_collected(self) -> None:
        with self._record.changing():
            for client in self.clients(None):
                if not client.is_silent:
                    for packets, message in self._exchange.collect(client.subscriptions):
                        client.write(message, packets)

    def _send_heartbeats(self) -> None:
        if self._push.heartbeat is None:
            return
        latest = asyncio.get_running_loop().time() - self._push.heartbeat
        with self._record.changing():
            for client in self.clients(None):
                if client.last_sent <= latest:
                    client.write(HEARTBEAT)

    # Faults and messages on demand

    def clients(self, connection: int | None) -> list[ConnectedClient]:
        """Return the client of an open connection, or all clients.

        Raises
        ------
        KeyError
            There is no such open connection.
        """
        return list(self._clients.values()) if connection is None else [self._clients[connection]]

    def send(self, message: bytes | str, connection: int | None) -> None:
        """Send a message as it is, to one client or all."""
        with self._record.changing():
            for client in self.clients(connection):
                client.write(message)

    def send_order(self, user_id: str | None, fields: dict[str, Any]) -> None:
        """Send an order update to every connection of a user, or of all users."""
        self._next_order += 1
        now = self._clock()
        order_id = f"{now:.0f}{self._next_order:06}"
        with self._record.changing():
            for client in self.clients(None):
                owner = client.subscriptions.user_id
                if user_id in (None, owner):
                    client.write(order(owner, order_id, now, fields))

    async def disconnect(self, connection: int | None, code: int, reason: str) -> None:
        """Close with a code and a reason, and wait a moment for the answers of clients."""
        await asyncio.gather(
            *(client.socket.close(code, reason) for client in self.clients(connection))
        )

    # Connections

    def _answer_handshake(self, _: ServerConnection, request: HttpRequest) -> Response | None:
        login = Login(request.path)
        opened = Counter(
            client.subscriptions.api_key
            for client in self.clients(None)
            if counts_against_limit(client.socket)
        )
        refused = self.admission.decide(login, opened)
        if refused is None:
            return None
        self._record.add_handshake(Handshake(refused.status, login.api_key))
        return refused.response()

    def _note_answer(
        self, socket: ServerConnection, request: HttpRequest, response: Response
    ) -> None:
        """Record a connection before its client can know that it is open."""
        will_open = counts_against_limit(socket) and self._port.is_serving()
        if response.status_code == _SUCCESS and will_open:
            self._begin(socket, Login(request.path).api_key)

    async def _handle(self, socket: ServerConnection) -> None:
        """Serve a connection from its handshake to its end."""
        client = next((client for client in self.clients(None) if client.socket is socket), None)
        if client is None:
            return  # the client left during the handshake
        if not self._flaps(client):
            self._greet(client)
        try:
            async for message in socket:
                self._receive(client, message)
        except ConnectionClosedError:
            _LOGGER.debug(
                "connection %d left without a closing handshake", client.subscriptions.connection
            )

    def _begin(self, socket: ServerConnection, api_key: str) -> None:
        connection, self._next_connection = self._next_connection, self._next_connection + 1
        user_id = self._user_of(api_key)
        subscriptions = Subscriptions(connection, api_key, user_id, limit=self._limit)
        client = self._clients[connection] = ConnectedClient(
            subscriptions,
            socket,
            self._record,
            write_buffer=self._push.write_buffer,
            is_silent=self.silences_newcomers,
        )
        with self._record.changing():
            self._record.opened(connection, api_key, user_id, subscriptions.modes)
            self._record.add_handshake(Handshake(_SUCCESS, api_key, connection))
        client.closed.add_done_callback(lambda _: self._end(client))

    def _end(self, client: ConnectedClient) -> None:
        del self._clients[client.subscriptions.connection]
        self._exchange.forget(client.subscriptions)
        self._record.closed(client.subscriptions.connection)

    def _flaps(self, client: ConnectedClient) -> bool:
        if self.flaps_left == 0:
            return False
        if self.flaps_left is not None:
            self.flaps_left -= 1
        client.abort()
        return True

    def _greet(self, client: ConnectedClient) -> None:
        with self._record.changing():
            client.write(self._greeting)
            client.write(app_code(self._clock()))

    def _receive(self, client: ConnectedClient, message: str | bytes) -> None:
        with self._record.changing():
            request, problem = client.subscriptions.receive(message)
            self._record.add_request(request)
            if problem is not None:
                client.write(error(problem))

    def _user_of(self, api_key: str) -> str:
        return self._users.setdefault(api_key, f"AB{len(self._users) + 1:04}")
