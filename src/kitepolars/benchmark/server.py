"""The server of `firehose` as a process, started, ordered and ended from here. Any thread."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

from kitepolars.benchmark.firehose import Order, encode_order

GRACE: Final = 5.0
"""Seconds that the process may take to end."""


class Firehose:
    """A server process on loopback that sends what it is ordered to.

    Examples
    --------
    >>> with Firehose() as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it, and wait until it says where it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kitepolars.benchmark.firehose"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=GRACE)  # closes its standard input
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def begin(self, order: Order) -> None:
        """Let it send over every open connection; `sent` waits for the end."""
        assert self._process is not None  # noqa: S101 - entered
        assert self._process.stdin is not None  # noqa: S101 - PIPE was asked for
        self._process.stdin.write(encode_order(order))
        self._process.stdin.flush()

    def sent(self) -> list[int]:
        """Wait until what was begun is sent; return the packets by connection, without probes."""
        counts: list[int] = json.loads(self._line())
        return counts

    def _line(self) -> str:
        assert self._process is not None  # noqa: S101 - entered
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        line = self._process.stdout.readline().strip()
        if not line:
            raise OSError("the benchmark's server ended early")
        return line
