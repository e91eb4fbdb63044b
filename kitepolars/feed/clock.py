"""The feed's clock: it runs like the wall clock, never backwards, and notices when it was not read.

Loop thread. Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

CLOCK_STEP: Final = 0.05
"""Seconds by which the wall clock must differ to count as set. Slewing, as by NTP, moves the
monotonic clocks of all systems along with it."""

PULSE: Final = 0.5
"""Seconds between two looks at the clock."""

STALL: Final = 3.0
"""Seconds for which the loop may stand still without a gap in the data.

With three seconds of a busy market in their buffers, neither Linux nor Kite drops anything; where
the interpreter's lock was held for six seconds, messages were missing.
"""

_SECOND: Final = 1_000_000_000
_STEP: Final = round(CLOCK_STEP * _SECOND)
_PATIENCE: Final = round((PULSE + STALL) * _SECOND)


def _select_elapsed() -> Callable[[], int]:
    """Return the monotonic clock in nanoseconds that goes on while the machine is suspended."""
    if sys.platform == "linux":
        return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":  # Python's own monotonic clock stops there
        return partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
    return time.monotonic_ns


_ELAPSED: Final = _select_elapsed()


class Stall(NamedTuple):
    """The loop stood still.

    Parameters
    ----------
    since
        When it was last known to run.
    seconds
        For how long it did not.
    """

    since: int
    seconds: float


class ClockChange(NamedTuple):
    """The wall clock was set.

    Parameters
    ----------
    shift
        Microseconds by which this clock was moved forward with it; 0 where the wall clock was set
        back.
    ahead
        Seconds by which this clock is ahead of the wall clock from now on.
    """

    shift: int
    ahead: float

    def __str__(self) -> str:
        """Say what happened, in a sentence for `events()`."""
        if self.shift:
            seconds = self.shift / 1_000_000
            return f"the wall clock was set forward: received_at moves {seconds:,.3f} s with it"
        if self.ahead:
            return (
                f"the wall clock was set back: received_at stays {self.ahead:,.3f} s ahead of it "
                "until the next start, so that no row is earlier than the one before"
            )
        return "the wall clock was set: received_at agrees with it again"


class FeedClock:
    """A monotonic clock that is anchored to the wall clock.

    While the feed runs it is moved forward with the wall clock, and never back. The loop thread
    reads it by `stamp`, any other thread by `now`.

    Parameters
    ----------
    on_stall
        Called by the first stamp after the loop stood still for `STALL` seconds, before that stamp
        is returned: before anybody looks at what arrived meanwhile.
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
    (3000000, ClockChange(shift=0, ahead=62.0))
    """

    def __init__(
        self,
        on_stall: Callable[[Stall], object] = lambda _: None,
        *,
        wall: Callable[[], int] = time.time_ns,
        elapsed: Callable[[], int] = _ELAPSED,
    ) -> None:
        self._on_stall = on_stall
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

    def stamp(self) -> int:
        """Return the time, after reporting a stall if there was one."""
        elapsed = self._elapsed()
        if elapsed > self._deadline:
            self._report_stall(elapsed)
        return (elapsed + self._offset) // 1_000

    def start(self) -> None:
        """Agree with the wall clock, but give no time before the last `stop`; expect pulses."""
        elapsed = self._elapsed()
        self._offset = max(self._wall(), self._stopped_at) - elapsed
        self._ahead = 0
        self._expect_pulse(elapsed)

    def stop(self) -> None:
        """Expect no more pulses."""
        self._stopped_at = self._elapsed() + self._offset
        self._deadline = sys.maxsize

    def pulse(self) -> ClockChange | None:
        """Say that the loop runs, every `PULSE` seconds; return whether the wall clock was set."""
        self.stamp()
        before, wall, after = self._elapsed(), self._wall(), self._elapsed()
        self._expect_pulse(after)
        if after - before > _STEP:  # interrupted between the readings: they say nothing
            return None
        difference = wall - (before + self._offset)
        if difference > _STEP:
            self._offset += difference
            self._ahead = 0
            return ClockChange(difference // 1_000, 0.0)
        ahead = -difference if difference < -_STEP else 0
        if abs(ahead - self._ahead) <= _STEP:
            return None
        self._ahead = ahead
        return ClockChange(0, ahead / _SECOND)

    def _expect_pulse(self, elapsed: int) -> None:
        self._pulse_at = elapsed
        self._deadline = elapsed + _PATIENCE

    def _report_stall(self, elapsed: int) -> None:
        since = self._pulse_at
        self._expect_pulse(elapsed)
        self._on_stall(Stall((since + self._offset) // 1_000, (elapsed - since) / _SECOND))
