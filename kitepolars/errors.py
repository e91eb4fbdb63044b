"""The errors of kitepolars. This module imports nothing from the package.

::

    KitePolarsError
    ├ ConfigError(ValueError)          .field .value
    ├ AuthenticationError              invalid or expired credentials; never retried
    ├ ConnectionLost                   the allowed attempts have failed; .attempts
    ├ NotRunning(RuntimeError)
    ├ NotLive(RuntimeError)            only a live feed can do this
    ├ CapacityExceeded(ValueError)     .requested .available
    ├ UnknownInstrument(KeyError)      .name .suggestions
    ├ PartitionFailed(RuntimeError)    .partition
    ├ JournalError(OSError)            .path
    └ TableError(OSError)              .path

Where a built-in exception has the same meaning, the error derives from it, so that ordinary
``except`` clauses work. No message contains a credential.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

__all__ = [
    "AuthenticationError",
    "CapacityExceeded",
    "ConfigError",
    "ConnectionLost",
    "JournalError",
    "KitePolarsError",
    "NotLive",
    "NotRunning",
    "PartitionFailed",
    "TableError",
    "UnknownInstrument",
]


_PACKAGE: Final = Path(__file__).parent


class KitePolarsError(Exception):
    """The base class of all errors of kitepolars.

    In IPython, an error is shown in two lines: its message, and the line of yours that caused
    it. ``%tb Verbose`` shows the whole traceback, ``%xmode Verbose`` always shows it.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows for this error."""
        shell = sys.modules["IPython"].get_ipython()
        if shell.InteractiveTB.mode == "Verbose":
            whole: list[str] = shell.InteractiveTB.structured_traceback(
                type(self), self, self.__traceback__, tb_offset=1
            )
            return whole
        frames = traceback.extract_tb(self.__traceback__)
        outside = [frame for frame in frames if not _is_inside(frame.filename)]
        lines = [f"\x1b[0;31m{type(self).__name__}\x1b[0m: {self}"]
        if outside:
            lines.append(f"  {_place(shell, outside[-1])}: {outside[-1].line}")
        return [*lines, "  (%tb Verbose shows the whole traceback)"]


def _is_inside(filename: str) -> bool:
    """Return whether a file belongs to this package."""
    return Path(filename).is_relative_to(_PACKAGE)


def _place(shell: Any, frame: traceback.FrameSummary) -> str:
    """Return where a frame is: ``Cell In[3], line 1`` for a cell."""
    kind, name = shell.compile.format_code_name(frame.filename) or ("File", frame.filename)
    return f"{kind} {name}, line {frame.lineno}"


class ConfigError(KitePolarsError, ValueError):
    """A setting is missing, out of range or of the wrong kind.

    Parameters
    ----------
    field
        The name of the setting.
    value
        The value given. The message contains its ``repr``, so never pass a credential.
    expected
        What the value must be, to complete "field must be …, not value".
    message
        A whole sentence instead, for an error that this pattern does not fit.

    Examples
    --------
    >>> str(ConfigError("rate", -1, "0 or more"))
    'rate must be 0 or more, not -1'
    """

    def __init__(self, field: str, value: object, expected: str = "", *, message: str = "") -> None:
        super().__init__(message or f"{field} must be {expected}, not {value!r}")
        self.field = field
        self.value = value


def check_whole_number(
    field: str, value: object, smallest: int, largest: int | None = None
) -> None:
    """Raise `ConfigError` unless a setting is a whole number of a range, both ends included.

    Examples
    --------
    >>> check_whole_number("levels", 6, 1, 5)
    Traceback (most recent call last):
    ...
    kitepolars.errors.ConfigError: levels must be a whole number from 1 to 5, not 6
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < smallest or (largest is not None and value > largest):  # type: ignore[operator]
        most = "up" if largest is None else f"{largest:,}"
        expected = f"a whole number from {smallest:,} {'' if largest is None else 'to '}{most}"
        raise ConfigError(field, value, expected)


def check_choice(field: str, value: object, choices: object) -> None:
    """Raise `ConfigError` unless a setting is one of the strings of a `Literal`.

    Examples
    --------
    >>> from kitepolars.analytics import Hours
    >>> check_choice("hours", "all", Hours)
    Traceback (most recent call last):
    ...
    kitepolars.errors.ConfigError: hours must be 'exchange' or 'any', not 'all'
    """
    known = get_args(choices)
    if value not in known:
        raise ConfigError(field, value, " or ".join(map(repr, known)))


class AuthenticationError(KitePolarsError):
    """Kite refused the credentials (HTTP 403 or 400). The connection is not retried."""


class ConnectionLost(KitePolarsError):
    """All attempts that the reconnect policy allows have failed.

    Parameters
    ----------
    message
        The message.
    attempts
        The number of consecutive attempts without data.
    """

    def __init__(self, message: str, *, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class NotRunning(KitePolarsError, RuntimeError):
    """The operation needs a running ticker; call ``start()`` first."""


class NotLive(KitePolarsError, RuntimeError):
    """The operation needs a live feed, but the ticker runs on another source."""


class CapacityExceeded(KitePolarsError, ValueError):
    """The accounts cannot subscribe that many instruments. Nothing was sent or changed.

    Parameters
    ----------
    requested
        The number of additional instruments requested.
    available
        The number of instruments for which there is room.
    """

    def __init__(self, requested: int, available: int) -> None:
        super().__init__(
            f"{requested:,} more instruments were requested, but there is room for {available:,}; "
            "nothing was changed. Unsubscribe some, or add an account (kp.Account)."
        )
        self.requested = requested
        self.available = available


class UnknownInstrument(KitePolarsError, KeyError):
    """There is no instrument of that name.

    Parameters
    ----------
    name
        The name given.
    suggestions
        Similar names that exist, best first.
    hint
        What to do if there are none.
    """

    def __init__(self, name: str, suggestions: Sequence[str] = (), *, hint: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.suggestions = tuple(suggestions)
        self.hint = hint

    def __str__(self) -> str:
        """Return the message with its suggestions."""
        text = f"unknown instrument {self.name!r}"
        if self.suggestions:
            text += f"; did you mean {', '.join(self.suggestions)}"
        end = "?" if self.suggestions else "."
        return f"{text}{end} {self.hint}".rstrip()


class PartitionFailed(KitePolarsError, RuntimeError):
    """A function of `map_days` failed for a partition, or its workers died.

    Parameters
    ----------
    partition
        The day, or the range of instrument tokens.
    reason
        What went wrong there.
    """

    def __init__(self, partition: str, reason: str) -> None:
        super().__init__(f"{partition}: {reason}")
        self.partition = partition


class JournalError(KitePolarsError, OSError):
    """A recording cannot be read or written.

    Parameters
    ----------
    message
        What went wrong.
    path
        The file or folder.
    """

    def __init__(self, message: str, *, path: str | PathLike[str]) -> None:
        super().__init__(f"{message}: {path}")
        self.path = path


class TableError(KitePolarsError, OSError):
    """A table of recorded days cannot be read or written.

    Parameters
    ----------
    message
        What is wrong, and what to do.
    path
        The table, or a file in it.

    Examples
    --------
    >>> from kitepolars.days.scan import scan
    >>> try:
    ...     scan("no such folder")
    ... except TableError as error:
    ...     error.path
    'no such folder'
    """

    def __init__(self, message: str, *, path: str | PathLike[str]) -> None:
        super().__init__(f"{message}: {path}")
        self.path = path
