"""The control socket: requests of other processes to a recorder, as lines of JSON.

A client sends ``{"do": "subscribe", …}`` and gets ``{"ok": true, …}`` or ``{"ok": false, "error":
…, "message": …}``. The socket is accessible to its owner only (mode 0600), because every
client may do everything.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kitepolars.errors import (
    AuthenticationError,
    CapacityExceeded,
    KitePolarsError,
    NotRunning,
    UnknownInstrument,
)
from kitepolars.recorder.places import SOCKET, connect, short_path
from kitepolars.secret import Secret

MAX_LINE: Final = 4 * 2**20
"""Bytes of a request at most: 100,000 instruments are about one million."""

CONTROL_TIMEOUT: Final = 10.0
"""Seconds that a client waits for an answer."""

Handler = Callable[[dict[str, Any]], Mapping[str, Any]]


class ControlServer:
    """Answers requests on a journal's control socket. Loop thread.

    Parameters
    ----------
    folder
        The journal's folder.
    handlers
        Name of a request → what does it and returns the answer; it may raise the package's errors.
    """

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = folder / SOCKET
        self._handlers = handlers
        self._clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The socket of a recorder that was killed is replaced."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with short_path(self._path) as path:
                self._server = await asyncio.start_unix_server(self._serve, path, limit=MAX_LINE)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
            for client in tuple(self._clients):
                client.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            with suppress(OSError, ValueError):  # the client disconnected, or sent too much
                while line := await reader.readline():
                    writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                    await writer.drain()
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request.pop("do")]
        except (ValueError, AttributeError, TypeError, KeyError):
            return _describe(KitePolarsError("the recorder knows no such request"))
        try:
            return {"ok": True, **handler(request)}
        except KitePolarsError as error:
            return _describe(error)
        except (TypeError, KeyError, ValueError):  # whose text may hold a token
            return _describe(KitePolarsError("the request is malformed"))


class Recorder:
    """A running recorder, as another process sees it. Any thread.

    Parameters
    ----------
    folder
        The journal's folder.

    Raises
    ------
    NotRunning
        When no recorder writes that journal.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.ask("status")

    def ask(self, request: str, **values: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Parameters
        ----------
        request
            ``"status"``, ``"unwritten"``, ``"subscribe"``, ``"unsubscribe"``,
            ``"set_access_token"`` or ``"stop"``.
        values
            Its arguments; a credential as a `Secret`, which is revealed on the socket only.

        Raises
        ------
        NotRunning
            When there is no recorder, or it does not answer.
        KitePolarsError
            What the recorder raised.
        """
        try:
            with connect(self.folder, CONTROL_TIMEOUT) as client, client.makefile("rwb") as stream:
                stream.write(_line({"do": request, **values}))
                stream.flush()
                line = stream.readline(MAX_LINE)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotRunning(f"no recorder answers in {self.folder}: {reason}") from None
        if not line:
            raise NotRunning(f"the recorder in {self.folder} ended")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise _error(answer)
        return answer


def _line(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, default=Secret.reveal).encode() + b"\n"


_DETAILS: Final[Mapping[type[KitePolarsError], tuple[str, ...]]] = {
    CapacityExceeded: ("requested", "available"),
    UnknownInstrument: ("name",),
}
"""Errors that are made of other things than a message."""


def _describe(error: KitePolarsError) -> dict[str, Any]:
    """Return an error as an answer."""
    details = [getattr(error, name) for name in _DETAILS.get(type(error), ())]
    kind = type(error).__name__
    return {"ok": False, "error": kind, "message": str(error), "details": details}


def _error(answer: Mapping[str, Any]) -> KitePolarsError:
    """Return the error that an answer describes."""
    message = str(answer["message"])
    match answer["error"]:
        case AuthenticationError.__name__:
            return AuthenticationError(message)
        case CapacityExceeded.__name__:
            return CapacityExceeded(*answer["details"])
        case UnknownInstrument.__name__:
            return UnknownInstrument(*answer["details"])
        case _:
            return KitePolarsError(message)
