"""A scripted server: a market that continues without clients, and counts.

The price of every packet is its number, so that what a client has missed shows in what it has. It
speaks the protocol through websockets alone and shares no code with the package.
"""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

HEARTBEAT = b"\x00"


def message(ticks: dict[int, int]) -> bytes:
    """Return a message of ltp packets: instrument token → last price in paise."""
    packets = (struct.pack(">HII", 8, token, price) for token, price in ticks.items())
    return struct.pack(">H", len(ticks)) + b"".join(packets)


@dataclass
class NumberedMarket:
    """A Kite whose instruments tick together every few milliseconds."""

    interval: float = 0.005
    number: int = 1
    is_heard: bool = True
    """Whether clients take what is sent. What a slow one does not take in time is dropped."""
    refusals: list[int] = field(default_factory=list)
    """HTTP statuses for the next handshakes, the first one first; 200 accepts."""
    url: str = ""
    open: dict[ServerConnection, dict[int, str]] = field(default_factory=dict)
    """The modes subscribed on each open connection."""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, ping_interval=None
        )
        self.url = "ws://{}:{}/".format(*next(iter(self._server.sockets)).getsockname()[:2])
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ticking.cancel()
        self._server.close()
        await self._server.wait_closed()

    @property
    def modes(self) -> dict[int, str]:
        """What is subscribed on all connections together."""
        return {token: mode for modes in self.open.values() for token, mode in modes.items()}

    def send(self, data: bytes) -> None:
        """Send a binary message on every connection."""
        for connection in tuple(self.open):
            self._put(connection, data)

    def close(self) -> None:
        """Close every connection in an orderly way."""
        for connection in tuple(self.open):
            self._closing = asyncio.create_task(connection.close(1001, "maintenance"))

    def _admit(self, connection: ServerConnection, _: Request) -> Response | None:
        status = self.refusals.pop(0) if self.refusals else 200
        return None if status == HTTPStatus.OK else connection.respond(HTTPStatus(status), "no")

    async def _serve(self, connection: ServerConnection) -> None:
        modes = self.open[connection] = {}
        try:
            async for text in connection:
                self._obey(connection, modes, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            del self.open[connection]

    def _obey(
        self, connection: ServerConnection, modes: dict[int, str], asked: dict[str, object]
    ) -> None:
        action, value = asked["a"], asked["v"]
        assert isinstance(value, list)
        if action == "subscribe":
            modes.update(dict.fromkeys(value, "quote"))
            self._put(connection, message(dict.fromkeys(value, self.number)))  # the cached values
        elif action == "unsubscribe":
            for token in value:
                modes.pop(token, None)
        else:
            modes.update(dict.fromkeys(value[1], value[0]))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            self.number += 1
            for connection, modes in tuple(self.open.items()) if self.is_heard else ():
                self._put(
                    connection, message(dict.fromkeys(modes, self.number)) if modes else HEARTBEAT
                )

    def _put(self, connection: ServerConnection, data: bytes) -> None:
        """Send at once, without waiting for a slow client: the transport buffers."""
        if connection.state is not State.OPEN:
            return
        connection.protocol.send_binary(data)
        for part in connection.protocol.data_to_send():
            if part and not connection.transport.is_closing():
                connection.transport.write(part)
