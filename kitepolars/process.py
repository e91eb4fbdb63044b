"""A server in a process of its own: started, spoken to and ended from here. Any thread."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final, Self

GRACE: Final = 5.0
"""Seconds that the process may take to end once it was asked to."""


class ServerProcess:
    """A module that is run by an interpreter of its own, for as long as this is entered.

    It takes its time from no one here, and what it costs is not counted as
    ours. It must say where it listens in its first line, and end when its
    standard input closes: so it cannot outlive this process, whatever ends it.

    Parameters
    ----------
    module
        What ``python -m`` is to run.
    options
        The words that follow.

    Raises
    ------
    ChildProcessError
        On entering and reading, if the process ends before it says anything.
    """

    _process: subprocess.Popen[str]

    def __init__(self, module: str, *options: str) -> None:
        self._module = module
        self._command = [sys.executable, "-m", module, *options]
        self.url = ""

    def __enter__(self) -> Self:
        """Start it, and wait until it says where it listens."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for us; the server ends when we do.
            process_group=0 if os.name == "posix" else None,
        )
        try:
            self.url = self.read_line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._end()

    def write_line(self, line: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None  # noqa: S101 - PIPE was asked for
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read_line(self) -> str:
        """Wait for what it says next."""
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        line = self._process.stdout.readline().strip()
        if not line:
            raise ChildProcessError(f"{self._module} ended early; see above")
        return line

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=GRACE)  # closes its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
