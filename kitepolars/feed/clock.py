"""The feed's clock: anchored to the wall clock, never backwards, and aware of stalls of the loop.

Loop thread. Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

CLOCK_STEP: Final = 0.05
"""The least step of the wall clock that is noticed, in seconds. Slewing, as by NTP, changes the
rate of the monotonic clock as well."""

PULSE: Final = 0.5
"""The interval between two pulses of the loop, in seconds."""

STALL: Final = 3.0
"""The longest stall of the loop that is not a gap, in seconds.

Buffers hold three seconds of a busy market; after the interpreter lock had been held for six
seconds, messages were missing.
"""

SETTLING: Final = STALL
"""Seconds after a stall in which data may still be missing.

What the buffers held comes first, and what the server dropped is missing after that.
"""

_NANOSECONDS: Final = 1_000_000_000
_STEP: Final = round(CLOCK_STEP * _NANOSECONDS)
_STALL_AFTER: Final = round((PULSE + STALL) * _NANOSECONDS)


def _select_elapsed() -> Callable[[], int]:
    """Return the monotonic clock, in nanoseconds, that includes the time of a suspended machine."""
    if sys.platform == "linux":
        return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":  # Python's own monotonic clock stops there
        return partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
    return time.monotonic_ns


_ELAPSED: Final = _select_elapsed()


class Stall(NamedTuple):
    """A time for which the loop did not run.

    Parameters
    ----------
    since
        When it last ran.
    seconds
        The duration.
    """

    since: int
    seconds: float


class ClockChange(NamedTuple):
    """A step of the wall clock.

    Parameters
    ----------
    step
        Microseconds by which it was set forward, or back if negative.
    shift
        Microseconds by which this clock was moved forward with it; 0 where the wall clock was set
        back.
    ahead
        Seconds by which this clock is ahead of the wall clock from now on.
    since
        The pulse before, when the wall clock had not been set: the time by this clock as it was.
    """

    step: int
    shift: int
    ahead: float
    since: int

    def __str__(self) -> str:
        """Return the text for `events()`."""
        if self.shift:
            seconds = self.shift / 1_000_000
            return f"the wall clock was set forward: received_at moves {seconds:,.3f} s with it"
        if self.ahead:
            direction = "forward" if self.step > 0 else "back"
            return (
                f"the wall clock was set {direction}: received_at stays {self.ahead:,.3f} s ahead "
                "of it until the next start, so that no row is earlier than the one before"
            )
        return "the wall clock was set: received_at agrees with it again"


class FeedClock:
    """A monotonic clock that is anchored to the wall clock.

    While the feed runs it is moved forward with the wall clock, and never back. The loop thread
    reads it by `stamp`, any other thread by `now`.

    Parameters
    ----------
    wall
        The wall clock in nanoseconds since the Unix epoch.
    elapsed
        A monotonic clock in nanoseconds that includes the time for which the machine was
        suspended.

    Examples
    --------
    >>> wall, elapsed = [10**9], [0]
    >>> clock = FeedClock(wall=lambda: wall[0], elapsed=lambda: elapsed[0])
    >>> clock.start()
    >>> elapsed[0] += 2 * 10**9
    >>> wall[0] -= 60 * 10**9
    >>> clock.stamp(), clock.pulse()
    (3000000, ClockChange(step=-62000000, shift=0, ahead=62.0, since=1000000))
    """

    def __init__(
        self,
        *,
        wall: Callable[[], int] = time.time_ns,
        elapsed: Callable[[], int] = _ELAPSED,
    ) -> None:
        self.on_stall: Callable[[Stall], object] = lambda _: None
        """Called by the first stamp after a stall of more than `STALL` seconds, before the data
        that arrived meanwhile is processed."""
        self._wall = wall
        self._elapsed = elapsed
        self._offset = wall() - elapsed()
        self._ahead = 0  # of the wall clock, as last reported
        self._stopped_at = 0  # nanoseconds since the epoch
        self._pulse_at = 0  # elapsed nanoseconds
        self._deadline = sys.maxsize  # elapsed nanoseconds; the next pulse is due long before it

    def now(self) -> int:
        """Return the time. Any thread."""
        return (self._elapsed() + self._offset) // 1_000

    def wall(self) -> float:
        """Return the wall clock itself, in seconds since the Unix epoch. Any thread."""
        return self._wall() / _NANOSECONDS

    def stamp(self) -> int:
        """Return the time, after reporting a stall, if any."""
        elapsed = self._elapsed()
        if elapsed > self._deadline:
            self._report_stall(elapsed)
        return (elapsed + self._offset) // 1_000

    def start(self) -> None:
        """Anchor to the wall clock, but not before the last `stop`; expect pulses from now on."""
        elapsed = self._elapsed()
        self._offset = max(self._wall(), self._stopped_at) - elapsed
        self._ahead = 0
        self._expect_pulse(elapsed)

    def stop(self) -> None:
        """Stop expecting pulses."""
        self._stopped_at = self._elapsed() + self._offset
        self._deadline = sys.maxsize

    def pulse(self) -> ClockChange | None:
        """Show that the loop runs, every `PULSE` seconds; return a step of the wall clock."""
        since = (self._pulse_at + self._offset) // 1_000
        self.stamp()
        before, wall, after = self._elapsed(), self._wall(), self._elapsed()
        self._expect_pulse(after)
        if after - before > _STEP:  # interrupted between the readings: they say nothing
            return None
        difference = wall - (before + self._offset)
        step = (difference + self._ahead) // 1_000
        if difference > _STEP:
            self._offset += difference
            self._ahead = 0
            return ClockChange(step, difference // 1_000, 0.0, since)
        ahead = -difference if difference < -_STEP else 0
        if abs(ahead - self._ahead) <= _STEP:
            return None
        self._ahead = ahead
        return ClockChange(step, 0, ahead / _NANOSECONDS, since)

    def _expect_pulse(self, elapsed: int) -> None:
        self._pulse_at = elapsed
        self._deadline = elapsed + _STALL_AFTER

    def _report_stall(self, elapsed: int) -> None:
        since = self._pulse_at
        self._expect_pulse(elapsed)
        self.on_stall(Stall((since + self._offset) // 1_000, (elapsed - since) / _NANOSECONDS))
