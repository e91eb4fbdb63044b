"""The simulator's memory of what happened: written on its thread, read and awaited on any.

One condition guards it. It never holds an access token.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kitepolars.sim.session import Request, Session
from kitepolars.wire.layouts import Mode

__all__ = ["ConnectionRecord", "Handshake", "Record"]

_KEPT: Final = 10_000


@dataclass(frozen=True)
class Handshake:
    """One attempt to connect.

    Parameters
    ----------
    status
        The HTTP status that it was answered with; 101 is success.
    api_key
        As given; empty if there was none.
    connection
        The number of the connection that it became, if it did.
    """

    status: int
    api_key: str
    connection: int | None = None


@dataclass(frozen=True)
class ConnectionRecord:
    """A connection, as it was at one moment.

    Parameters
    ----------
    id
        Its number: 0 for the first that was accepted.
    api_key, user_id
        Whose it is.
    is_open
        Whether it still is.
    subscriptions
        Token → mode.
    messages_sent, packets_sent
        What was handed to its socket while it was open. Texts and heartbeats
        are no packets; a heartbeat is a message.
    """

    id: int
    api_key: str
    user_id: str
    is_open: bool
    subscriptions: Mapping[int, Mode]
    messages_sent: int
    packets_sent: int


class _Entry:
    """The counters of one connection."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_open = True
        self.messages_sent = 0
        self.packets_sent = 0

    def snapshot(self) -> ConnectionRecord:
        session = self.session
        return ConnectionRecord(
            session.connection,
            session.api_key,
            session.user_id,
            self.is_open,
            MappingProxyType(dict(session.modes)),
            self.messages_sent,
            self.packets_sent,
        )


class Record:
    """What was received, answered and sent. The last 10,000 of each kind are kept."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._requests: deque[Request] = deque(maxlen=_KEPT)
        self._handshakes: deque[Handshake] = deque(maxlen=_KEPT)
        self._entries: dict[int, _Entry] = {}
        self._packets_sent = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock around a change, then wake whoever waits for one."""
        with self._condition:
            yield
            self._condition.notify_all()

    def add_handshake(self, handshake: Handshake) -> None:
        """Note an attempt to connect."""
        with self.changing():
            self._handshakes.append(handshake)

    def add_request(self, request: Request) -> None:
        """Note what a client sent."""
        with self.changing():
            self._requests.append(request)

    def opened(self, session: Session) -> None:
        """Note a connection."""
        with self.changing():
            self._entries[session.connection] = _Entry(session)
            if len(self._entries) > _KEPT:
                oldest = next(n for n, entry in self._entries.items() if not entry.is_open)
                del self._entries[oldest]

    def closed(self, connection: int) -> None:
        """Note that a connection has ended."""
        with self.changing():
            if connection in self._entries:
                self._entries[connection].is_open = False

    def sent(self, connection: int, packets: int) -> None:
        """Count a message that was handed to a socket. Wakes nobody: `changing` around it does."""
        entry = self._entries[connection]
        entry.messages_sent += 1
        entry.packets_sent += packets
        self._packets_sent += packets

    @property
    def packets_sent(self) -> int:
        """How many packets were handed to sockets, in all."""
        with self._condition:
            return self._packets_sent

    def requests(self) -> list[Request]:
        """Return what clients sent, in order."""
        with self._condition:
            return list(self._requests)

    def handshakes(self) -> list[Handshake]:
        """Return the attempts to connect, in order."""
        with self._condition:
            return list(self._handshakes)

    def connections(self) -> list[ConnectionRecord]:
        """Return the connections, open and closed, in order."""
        with self._condition:
            return [entry.snapshot() for entry in self._entries.values()]

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Block until a predicate holds; return whether it does."""
        with self._condition:
            return self._condition.wait_for(predicate, timeout)
