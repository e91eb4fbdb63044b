"""The simulated exchange as a process of its own, started and ended from here. Main thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from kitepolars.errors import KitePolarsError

GRACE: Final = 5.0
"""Seconds that the process may take to end once it was asked to."""


class ExchangeError(KitePolarsError):
    """The simulated exchange did not start."""


class Exchange:
    """A simulated Kite in a process of its own, as the real one is on a machine of its own.

    It takes its time from no one here, and what it costs is not counted as
    ours. It ends when its standard input closes, so it cannot outlive this
    process, whatever ends it.

    Parameters
    ----------
    options
        Words for ``python -m kitepolars.sim``, besides the port.

    Raises
    ------
    ExchangeError
        On entering, if the process ends before it says where it listens.
    """

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._command = [sys.executable, "-m", "kitepolars.sim", "--port", "0", *options]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it, and wait until it says where it listens."""
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for us; the exchange ends when we do.
            process_group=0 if os.name == "posix" else None,
        )
        assert self._process.stdout is not None  # noqa: S101 (PIPE was asked for)
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            self._end()
            raise ExchangeError("the simulated exchange ended before it listened; see above")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=GRACE)  # closes its standard input
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
