"""One connection of the simulator: its session, its socket, and what is written to it.

Lives on the simulator's event loop. Writing never waits for the client.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from kitepolars.sim.record import Record
from kitepolars.sim.session import Session

__all__ = ["Line", "takes_a_place"]

_LOGGER: Final = logging.getLogger(__name__)


def takes_a_place(socket: ServerConnection) -> bool:
    """Tell whether a socket counts against the limit of its API key: a closing one does not."""
    return socket.protocol.state in (State.CONNECTING, State.OPEN)


class Line:
    """A session and its socket.

    Parameters
    ----------
    session
        What the client has subscribed.
    socket
        The open WebSocket.
    record
        Where what is sent is counted. Its lock is held around `write`.
    write_buffer
        Bytes that may wait for the client; beyond, it is dropped.
    is_silent
        Whether nothing is sent at all.
    """

    def __init__(
        self,
        session: Session,
        socket: ServerConnection,
        record: Record,
        *,
        write_buffer: int,
        is_silent: bool,
    ) -> None:
        self.session = session
        self.socket = socket
        self.is_silent = is_silent
        loop = asyncio.get_running_loop()
        self.closed = loop.create_task(socket.wait_closed())
        """Done when the connection has ended, even one whose client left before it began."""
        self.last_sent = loop.time()
        self._record = record
        self._write_buffer = write_buffer

    def write(self, message: bytes | str, packets: int = 0) -> None:
        """Hand a message to the socket if it is open; drop a client that reads too slowly."""
        transport = self.socket.transport
        is_open = self.socket.protocol.state is State.OPEN and not transport.is_closing()
        if self.is_silent or not is_open:
            return
        broadcast([self.socket], message)
        self.last_sent = asyncio.get_running_loop().time()
        self._record.sent(self.session.connection, packets)
        if transport.get_write_buffer_size() > self._write_buffer:
            _LOGGER.info("connection %d reads too slowly and is dropped", self.session.connection)
            self.abort()

    def be_silent(self, *, on: bool, pongs: bool) -> None:
        """Say nothing from now on, or speak again; without pongs nothing is read either."""
        self.is_silent = on
        if on and not pongs:
            self.socket.transport.pause_reading()
        else:
            self.socket.transport.resume_reading()

    def abort(self) -> None:
        """Cut off, without a closing handshake."""
        self.socket.transport.abort()
