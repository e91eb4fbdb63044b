"""Runs a server in a child process that ends with this one. Any thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

GRACE: Final = 5.0
"""Seconds that the process may take to end before it is killed."""


class ServerProcess:
    """A Python program that runs in a child process for as long as this is entered.

    The program must print its URL as its first line, and end when its standard input closes:
    so it cannot outlive this process, however this process ends.

    Parameters
    ----------
    program
        The name of a module, as for ``python -m``, or the path of a script.
    options
        Its command-line arguments.

    Raises
    ------
    ChildProcessError
        On entering and on reading, if the program ends without a line.
    """

    _process: subprocess.Popen[str]

    def __init__(self, program: str | Path, *options: str) -> None:
        self._program = program
        start = [str(program)] if isinstance(program, Path) else ["-m", program]
        self._command = [sys.executable, *start, *options]
        self.url = ""

    def __enter__(self) -> Self:
        """Start the program, and wait for its URL."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A simulated server has no use for credentials, and others may read its environment.
            env={name: value for name, value in os.environ.items() if name[:5] != "KITE_"},
            # Its own group, so that Ctrl-C in a terminal reaches this process only.
            process_group=0 if os.name == "posix" else None,
        )
        try:
            self.url = self.read_line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the program."""
        self._end()

    def write_line(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None  # noqa: S101 - PIPE was asked for
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read_line(self) -> str:
        """Wait for the next line of its standard output."""
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        line = self._process.stdout.readline().strip()
        if not line:
            raise ChildProcessError(f"{self._program} ended early; see its messages above")
        return line

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=GRACE)  # closes its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
