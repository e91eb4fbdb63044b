"""A port that speaks Kite's protocol: handshakes, requests, heartbeats, closing. Loop thread.

`Endpoint` owns the connections; a subclass decides who is admitted and what is sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import weakref
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.protocol import State

from kitepolars.calendar import IST
from kitepolars.server.clients import ConnectedClient
from kitepolars.server.handshake import Login, Refusal

__all__ = ["Endpoint", "app_code", "error", "text_message"]

HEARTBEAT: Final = b"\x00"

GOING_AWAY: Final = 1001
"""The WebSocket close code of a server that stops."""

SWITCHING_PROTOCOLS: Final = 101
"""The HTTP status of a handshake that succeeds."""

_OPENING: Final = 10.0  # seconds that a handshake may take
_CLOSING: Final = 0.5
_ACCEPTING: Final = 0.05  # until a connection that was accepted last has its socket

_log: Final = logging.getLogger(__name__)
_TRANSPORT_LOGGER: Final = logging.getLogger("kitepolars.server.transport")


class _WithoutRequests(logging.Filter):
    """Keeps requests out of the log: their URLs contain access tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == "opening handshake failed":
            record.exc_info = None
        return record.levelno > logging.DEBUG


_TRANSPORT_LOGGER.addFilter(_WithoutRequests())

ClientT = TypeVar("ClientT", bound=ConnectedClient)


class Endpoint(ABC, Generic[ClientT]):
    """A port and its clients.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one and keeps it.
    heartbeat
        Seconds without a message after which a client is due a heartbeat; None for never.
    tls
        The certificate to serve with; None for plaintext.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        heartbeat: float | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._heartbeat = heartbeat
        self._tls = tls
        self._port: Server
        self._sockets: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        self._clients: dict[int, ClientT] = {}
        self._next_connection = 0

    @property
    def url(self) -> str:
        """The URL for clients."""
        host, port = self.address
        host = f"[{host}]" if ":" in host else host
        return f"{'wss' if self._tls else 'ws'}://{host}:{port}/"

    async def open(self) -> None:
        """Open the port and accept clients.

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
            ssl=self._tls,
            process_request=self._answer_handshake,
            process_response=self._note_answer,
            compression=None,
            server_header=None,
            ping_interval=None,
            close_timeout=_CLOSING,
            max_queue=None,  # requests are small, and carried out as they come
            logger=_TRANSPORT_LOGGER,
            open_timeout=_OPENING,
            create_connection=cast("type[ServerConnection]", self._new_socket),
        )
        self.address = host, self._port.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the port and every connection, within a second whatever clients do."""
        self._port.close(close_connections=False)
        await self._disconnect(None, GOING_AWAY, "")
        closed = asyncio.ensure_future(self._port.wait_closed())
        while not closed.done():
            await asyncio.wait([closed], timeout=_ACCEPTING)
            for socket in tuple(self._sockets):
                # Its client has not sent a request yet, and may have failed to agree on TLS before.
                if socket.state is State.CONNECTING and hasattr(socket, "transport"):
                    socket.transport.abort()

    def _connected(self, connection: int | None = None) -> list[ClientT]:
        """Return the client of an open connection, or all clients.

        Raises
        ------
        KeyError
            There is no such open connection.
        """
        return list(self._clients.values()) if connection is None else [self._clients[connection]]

    async def _disconnect(self, connection: int | None, code: int, reason: str) -> None:
        """Close with a code and a reason, and wait a moment for the answers of clients."""
        await asyncio.gather(
            *(client.socket.close(code, reason) for client in self._connected(connection))
        )

    def _send_heartbeats(self) -> None:
        """Send a heartbeat to every client that has been sent nothing for a while."""
        if self._heartbeat is None:
            return
        latest = asyncio.get_running_loop().time() - self._heartbeat
        for client in self._connected():
            if client.last_sent <= latest:
                client.write(HEARTBEAT)

    # What a subclass decides

    @abstractmethod
    def _admit(self, login: Login) -> Refusal | None:
        """Return why a client may not connect, or None if it may."""

    @abstractmethod
    def _accept(self, login: Login, connection: int, socket: ServerConnection) -> ClientT:
        """Return the client of a new connection, before it can know that it is open."""

    @abstractmethod
    def _greet(self, client: ClientT) -> None:
        """Send what a client gets first."""

    @abstractmethod
    def _receive(self, client: ClientT, message: str | bytes) -> None:
        """Carry out a request, whatever it contains."""

    @abstractmethod
    def _forget(self, client: ClientT) -> None:
        """Drop what is kept for a client whose connection has ended."""

    # Connections

    def _new_socket(self, *arguments: Any, **settings: Any) -> ServerConnection:
        socket = ServerConnection(*arguments, **settings)
        self._sockets.add(socket)
        return socket

    def _answer_handshake(self, _: ServerConnection, request: HttpRequest) -> Response | None:
        refused = self._admit(Login(request.path))
        return None if refused is None else refused.response()

    def _note_answer(
        self, socket: ServerConnection, request: HttpRequest, response: Response
    ) -> None:
        """Take note of a connection before its client can know that it is open."""
        if response.status_code == SWITCHING_PROTOCOLS and self._port.is_serving():
            connection, self._next_connection = self._next_connection, self._next_connection + 1
            client = self._accept(Login(request.path), connection, socket)
            self._clients[connection] = client
            client.closed.add_done_callback(lambda _: self._end(connection))

    async def _handle(self, socket: ServerConnection) -> None:
        """Serve a connection from its handshake to its end."""
        client = next((client for client in self._connected() if client.socket is socket), None)
        if client is None:
            return  # the client left during the handshake
        self._greet(client)
        try:
            async for message in socket:
                self._receive(client, message)
        except ConnectionClosedError:
            _log.debug(
                "connection %d left without a closing handshake", client.subscriptions.connection
            )

    def _end(self, connection: int) -> None:
        self._forget(self._clients.pop(connection))


def app_code(now: float) -> str:
    """Return the second message of a connection: the time in UTC epoch seconds."""
    moment = datetime.fromtimestamp(int(now), UTC).astimezone(IST)
    return text_message({"type": "app_code", "timestamp": moment.isoformat()})


def error(message: str) -> str:
    """Return an error message about a request."""
    return text_message({"type": "error", "data": message})


def text_message(document: dict[str, Any]) -> str:
    """Return a document as Kite writes it."""
    return json.dumps(document, separators=(",", ":"))
