"""How soon sockets are read: small messages of a steady stream are read together. Loop thread only.

Waking the loop and reading a socket costs 30 to 100 µs however little there is to read, because the
processor has slept or worked for others meanwhile. When messages come one by one, faster than
anybody looks at them, that is most of the cost of a tick. So while messages come quickly, a socket
that was just read is not reported as readable again until much has arrived or a short time has
passed; the system does the waiting (`SO_RCVLOWAT`). A thread that asks for ticks does not wait, and
neither does a flush.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import Final

READ_INTERVAL: Final = 0.01
"""Seconds between two reads of a steady stream; `received_at` may be late by as much."""

ENOUGH: Final = 128 * 1024
"""Bytes that are read at once: half of what asyncio reads at most, so that none are left."""

COMBINED: Final = 5
"""Messages, on average, that a read must combine to be worth the wait and its timer."""

SMOOTHED: Final = 8
"""Reads that the average interval between messages is made of, about."""

_ANY: Final = 1
IS_SUPPORTED: Final = sys.platform == "linux"
"""Whether an event loop heeds the low-water mark: kqueue and Windows have none for sockets."""


class ReadPace:
    """Holds back sockets that were just read, all of them for the same time.

    Parameters
    ----------
    interval
        The longest time in seconds for which something that has arrived is not read; 0 reads
        everything at once.
    """

    def __init__(self, interval: float = 0.0) -> None:
        self._interval = interval if IS_SUPPORTED else 0.0
        self._last = 0  # when any socket was read, in microseconds
        self._gap = self._longest = 1e6 * self._interval  # between messages, smoothed; microseconds
        self._held: set[TransportSocket] = set()
        self._timer: asyncio.TimerHandle | None = None

    def after_read(self, connection: TransportSocket | None, messages: int, read_at: int) -> None:
        """Hold a socket back, if messages come quickly.

        Parameters
        ----------
        connection
            The socket that was read, or None if the event loop shows none.
        messages
            The messages that it brought. Their number does not depend on how they were combined.
        read_at
            When, in microseconds.
        """
        gap, self._last = min(read_at - self._last, self._longest) / max(messages, 1), read_at
        self._gap += (gap - self._gap) / SMOOTHED
        if self._gap < self._longest / COMBINED and connection is not None:
            self._hold(connection)

    def release(self) -> bool:
        """Have everything read that has arrived, in the next turn of the loop.

        Returns
        -------
        bool
            Whether anything was held back.
        """
        held, self._held = self._held, set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in held:
            _set_mark(connection, _ANY)
        return bool(held)

    def _hold(self, connection: TransportSocket) -> None:
        if connection not in self._held:
            self._held.add(connection)
            _set_mark(connection, ENOUGH)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self.release)


def _set_mark(connection: TransportSocket, size: int) -> None:
    with suppress(OSError):  # it was closed meanwhile
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
