"""The façade's waiting, with and without blocking an event loop. The condition is the caller's.

The loop thread only sets an event when ticks are published; the condition is
looked at in the thread that waits.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from kitepolars.errors import ConfigError
from kitepolars.nesting import run
from kitepolars.ticker.core import TickerCore

POLL: Final = 0.05
"""Seconds between two looks at a condition while nothing arrives."""


class Waiting(TickerCore):
    """How a `Ticker` is waited for."""

    def wait(
        self,
        *,
        rows: int | None = None,
        until: Callable[[Self], object] | None = None,
        timeout: float | None = None,
        keep_loop: bool = False,
    ) -> bool:
        """Block the calling cell until a condition holds. It can be interrupted.

        Parameters
        ----------
        rows
            Until so many rows are held.
        until
            Until this predicate, called with the ticker in this thread, is true.
        timeout
            At most so many seconds. With neither `rows` nor `until`: just so long.
        keep_loop
            Let an event loop that already runs in this thread go on meanwhile (this applies
            `allow_nested_asyncio`).

        Returns
        -------
        bool
            Whether the condition held; False after the time-out.

        Raises
        ------
        ConfigError
            When there is nothing to wait for.
        """
        if keep_loop:
            return run(self.wait_async(rows=rows, until=until, timeout=timeout))
        holds, left = self._condition(rows, until, timeout), _patience(timeout)
        published = threading.Event()
        with self._telling(published.set):
            while not (held := holds()) and (pause := left()) > 0:
                published.wait(pause)
                published.clear()
        return held

    async def wait_async(
        self,
        *,
        rows: int | None = None,
        until: Callable[[Self], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the same words as `wait`
    ) -> bool:
        """Wait as `wait` does, without blocking the calling event loop."""
        holds, left = self._condition(rows, until, timeout), _patience(timeout)
        loop = asyncio.get_running_loop()
        published = asyncio.Event()
        with self._telling(lambda: loop.call_soon_threadsafe(published.set)):
            while not (held := holds()) and (pause := left()) > 0:
                await _wait_for(published, pause)
                published.clear()
        return held

    @contextmanager
    def _telling(self, listener: Callable[[], object]) -> Iterator[None]:
        """Have `listener` called on the loop thread, meanwhile, when ticks are published."""
        unlisten = self._loop.call(self._pipeline.listen, listener)
        try:
            yield
        finally:
            self._loop.call(unlisten)

    def _condition(
        self,
        rows: int | None,
        until: Callable[[Self], object] | None,
        timeout: float | None,
    ) -> Callable[[], bool]:
        if rows is None and until is None and timeout is None:
            raise ConfigError("timeout", timeout, "given when neither rows nor until is")
        if rows is None and until is None:
            return lambda: False

        def holds() -> bool:
            enough = rows is None or self._store.held.height >= rows
            return enough and (until is None or bool(until(self)))

        return holds


def _patience(timeout: float | None) -> Callable[[], float]:
    """Return what says how long to wait before the next look: 0 or less when time is up."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    return lambda: min(POLL, deadline - time.monotonic())


async def _wait_for(event: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109
    """Wait for an event, at most so many seconds."""
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiter], timeout=timeout)
    finally:
        waiter.cancel()
