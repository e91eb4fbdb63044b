"""The process that publishes a recorder's journal while it records. The recorder's loop thread.

Publishing sorts and compresses for seconds at a time, so it has an interpreter and a priority of
its own: whatever it does, the recorder only reads the lines that it prints. When it fails, it is
started again, and continues where the table ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kitepolars.errors import ConfigError

FIRST_RETRY: Final = 5.0
"""Seconds before a publisher that failed is started again; then twice as many each time,"""

LAST_RETRY: Final = 300.0
"""but no more than this."""

END_TIMEOUT: Final = 60.0
"""Seconds that the recorder waits in the end for what is not published yet."""

_PUBLISH_PROGRAM: Final = Path(__file__).parents[1] / "days" / "__main__.py"


class Publishing:
    """Keeps a publisher running, from `begin` to `end`.

    Parameters
    ----------
    folder
        The journal's folder.
    note
        Takes the kind and the detail of an event.
    first_retry
        Seconds before a publisher that failed is started again.
    """

    def __init__(
        self,
        folder: Path,
        note: Callable[[str, str], object],
        *,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self._folder = folder
        self._note = note
        self._first_retry = first_retry
        self._table: str | None = None
        self._rows_before = 0  # published by processes that have ended
        self._rows = 0
        self._until: int | None = None
        self._failure: str | None = None
        self._explained = False
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    def begin(self, table: str) -> None:
        """Publish to a table from now on; harmless if that is so already.

        Raises
        ------
        ConfigError
            When the journal is published to another one.
        """
        if self._table is not None and self._table != table:
            other = f"this recorder publishes to {self._table} already; end it to choose another"
            raise ConfigError("publish", table, message=other)
        if self._table is None:
            self._table = table
            self._task = asyncio.get_running_loop().create_task(self._keep_running(table))

    async def end(self) -> str | None:
        """Publish what is left, and end; call it when the journal is complete.

        A publisher that takes longer than `END_TIMEOUT` is killed: the next one continues.

        Returns
        -------
        str or None
            Why something is not published: no event can say so any more.
        """
        self._ending.set()
        if self._task is not None:
            self._close_input()
            await asyncio.wait([self._task], timeout=END_TIMEOUT)
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
            await self._task
        return self._failure

    def status(self) -> Mapping[str, Any] | None:
        """Return the table, the rows since the start, until when, and what failed, if anything."""
        if self._table is None:
            return None
        return {
            "table": self._table,
            "rows": self._rows_before + self._rows,
            "until": self._until,
            "failure": self._failure,
        }

    async def _keep_running(self, table: str) -> None:
        delay = self._first_retry
        while True:
            self._explained = False
            try:
                code = await self._run(table)
            except OSError as error:  # this machine has no process left
                self._fail(str(error))
                code = None
            if code != 0 and not self._explained:
                self._fail(f"the publisher ended with code {code}")
            if self._ending.is_set():
                return
            delay = self._first_retry if self._rows else delay
            self._rows_before, self._rows = self._rows_before + self._rows, 0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
            delay = min(2 * delay, LAST_RETRY)

    async def _run(self, table: str) -> int:
        """Run the publisher until it ends, and return its exit code."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_PUBLISH_PROGRAM),
            str(self._folder),
            table,
            stdin=PIPE,
            stdout=PIPE,
            env={"POLARS_MAX_THREADS": "1", **os.environ},
            process_group=0,  # Ctrl-C reaches the recorder only, which ends this one in time
        )
        if self._ending.is_set():
            self._close_input()
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        async for line in process.stdout:
            self._hear(line)
        return await process.wait()

    def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _hear(self, line: bytes) -> None:
        said: Mapping[str, Any] = json.loads(line)
        if "error" in said:
            self._fail(str(said["error"]))
            return
        self._rows, self._until = int(said["rows"]), said["until"]
        if self._failure is not None:
            self._failure = None
            if not self._ending.is_set():
                self._note("publish", f"published to {self._table} again")

    def _fail(self, reason: str) -> None:
        self._explained = True
        if reason != self._failure:
            self._failure = reason
            if not self._ending.is_set():
                self._note("publish", f"not published to {self._table} at present: {reason}")
