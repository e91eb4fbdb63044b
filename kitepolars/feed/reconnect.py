"""The reconnect policy: what is worth retrying, and how long to wait. Pure; loop thread.

No socket, no task and no clock: time and chance are handed in, so that the
tests own both.
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
"""Seconds between a connection's first and last bytes after which its back-off starts afresh."""

FATAL_STATUSES: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST})
"""Answers to a handshake that no retry can better: the credentials are wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconnectPolicy:
    """How connections are kept alive. All times are in seconds.

    Parameters
    ----------
    initial_delay
        The delay before the first retry; it doubles with each further one. Every delay
        is shortened at random by up to a half, so that connections do not come in step.
    max_delay
        The longest delay, at least `initial_delay`.
    max_attempts
        Attempts in a row without lasting data before a connection is given up; None is for ever.
    silence
        A connection on which no byte arrived for this long is replaced. Kite sends a
        heartbeat about every second.
    connect_timeout
        The longest a handshake may take, and `start()` waits for the first connections.

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


class Verdict(Enum):
    """What a failure means for the next attempt."""

    FATAL = "fatal"
    """Never again with these credentials."""
    THROTTLED = "throttled"
    """The server has no room for this connection: wait long."""
    TRANSIENT = "transient"
    """Worth another attempt."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection did not open, or ended. It never holds a credential.

    Parameters
    ----------
    reason
        In words, printable and bounded.
    status
        The HTTP status of a refused handshake, or None.
    """

    reason: str
    status: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What it means for the next attempt."""
        if self.status in FATAL_STATUSES:
            return Verdict.FATAL
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return Verdict.THROTTLED
        return Verdict.TRANSIENT


def authentication_error(account: str, failure: Failure) -> AuthenticationError:
    """Return the error for refused credentials: what happened and what to do."""
    return AuthenticationError(
        f"Kite refused the credentials of account {account!r} ({failure.reason}). "
        "Access tokens expire daily at about 06:00 IST: log in again and hand the new token to "
        "ticker.set_access_token(...). It was tried once and is not retried."
    )


class Backoff:
    """The delays of one connection: they grow until data has flowed for a while.

    A handshake alone proves nothing: a server that accepts and then closes
    would be called a thousand times a second.

    Parameters
    ----------
    policy
        The bounds.
    chance
        Gives random numbers in [0, 1).

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
        """Attempts in a row that came to nothing lasting."""

    def delay(self, failure: Failure, *, lived: float = 0.0) -> float | None:
        """Count an attempt that failed or ended, and say how long to wait before the next.

        Parameters
        ----------
        failure
            Why it failed or ended.
        lived
            Seconds between the first and the last bytes that it received.

        Returns
        -------
        float or None
            Seconds to wait; None when the attempts are exhausted.
        """
        if lived >= HEALTHY_AFTER:
            self.attempts = 0
        self.attempts += 1
        limit = self._policy.max_attempts
        if limit is not None and self.attempts >= limit:
            return None
        return self._jittered(self._full_delay(failure))

    def reset(self) -> None:
        """Start afresh, as with a new access token."""
        self.attempts = 0

    def _full_delay(self, failure: Failure) -> float:
        policy = self._policy
        if failure.verdict is Verdict.THROTTLED:
            return policy.max_delay
        doublings = min(self.attempts - 1, 64)  # beyond that floats overflow
        return min(policy.max_delay, policy.initial_delay * 2.0**doublings)

    def _jittered(self, delay: float) -> float:
        return delay * (1.0 - self._chance() / 2.0)
