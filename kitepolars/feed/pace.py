"""How soon sockets are read: small pieces of a steady stream are read together. Loop thread only.

Waking the loop and reading a socket costs 30 to 60 µs however little there is to read, because the
processor has slept or worked for others meanwhile. When messages come one by one, faster than
anybody looks at them, that is most of the cost of a tick. So a socket that was just read, and
brought little, is not reported as readable again until enough has arrived or a short time has
passed, if reads come at more than twice that pace; the system does the waiting (`SO_RCVLOWAT`). A
thread that asks for ticks does not wait.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import Final

READ_INTERVAL: Final = 0.004
"""Seconds between two reads that bring little; `received_at` may be late by as much."""

ENOUGH: Final = 64 * 1024
"""Bytes that are read at once: half of what Linux buffers for a socket without being asked."""

SMOOTHED: Final = 8
"""Reads that the average interval between reads is made of, about."""

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
        self._gap = self._longest = 1e6 * self._interval  # between reads, smoothed; microseconds
        self._held: set[TransportSocket] = set()
        self._timer: asyncio.TimerHandle | None = None

    def after_read(self, connection: TransportSocket | None, size: int, read_at: int) -> None:
        """Hold a socket back, if reads come quickly and this one brought little.

        Parameters
        ----------
        connection
            The socket that was read, or None if the event loop shows none.
        size
            The bytes that it brought.
        read_at
            When, in microseconds.
        """
        gap, self._last = min(read_at - self._last, self._longest), read_at
        self._gap += (gap - self._gap) / SMOOTHED
        # At a read every few milliseconds, a timer would cost as much as the reads that it saves.
        if self._gap < self._longest / 2 and size < ENOUGH and connection is not None:
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
