"""The façade's streams and callbacks. User code runs in threads or loops of its own.

What is on the loop thread here appends to a bounded queue or rings a bell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, TypeVar, overload

import polars as pl

from kitepolars.feed.records import Event, Message, OrderUpdate
from kitepolars.instruments import SomeInstruments
from kitepolars.streams import Cursor, Mailbox, Queue, Worker
from kitepolars.ticker.core import TickerCore

F = TypeVar("F", bound=Callable[..., object])

FAREWELL: Final = 0.3
"""Seconds that callbacks may take to finish when the ticker stops."""


@dataclass(frozen=True)
class _Callback:
    """A user's callback: its thread, and what ends its supply."""

    worker: Worker
    unlisten: Callable[[], None]


class _Callbacks:
    """The callbacks of a ticker; their threads live while it runs. A `Companion`."""

    def __init__(self) -> None:
        self.all: list[_Callback] = []

    def start(self) -> None:
        for callback in self.all:
            callback.worker.start()

    def stop(self) -> None:
        for callback in self.all:
            callback.worker.finish()
        deadline = time.monotonic() + FAREWELL  # for all of them together
        for callback in self.all:
            callback.worker.join(max(0.0, deadline - time.monotonic()))


class Streaming(TickerCore):
    """What a `Ticker` passes on as it comes."""

    @cached_property
    def _callbacks(self) -> _Callbacks:
        callbacks = _Callbacks()
        self._companions.append(callbacks)
        return callbacks

    async def stream(
        self, instruments: SomeInstruments | None = None, *, connection: int | None = None
    ) -> AsyncIterator[pl.DataFrame]:
        """Yield the ticks that come from now on, in batches, as they are flushed.

        A reader that is slow gets larger batches. One that falls two million ticks behind
        misses the oldest, which `events()` reports with their number. The stream ends when
        the ticker stops.

        Parameters
        ----------
        instruments
            Only these; all by default.
        connection
            Only ticks of this connection: each is a channel of its own.

        Yields
        ------
        polars.DataFrame
            The columns of `frame`.
        """
        cursor = self._cursor(instruments, connection)
        loop = asyncio.get_running_loop()
        bell = asyncio.Event()

        def ring() -> None:
            loop.call_soon_threadsafe(bell.set)

        unlisten = self._loop.call(self._pipeline.listen, ring)
        ended = _Bell(ring)
        self._companions.append(ended)
        try:
            while True:
                running = self.is_running
                batches, missed = cursor.take()
                if missed:
                    self.note("stream", f"a stream was too slow and missed {missed:,} ticks")
                for batch in batches:
                    yield batch
                if not running:
                    return
                await bell.wait()
                bell.clear()
        finally:
            self._companions.remove(ended)
            self._loop.call(unlisten)

    @overload
    def on_batch(self, function: F) -> F: ...
    @overload
    def on_batch(
        self, *, instruments: SomeInstruments | None = None, connection: int | None = None
    ) -> Callable[[F], F]: ...
    def on_batch(
        self,
        function: Callable[..., object] | None = None,
        *,
        instruments: SomeInstruments | None = None,
        connection: int | None = None,
    ) -> Any:
        """Call a function with each batch of new ticks, a DataFrame, on a thread of its own.

        A slow function gets larger batches; what it raises is reported in `events()`. It
        works as a decorator too, with or without arguments; `off` ends it.

        Parameters
        ----------
        function
            Takes one `polars.DataFrame` with the columns of `frame`.
        instruments
            Only ticks of these; all by default.
        connection
            Only ticks of this connection.
        """
        if function is None:
            return lambda given: self.on_batch(  # type: ignore[call-overload]
                given, instruments=instruments, connection=connection
            )
        cursor = self._cursor(instruments, connection)
        return self._add(function, cursor, self._pipeline.listen)

    def on_order(self, function: F) -> F:
        """Call a function with each distinct order update, on a thread of its own.

        Parameters
        ----------
        function
            Takes one `OrderUpdate`: ``received_at``, ``connection`` and ``data``, the order's
            fields as sent.
        """
        queue: Queue[OrderUpdate] = Queue()
        return self._add(function, queue, _feeding(queue, self._manager.on_order))

    def on_event(self, function: F) -> F:
        """Call a function with each event, on a thread of its own.

        Parameters
        ----------
        function
            Takes one `Event`: ``at``, ``connection``, ``kind`` and ``detail``.
        """
        queue: Queue[Event] = Queue()
        return self._add(function, queue, _feeding(queue, self._manager.on_event))

    def on_message(self, function: F) -> F:
        """Call a function with each binary message as it came, on a thread of its own.

        Parameters
        ----------
        function
            Takes one `Message`: ``received_at``, ``connection`` and ``data``;
            `kitepolars.packets` finds the packets in it.
        """
        queue: Queue[Message] = Queue(size=lambda message: len(message.data))
        return self._add(function, queue, _feeding(queue, self._pipeline.tap))

    def off(self, function: Callable[..., object]) -> None:
        """End every callback to a function. Harmless when there is none."""
        ended = [one for one in self._callbacks.all if one.worker.function == function]
        for callback in ended:
            self._callbacks.all.remove(callback)
            self._loop.call(callback.unlisten)
            callback.worker.finish()
            callback.worker.join(FAREWELL)

    def _cursor(self, instruments: SomeInstruments | None, connection: int | None) -> Cursor:
        tokens = None if instruments is None else self.instruments.tokens(instruments)
        self.held()  # what waits came before
        return Cursor(self._store, tokens=tokens, connection=connection)

    def _add(
        self,
        function: F,
        mailbox: Mailbox,
        listen: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> F:
        """Begin a callback: listen on the loop thread, work on a thread of its own."""
        worker = Worker(function, mailbox, partial(self.note, "callback"))
        unlisten = self._loop.call(listen, worker.ring)
        self._callbacks.all.append(_Callback(worker, unlisten))
        if self.is_running:
            worker.start()
        return function


@dataclass(frozen=True)
class _Bell:
    """Wakes a stream when the ticker stops, so that it can end. A `Companion`."""

    ring: Callable[[], None]

    def start(self) -> None:
        """Nothing has to begin."""

    def stop(self) -> None:
        self.ring()


def _feeding(
    queue: Queue[Any], listen: Callable[[Callable[[Any], None]], Callable[[], None]]
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Return what puts items into a queue and rings, for a listener that gets items."""

    def begin(ring: Callable[[], None]) -> Callable[[], None]:
        def put(item: Any) -> None:
            queue.put(item)
            ring()

        return listen(put)

    return begin
