"""The reconnect policy: which failures to retry, and after what delay. Pure; loop thread.

It has no socket, task or clock. Times and random numbers are arguments, so that tests control both.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

from kitepolars.errors import AuthenticationError, ConfigError

HEALTHY_AFTER: Final = 10.0
"""Seconds between a connection's first and last bytes after which its back-off starts over."""

THROTTLED_FACTOR: Final = 4.0
"""The delay after an HTTP 429 is at least this many times the initial delay."""

FATAL_STATUSES: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST})
"""Responses to a handshake that no retry can change: the credentials are wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconnectPolicy:
    """How connections are kept alive. All times are in seconds.

    Parameters
    ----------
    initial_delay
        The delay before the first retry, in seconds, above 0. It doubles with each further one in a
        row, but is never more than ``initial_delay * 10 / lived`` after a connection that delivered
        data for `lived` seconds. Every delay is shortened at random by up to a half, so that
        connections do not retry simultaneously.
    max_delay
        The longest delay in seconds, at least `initial_delay`.
    max_attempts
        Consecutive attempts without lasting data before a connection is given up, 1 and up; None
        for no limit.
    silence
        The timeout in seconds, above 0, after which a connection is replaced if it completes no
        message or heartbeat. Kite sends a heartbeat about every second.
    connect_timeout
        The timeout in seconds, above 0, of a handshake, and of `start()` for the first connections.

    Raises
    ------
    ConfigError
        When a value is out of range.

    Examples
    --------
    >>> ReconnectPolicy(max_attempts=5).max_delay
    60.0
    >>> ReconnectPolicy(silence=0)
    Traceback (most recent call last):
    ...
    kitepolars.errors.ConfigError: silence must be a number of seconds above 0, not 0
    """

    initial_delay: float = 1.0
    max_delay: float = 60.0
    max_attempts: int | None = None
    silence: float = 5.0
    connect_timeout: float = 10.0

    def __post_init__(self) -> None:
        for name in ("initial_delay", "max_delay", "silence", "connect_timeout"):
            _check_seconds(name, getattr(self, name))
        if self.max_delay < self.initial_delay:
            expected = f"at least initial_delay ({self.initial_delay})"
            raise ConfigError("max_delay", self.max_delay, expected)
        attempts = self.max_attempts
        if attempts is not None and (type(attempts) is not int or attempts < 1):
            raise ConfigError("max_attempts", attempts, "a whole number of at least 1, or None")


def _check_seconds(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise ConfigError(name, value, "a number of seconds above 0")


class FailureKind(Enum):
    """What a failure means for the next attempt."""

    FATAL = "fatal"
    """Do not retry with these credentials."""
    THROTTLED = "throttled"
    """The server allows no further connection at present."""
    TRANSIENT = "transient"
    """Retry."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection could not be opened, or ended. It contains no credentials.

    Parameters
    ----------
    reason
        A printable text of bounded length.
    status
        The HTTP status of a rejected handshake, or None.
    """

    reason: str
    status: int | None = None

    @property
    def kind(self) -> FailureKind:
        """What it means for the next attempt."""
        if self.status in FATAL_STATUSES:
            return FailureKind.FATAL
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return FailureKind.THROTTLED
        return FailureKind.TRANSIENT


def authentication_error(account: str, failure: Failure) -> AuthenticationError:
    """Return the error for rejected credentials: what happened, and what to do."""
    return AuthenticationError(
        f"Kite refused the credentials of account {account!r} ({failure.reason}). "
        "Access tokens expire daily at about 06:00 IST: log in again and hand the new token to "
        "ticker.set_access_token(...). It was tried once and is not retried."
    )


class Backoff:
    """The delays of one connection: they grow until data has flowed for a while.

    A handshake alone proves nothing: without a delay, a server that accepts and then closes
    would be called a thousand times a second.

    Parameters
    ----------
    policy
        The bounds.
    chance
        Returns random numbers in [0, 1).

    Examples
    --------
    >>> backoff = Backoff(ReconnectPolicy(), chance=lambda: 0.0)
    >>> [backoff.delay(Failure("refused")) for _ in range(8)]
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    """

    def __init__(
        self,
        policy: ReconnectPolicy,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._chance = chance
        self.attempts = 0
        """Consecutive attempts without lasting data."""

    def delay(self, failure: Failure, *, lived: float = 0.0) -> float | None:
        """Count an attempt that failed or ended, and return the delay before the next one.

        Parameters
        ----------
        failure
            Why it failed or ended.
        lived
            Seconds between the handshake and the last message or heartbeat.

        Returns
        -------
        float or None
            The delay in seconds; None when the attempts are exhausted.
        """
        if lived >= HEALTHY_AFTER:
            self.attempts = 0
        self.attempts += 1
        limit = self._policy.max_attempts
        if limit is not None and self.attempts >= limit:
            return None
        return self._jittered(self._full_delay(failure, lived))

    def reset(self) -> None:
        """Start over, as with a new access token."""
        self.attempts = 0

    def _full_delay(self, failure: Failure, lived: float) -> float:
        """Return the delay before it is shortened at random.

        With the defaults, and full delays:

        - Failures in a row: 1, 2, 4, … 60 s, so six attempts in the first minute, one a minute
          after it.
        - HTTP 429: 4, 4, 4, 8, 16, 32, 60 s, so attempts at 4, 8, 12, 20, 36 and 68 s. A place
          that becomes free T seconds after the first refusal is found by 2·T + 4 s (one freed
          after 15 s at 20 s). Five handshakes in the first minute, one a minute after it: no
          load for the server where another program keeps the places.
        - Connections that keep dying after L seconds of data: at most 10 / L s. A jittered delay
          is 3/4 of that on average, so the share of time connected is L / (L + 7.5 / L):
          12 % for L = 1, 55 % for 3, 77 % for 5, 92 % for 9. There are at most 11 handshakes a
          minute (L = 2.7). At L = 10 the cap is the initial delay, with which the back-off
          starts over anyway; towards L = 0 it vanishes.
        """
        policy = self._policy
        doublings = min(self.attempts - 1, 64)  # beyond that floats overflow
        delay = policy.initial_delay * 2.0**doublings
        if failure.kind is FailureKind.THROTTLED:
            delay = max(delay, THROTTLED_FACTOR * policy.initial_delay)
        if lived > 0:
            delay = min(delay, policy.initial_delay * max(1.0, HEALTHY_AFTER / lived))
        return min(policy.max_delay, delay)

    def _jittered(self, delay: float) -> float:
        return delay * (1.0 - self._chance() / 2.0)
