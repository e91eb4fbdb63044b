"""One connected client: what it has subscribed, as Kite keeps it, and its socket.

`Subscriptions` knows neither socket nor clock; `ConnectedClient` lives on the loop thread of the
simulator.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from kitepolars.sim.record import ReceivedRequest, Record
from kitepolars.wire.layouts import Mode

__all__ = ["ConnectedClient", "Subscriptions", "counts_against_limit"]

_TOKEN_LIMIT: Final = 1 << 32
_LOGGER: Final = logging.getLogger(__name__)


class Subscriptions:
    """The instruments and modes of one connection, and the snapshots that it is owed.

    Parameters
    ----------
    connection
        The number of the connection.
    api_key, user_id
        The client that it belongs to.
    limit
        The number of places. Every token in a subscribe request takes one, also a token that is
        subscribed already; an unsubscribe frees all places of a token.
    """

    def __init__(self, connection: int, api_key: str, user_id: str, *, limit: int) -> None:
        self.connection = connection
        self.api_key = api_key
        self.user_id = user_id
        self.limit = limit
        self.modes: dict[int, Mode] = {}
        self.snapshots_owed: set[int] = set()
        self.version = 0
        """Changes with every request that may have changed `modes`."""
        self._places: Counter[int] = Counter()
        self._taken = 0

    def receive(self, text: str | bytes) -> tuple[ReceivedRequest, str | None]:
        """Carry out a request, whatever it contains.

        Returns
        -------
        request
            What was understood of it.
        error
            The error message for the client, if any.
        """
        request = self._parse(text)
        error = None
        if request.action == "subscribe":
            error = self._subscribe(request.tokens)
        elif request.action == "unsubscribe":
            self._unsubscribe(request.tokens)
        elif request.mode is not None:
            mode = request.mode
            self.modes.update({token: mode for token in request.tokens if token in self.modes})
        self.version += 1
        return request, error

    def _subscribe(self, tokens: Iterable[int]) -> str | None:
        for token in tokens:
            if self._taken >= self.limit:
                return f"Can't subscribe to more than {self.limit} instruments"
            self._places[token] += 1
            self._taken += 1
            self.modes[token] = Mode.QUOTE
            self.snapshots_owed.add(token)
        return None

    def _unsubscribe(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self._taken -= self._places.pop(token, 0)
            self.modes.pop(token, None)
            self.snapshots_owed.discard(token)

    def _parse(self, text: str | bytes) -> ReceivedRequest:
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        match _json(shown):
            case {"a": "mode", "v": [str(mode), list(tokens)]} if mode in set(Mode):
                return ReceivedRequest(self.connection, "mode", _numbers(tokens), Mode(mode), shown)
            case {"a": "subscribe" | "unsubscribe" as action, "v": list(tokens)}:
                return ReceivedRequest(self.connection, action, _numbers(tokens), None, shown)
        return ReceivedRequest(self.connection, "", (), None, shown)


def _json(text: str) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None  # Kite does not answer this either
    return document


def _numbers(values: list[Any]) -> tuple[int, ...]:
    """Return the values that can be tokens. Kite silently ignores tokens sent as strings."""
    return tuple(value for value in values if type(value) is int and 0 <= value < _TOKEN_LIMIT)


def counts_against_limit(socket: ServerConnection) -> bool:
    """Return whether a socket counts as a connection of its API key: not once it is closing."""
    return socket.protocol.state in (State.CONNECTING, State.OPEN)


class ConnectedClient:
    """A client and its socket.

    Parameters
    ----------
    subscriptions
        What the client has subscribed.
    socket
        The open WebSocket.
    record
        Counts what is sent. Its lock is held around `write`.
    write_buffer
        The most bytes that may wait for the client before it is dropped.
    is_silent
        Whether nothing is sent at all.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        socket: ServerConnection,
        record: Record,
        *,
        write_buffer: int,
        is_silent: bool,
    ) -> None:
        self.subscriptions = subscriptions
        self.socket = socket
        self.is_silent = is_silent
        loop = asyncio.get_running_loop()
        self.closed = loop.create_task(socket.wait_closed())
        """Done when the connection has ended, even if the client left during the handshake."""
        self.last_sent = loop.time()
        self._record = record
        self._write_buffer = write_buffer

    def write(self, message: bytes | str, packets: int = 0) -> None:
        """Send a message without waiting; drop a client that reads too slowly."""
        transport = self.socket.transport
        is_open = self.socket.protocol.state is State.OPEN and not transport.is_closing()
        if self.is_silent or not is_open:
            return
        broadcast([self.socket], message)
        self.last_sent = asyncio.get_running_loop().time()
        self._record.sent(self.subscriptions.connection, packets)
        if transport.get_write_buffer_size() > self._write_buffer:
            _LOGGER.info(
                "connection %d reads too slowly and is dropped", self.subscriptions.connection
            )
            self.abort()

    def silence(self, *, on: bool, pongs: bool) -> None:
        """Send nothing from now on, or send again; without pongs nothing is read either."""
        self.is_silent = on
        if on and not pongs:
            self.socket.transport.pause_reading()
        else:
            self.socket.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""
        self.socket.transport.abort()
