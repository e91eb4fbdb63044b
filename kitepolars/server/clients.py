"""A connected client: what it has subscribed, as Kite keeps it, and its socket.

`Subscriptions` knows neither socket nor clock; `ConnectedClient` lives on the loop thread of its
server.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from kitepolars.wire.control import TOKEN_RANGE
from kitepolars.wire.layouts import Mode

__all__ = ["ConnectedClient", "ReceivedRequest", "Subscriptions"]

TOO_SLOW: Final = 1013
"""The WebSocket close code "try again later", for a client that reads too slowly."""

DROP_GRACE: Final = 0.5
"""Seconds that a client which is dropped has to read why."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A text message that a client sent.

    Parameters
    ----------
    connection
        The number of the connection.
    action
        ``"subscribe"``, ``"unsubscribe"``, ``"mode"``, or empty for anything else.
    tokens
        The instrument tokens in it, in order; tokens sent as strings are ignored.
    mode
        The mode of a mode request.
    text
        The message itself.
    """

    connection: int
    action: str
    tokens: tuple[int, ...]
    mode: Mode | None
    text: str


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
            self.unsubscribe(request.tokens)
        elif request.mode is not None:
            mode = request.mode
            self.modes.update({token: mode for token in request.tokens if token in self.modes})
        self.version += 1
        return request, error

    def unsubscribe(self, tokens: Iterable[int]) -> None:
        """Forget instruments, and free their places."""
        for token in tokens:
            self._taken -= self._places.pop(token, 0)
            self.modes.pop(token, None)
            self.snapshots_owed.discard(token)

    def _subscribe(self, tokens: Iterable[int]) -> str | None:
        for token in tokens:
            if self._taken >= self.limit:
                return f"Can't subscribe to more than {self.limit} instruments"
            self._places[token] += 1
            self._taken += 1
            self.modes[token] = Mode.QUOTE
            self.snapshots_owed.add(token)
        return None

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
    return tuple(value for value in values if type(value) is int and value in TOKEN_RANGE)


class ConnectedClient:
    """A client and its socket.

    Parameters
    ----------
    subscriptions
        What the client has subscribed.
    socket
        The WebSocket, whose handshake may still be under way.
    write_buffer
        The most bytes that may wait for the client before it is dropped.
    """

    def __init__(
        self, subscriptions: Subscriptions, socket: ServerConnection, *, write_buffer: int
    ) -> None:
        self.subscriptions = subscriptions
        self.socket = socket
        loop = asyncio.get_running_loop()
        self.closed = loop.create_task(socket.wait_closed())
        """Done when the connection has ended, even if the client left during the handshake."""
        self.last_sent = loop.time()
        self._write_buffer = write_buffer

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self.socket.protocol.state is State.OPEN and not self.socket.transport.is_closing()

    @property
    def counts(self) -> bool:
        """Whether it counts as a connection: not once it is closing."""
        return self.socket.protocol.state in (State.CONNECTING, State.OPEN)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client has not taken yet, beyond those in the system's buffers."""
        return self.socket.transport.get_write_buffer_size()

    def write(self, message: bytes | str) -> bool:
        """Send a message without waiting, and return whether it was; see `too_slow`."""
        if not self.is_open:
            return False
        broadcast([self.socket], message)
        self._sent()
        return True

    def write_frames(self, frames: bytes) -> bool:
        """Send complete WebSocket frames as they are: final, unmasked and uncompressed.

        Nothing else is ever under way in between, because messages are not fragmented here.
        """
        if not self.is_open:
            return False
        self.socket.transport.write(frames)
        self._sent()
        return True

    def too_slow(self) -> None:
        """Drop the client, because more bytes wait for it than `write_buffer`."""
        reason = f"reads too slowly: {self.waiting_bytes:,} bytes wait"
        self.drop(TOO_SLOW, reason)

    def drop(self, code: int, reason: str) -> None:
        """Close with a code and a reason, and without them if the client does not read them."""
        if self.is_open:
            self.socket.protocol.send_close(code, reason)
            self.socket.transport.writelines(self.socket.protocol.data_to_send())
            asyncio.get_running_loop().call_later(DROP_GRACE, self.abort)

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""
        self.socket.transport.abort()

    def _sent(self) -> None:
        self.last_sent = asyncio.get_running_loop().time()
        if self.waiting_bytes > self._write_buffer:
            self.too_slow()
