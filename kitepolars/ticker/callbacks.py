"""Streams and callbacks: user code runs in separate threads or event loops.

What is on the loop thread here appends to a bounded queue or wakes a reader.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import polars as pl

from kitepolars.listeners import Gone
from kitepolars.streams import BatchCursor, Mailbox, Queue, Worker
from kitepolars.ticker.runtime import Runtime

FAREWELL: Final = 0.3
"""Seconds that callbacks may take to finish when the ticker stops."""

Listen = Callable[[Callable[[Any], object]], Callable[[], None]]
"""Registers a listener; what it returns ends that."""


class _Wake:
    """The input of a callback that reads the new ticks itself."""

    def take(self) -> tuple[Sequence[None], int]:
        """Return one item: it was woken."""
        return (None,), 0


@dataclass(frozen=True)
class _Callback:
    """A user's callback: its thread, and what ends its supply."""

    worker: Worker
    unlisten: Callable[[], None]


class Callbacks:
    """The callbacks of a ticker; their threads live while it runs. A `Companion`.

    Parameters
    ----------
    runtime
        The ticker's parts.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._all: list[_Callback] = []
        runtime.companions.append(self)

    def start(self) -> None:
        """Start every callback's thread."""
        for callback in self._all:
            callback.worker.start()

    def stop(self) -> None:
        """Let each callback process its backlog, within `FAREWELL` seconds for all."""
        deadline = time.monotonic() + FAREWELL
        watching = [one for one in self._all if isinstance(one.worker.mailbox, _Wake)]
        others = [one for one in self._all if one not in watching]
        for group in (watching, others):  # alerts first: they are what others wait for
            for callback in group:
                callback.worker.finish()
            for callback in group:
                callback.worker.join(max(0.0, deadline - time.monotonic()))

    async def settled(self) -> None:
        """Wait until every callback has returned from what came so far. Loop thread."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(woken.set)

        workers = [callback.worker for callback in self._all]
        for worker in workers:
            worker.on_idle = wake
        while not all(worker.is_idle for worker in workers):
            await woken.wait()
            woken.clear()

    def on_batch(
        self, function: Callable[..., object], tokens: Sequence[int] | None, connection: int | None
    ) -> None:
        """Call a function with batches of new ticks."""
        cursor = cursor_of(self._runtime, tokens, connection)
        self._add(function, cursor, lambda wake: self._runtime.pipeline.listen(lambda: wake(None)))

    def on_flush(self, function: Callable[[object], object]) -> None:
        """Call a function, with None, at each flush; none comes sooner for it."""
        listen = partial(self._runtime.pipeline.listen, patient=True)
        self._add(function, _Wake(), lambda wake: listen(lambda: wake(None)))

    def on_item(
        self,
        function: Callable[..., object],
        listen: Listen,
        size: Callable[[Any], int] = lambda _: 0,
    ) -> None:
        """Call a function with each item that a listener gets; `size` gives an item's bytes."""
        queue: Queue[Any] = Queue(size=size)

        def queued(wake: Callable[[Any], object]) -> Callable[[], None]:
            def put(item: Any) -> None:
                queue.put(item)
                wake(item)

            return listen(put)

        self._add(function, queue, queued)

    def off(self, function: Callable[..., object]) -> None:
        """End every callback to a function."""
        ended = [one for one in self._all if one.worker.function == function]
        for callback in ended:
            self._all.remove(callback)
            self._runtime.call(callback.unlisten)
            callback.worker.finish()
            callback.worker.join(FAREWELL)

    def _add(self, function: Callable[..., object], mailbox: Mailbox, listen: Listen) -> None:
        """Begin a callback: listen on the loop thread, work on its own thread."""
        worker = Worker(function, mailbox, partial(self._runtime.note, "callback"))
        unlisten = self._runtime.call(listen, lambda _: worker.ring())
        self._all.append(_Callback(worker, unlisten))
        if self._runtime.is_running:
            worker.start()


def cursor_of(
    runtime: Runtime, tokens: Sequence[int] | None, connection: int | None
) -> BatchCursor:
    """Return a reader's place at the next tick; what waits came before."""
    runtime.held()
    return BatchCursor(runtime.store, tokens=tokens, connection=connection)


async def stream(
    runtime: Runtime, tokens: Sequence[int] | None, connection: int | None
) -> AsyncGenerator[pl.DataFrame, None]:
    """Yield batches of new ticks until the ticker stops; see `Ticker.stream`."""
    cursor = cursor_of(runtime, tokens, connection)
    bell = _Bell(asyncio.get_running_loop())
    unlisten = runtime.listen(bell.ring)
    runtime.companions.append(bell)
    try:
        while True:
            running = runtime.is_running
            batches, missed = cursor.take()
            if missed:
                runtime.note("stream", f"a stream was too slow and missed {missed:,} ticks")
            for batch in batches:
                yield batch
            if not running:
                return
            await bell.rung()
    finally:
        runtime.companions.remove(bell)
        unlisten()


class _Bell:
    """Wakes a stream in its event loop, when ticks came and when the ticker stops. A `Companion`.

    Parameters
    ----------
    loop
        The stream's event loop, which may be closed before the stream is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the stream. Any thread."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError as error:  # its loop is closed: there is no reader any more
            raise Gone from error

    async def rung(self) -> None:
        """Wait for the next ring, in the stream's loop."""
        await self._event.wait()
        self._event.clear()

    def start(self) -> None:
        """Nothing has to begin."""

    def stop(self) -> None:
        """Let the stream see that the ticker has stopped."""
        if not self._loop.is_closed():
            self.ring()
