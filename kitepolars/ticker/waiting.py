"""Waiting for ticks, with and without blocking an event loop.

The loop thread only sets an event when ticks are published; the condition is looked at in the
thread that waits.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from kitepolars.errors import ConfigError, check_whole_number
from kitepolars.frames.store import TickStore
from kitepolars.listeners import Gone
from kitepolars.ticker.runtime import Runtime

T = TypeVar("T")

POLL: Final = 0.05
"""Seconds between two looks at a condition while nothing arrives."""


def condition(
    ticker: T,
    store: TickStore,
    rows: int | None,
    until: Callable[[T], object] | None,
    timeout: float | None,
) -> Callable[[], bool]:
    """Return what `Ticker.wait` waits for, as a function.

    Raises
    ------
    ConfigError
        When there is nothing to wait for, or `rows` is not a positive whole number.
    """
    if rows is not None:
        check_whole_number("rows", rows, 1)
    if rows is None and until is None:
        if timeout is None:
            raise ConfigError("timeout", timeout, message="wait() needs rows, until or timeout")
        return lambda: False

    def holds() -> bool:
        enough = rows is None or store.held.height >= rows
        return enough and (until is None or bool(until(ticker)))

    return holds


def wait(runtime: Runtime, holds: Callable[[], bool], timeout: float | None) -> bool:
    """Block until a condition holds, or for `timeout` seconds; say whether it does."""
    left, published = _time_left(timeout), threading.Event()
    unlisten = runtime.listen(published.set, patient=True)
    try:
        while not (held := holds()) and (pause := left()) > 0:
            published.wait(pause)
            published.clear()
    finally:
        unlisten()
    return held


async def wait_async(
    runtime: Runtime,
    holds: Callable[[], bool],
    timeout: float | None,  # noqa: ASYNC109 - as in `wait`
) -> bool:
    """Wait as `wait` does, without blocking the calling event loop."""
    left, published = _time_left(timeout), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(published.set)
        except RuntimeError as error:
            raise Gone from error

    unlisten = runtime.listen(wake, patient=True)
    try:
        while not (held := holds()) and (pause := left()) > 0:
            await _wait_for(published, pause)
            published.clear()
    finally:
        unlisten()
    return held


def _time_left(timeout: float | None) -> Callable[[], float]:
    """Return how long to wait before the next look, as a function; 0 or less when time is up."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    return lambda: min(POLL, deadline - time.monotonic())


async def _wait_for(event: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109
    """Wait for an event, at most `timeout` seconds."""
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiter], timeout=timeout)
    finally:
        waiter.cancel()
