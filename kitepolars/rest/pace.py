"""The rate limit of requests, shared by all threads of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """Spaces requests evenly, so that no more than a number start per second.

    Parameters
    ----------
    per_second
        How many.
    clock
        Seconds that only grow.
    sleep
        Waits for seconds.

    Examples
    --------
    >>> waits = []
    >>> pace = Pace(4, clock=lambda: 0.0, sleep=waits.append)
    >>> for _ in range(3):
    ...     pace.wait()
    >>> waits
    [0.25, 0.5]
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")  # guarded by the lock

    def wait(self) -> None:
        """Wait for this thread's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Wait, and let every other thread wait at least as long: the server asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
        self._sleep(seconds)
