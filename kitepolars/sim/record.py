"""What happened in the simulator: written on its loop thread, read and awaited on any thread.

A condition guards all of it. Access tokens are never in it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kitepolars.server.clients import ReceivedRequest
from kitepolars.wire.layouts import Mode

__all__ = ["ConnectionRecord", "Handshake", "Record"]

_KEPT_RECORDS: Final = 10_000


@dataclass(frozen=True)
class Handshake:
    """An attempt to connect.

    Parameters
    ----------
    status
        The HTTP status of the answer; 101 is success.
    api_key
        The API key presented; empty if there was none.
    connection
        The number of the connection, if it was accepted.
    """

    status: int
    api_key: str
    connection: int | None = None


@dataclass(frozen=True)
class ConnectionRecord:
    """A connection at one moment.

    Parameters
    ----------
    id
        Its number; 0 is the first that was accepted.
    api_key, user_id
        The client that it belongs to.
    is_open
        Whether it is still open.
    subscriptions
        Token → mode.
    messages_sent, packets_sent
        What was written to its socket. Texts and heartbeats count as messages without packets.
    """

    id: int
    api_key: str
    user_id: str
    is_open: bool
    subscriptions: Mapping[int, Mode]
    messages_sent: int
    packets_sent: int


@dataclass
class _CountedConnection:
    """A connection and its counters."""

    api_key: str
    user_id: str
    modes: Mapping[int, Mode]
    is_open: bool = True
    messages_sent: int = 0
    packets_sent: int = 0

    def at_this_moment(self, number: int) -> ConnectionRecord:
        return ConnectionRecord(
            number,
            self.api_key,
            self.user_id,
            self.is_open,
            MappingProxyType(dict(self.modes)),
            self.messages_sent,
            self.packets_sent,
        )


class Record:
    """What was received, answered and sent: the latest 10,000 of each kind."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._requests: deque[ReceivedRequest] = deque(maxlen=_KEPT_RECORDS)
        self._handshakes: deque[Handshake] = deque(maxlen=_KEPT_RECORDS)
        self._connections: dict[int, _CountedConnection] = {}
        self._packets_sent = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock around a change, then wake the threads in `wait_for`."""
        with self._condition:
            yield
            self._condition.notify_all()

    def add_handshake(self, handshake: Handshake) -> None:
        """Record an attempt to connect."""
        with self.changing():
            self._handshakes.append(handshake)

    def add_request(self, request: ReceivedRequest) -> None:
        """Record a request of a client."""
        with self.changing():
            self._requests.append(request)

    def opened(
        self, connection: int, api_key: str, user_id: str, modes: Mapping[int, Mode]
    ) -> None:
        """Record a new connection, with a live view of its subscriptions."""
        with self.changing():
            self._connections[connection] = _CountedConnection(api_key, user_id, modes)
            if len(self._connections) > _KEPT_RECORDS:
                oldest = next(n for n, kept in self._connections.items() if not kept.is_open)
                del self._connections[oldest]

    def closed(self, connection: int) -> None:
        """Record the end of a connection."""
        with self.changing():
            if connection in self._connections:
                self._connections[connection].is_open = False

    def sent(self, connection: int, packets: int) -> None:
        """Count a message written to a socket. The caller holds `changing`."""
        counted = self._connections[connection]
        counted.messages_sent += 1
        counted.packets_sent += packets
        self._packets_sent += packets

    @property
    def packets_sent(self) -> int:
        """Packets written to sockets so far."""
        with self._condition:
            return self._packets_sent

    def requests(self) -> list[ReceivedRequest]:
        """Return the requests of clients, in order."""
        with self._condition:
            return list(self._requests)

    def handshakes(self) -> list[Handshake]:
        """Return the attempts to connect, in order."""
        with self._condition:
            return list(self._handshakes)

    def connections(self) -> list[ConnectionRecord]:
        """Return the connections, open and closed, in order."""
        with self._condition:
            return [kept.at_this_moment(number) for number, kept in self._connections.items()]

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Block until a predicate holds or the time is over; return whether it holds."""
        with self._condition:
            return self._condition.wait_for(predicate, timeout)
