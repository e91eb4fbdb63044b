"""Every error of kitepolars. This module imports nothing of the package.

::

    KitePolarsError
    ├ ConfigError(ValueError)          .field .value
    ├ AuthenticationError              fatal: a bad or expired token, never retried
    ├ ConnectionLost                   attempts exhausted; .attempts
    ├ NotRunning(RuntimeError)
    ├ NotLive(RuntimeError)            a recording cannot be told what to deliver
    ├ CapacityExceeded(ValueError)     .requested .available
    ├ UnknownInstrument(KeyError)      .name .suggestions
    └ JournalError(OSError)            .path

An error is also the builtin that it resembles, so that ordinary ``except``
clauses work. No message ever holds a credential.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

__all__ = [
    "AuthenticationError",
    "CapacityExceeded",
    "ConfigError",
    "ConnectionLost",
    "JournalError",
    "KitePolarsError",
    "NotLive",
    "NotRunning",
    "UnknownInstrument",
]


class KitePolarsError(Exception):
    """The root of everything that kitepolars raises on purpose."""


class ConfigError(KitePolarsError, ValueError):
    """A setting is out of range or of the wrong kind.

    Parameters
    ----------
    field
        The name of the setting.
    value
        What was given. Its ``repr`` is shown, so never pass a credential.
    expected
        What would have been right, in words.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} must be {expected}, not {value!r}")
        self.field = field
        self.value = value


class AuthenticationError(KitePolarsError):
    """Kite refused the credentials (HTTP 403 or 400). It is never retried."""


class ConnectionLost(KitePolarsError):
    """The attempts that the reconnect policy allows are exhausted.

    Parameters
    ----------
    message
        What was lost.
    attempts
        How many attempts were made in a row without data.
    """

    def __init__(self, message: str, *, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class NotRunning(KitePolarsError, RuntimeError):
    """The ticker is not running, and what was asked needs it to run."""


class NotLive(KitePolarsError, RuntimeError):
    """What was asked needs a live feed, and the ticker runs on a recording."""


class CapacityExceeded(KitePolarsError, ValueError):
    """There is no room for that many instruments. Nothing was sent or changed.

    Parameters
    ----------
    requested
        How many new instruments were asked for.
    available
        How many places are free.
    """

    def __init__(self, requested: int, available: int) -> None:
        super().__init__(
            f"{requested:,} more instruments were requested and {available:,} places are free; "
            "nothing was changed. Unsubscribe some, or add an account (kp.Account)."
        )
        self.requested = requested
        self.available = available


class UnknownInstrument(KitePolarsError, KeyError):
    """A name is in no known list of instruments.

    Parameters
    ----------
    name
        What was asked for.
    suggestions
        Close names that exist, best first.
    hint
        What to do next, when there is nothing to suggest.
    """

    def __init__(self, name: str, suggestions: Sequence[str] = (), *, hint: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.suggestions = tuple(suggestions)
        self.hint = hint

    def __str__(self) -> str:
        """Say the name, and what might have been meant."""
        text = f"unknown instrument {self.name!r}"
        if self.suggestions:
            text += f"; did you mean {', '.join(self.suggestions)}"
        end = "?" if self.suggestions else "."
        return f"{text}{end} {self.hint}".rstrip()


class JournalError(KitePolarsError, OSError):
    """A recording cannot be read or written.

    Parameters
    ----------
    message
        What went wrong.
    path
        Where.
    """

    def __init__(self, message: str, *, path: str | PathLike[str]) -> None:
        super().__init__(f"{message}: {path}")
        self.path = path
