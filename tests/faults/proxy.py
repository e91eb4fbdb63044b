"""A loopback TCP proxy that breaks connections in the ways in which networks and servers do."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

NO_LINGER = struct.pack("ii", 1, 0)


class Admission(Enum):
    """What becomes of a new connection."""

    FORWARD = "forward"
    HANG = "accept it and answer nothing"
    CLOSE = "accept it and close"


@dataclass
class Line:
    """A client's connection, and the server's end of it while there is one."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    is_frozen: bool = False
    """Whether what the server sends is thrown away."""


@dataclass
class Proxy:
    """A proxy before a server on loopback."""

    target: str
    admission: Admission = Admission.FORWARD
    lines: list[Line] = field(default_factory=list)
    url: str = ""
    is_known: bool = True
    """Whether its name is resolved."""
    port: int = 0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self._listen()
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://localhost:{self.port}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.close()
        for line in tuple(self.lines):
            self._cut(line)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def refuse(self) -> None:
        """Listen no more: new connections are refused by the system."""
        self._server.close()

    async def mend(self) -> None:
        """Let new connections through again."""
        self.admission, self.is_known = Admission.FORWARD, True
        if not self._server.is_serving():
            await self._listen()

    async def resolve(self, _: str, port: int, **__: Any) -> list[Any]:
        """Resolve the name of this machine, in place of the system."""
        if not self.is_known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
        return [address]

    def reset(self) -> None:
        """Cut every connection with a TCP reset."""
        for line in tuple(self.lines):
            plain = line.client.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._cut(line)

    def end(self) -> None:
        """End every connection without a WebSocket close, as a proxy that is restarted does."""
        for line in tuple(self.lines):
            line.client.close()

    def freeze(self) -> None:
        """Leave every connection open and forward nothing more: half-open, or silent."""
        for line in self.lines:
            line.is_frozen = True

    def inject(self, data: bytes) -> None:
        """Send bytes of our own to every client, between two messages of the server's."""
        for line in self.lines:
            if data and not line.client.is_closing():
                line.client.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = Line(writer)
        self.lines.append(line)
        try:
            await self._run(line, reader)
        except (OSError, asyncio.CancelledError):
            pass  # an end has gone, or the test is over
        finally:
            self._cut(line)
            self._tasks.discard(task)

    async def _run(self, line: Line, reader: asyncio.StreamReader) -> None:
        if self.admission is Admission.CLOSE:
            return
        if self.admission is Admission.HANG:
            await reader.read()
            return
        host, _, port = self.target.removeprefix("ws://").rstrip("/").partition(":")
        answers, line.server = await asyncio.open_connection(host, int(port))
        towards = asyncio.create_task(self._pump(reader, line.server))
        back = asyncio.create_task(self._answer(answers, line))
        _, pending = await asyncio.wait([towards, back], return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(towards, back, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def _answer(self, reader: asyncio.StreamReader, line: Line) -> None:
        while data := await reader.read(65_536):
            if not line.is_frozen:
                line.client.write(data)

    def _cut(self, line: Line) -> None:
        if line in self.lines:
            self.lines.remove(line)
        for writer in (line.client, line.server):
            if writer is not None:
                writer.transport.abort()
