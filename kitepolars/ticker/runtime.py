"""What runs behind a `Ticker`: a source, the thread that it delivers on, and what it fills.

`Runtime` puts the parts together and starts and stops them. Its methods work from any thread:
they cross to the loop thread only through `LoopThread.call`, and what they return is immutable.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import CancelledError
from dataclasses import asdict, fields
from typing import Any, Final, Protocol, TypeVar

from kitepolars.calendar import in_india
from kitepolars.errors import NotLive, NotRunning
from kitepolars.feed.limits import Limits
from kitepolars.frames.held import Held
from kitepolars.frames.index import InstrumentFilter
from kitepolars.frames.store import TICK_BYTES, Retention, TickStore
from kitepolars.ledger import Ledger
from kitepolars.loop import LoopThread
from kitepolars.nesting import refuse_broken_nesting
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.source import LiveSource, Record, Source
from kitepolars.ticker.memory import MEMORY_EVERY, MemoryWatch
from kitepolars.ticker.recording import RecordedIn
from kitepolars.ticker.stats import Stats, TickHistory

T = TypeVar("T")

STOP_TIMEOUT: Final = 1.2
"""Seconds that closing the connections may take; then they are cut."""

CONNECTIONS_ALLOWED: Final = Limits().connections
"""Connections that Kite allows for an API key."""


_STOPPED: Final = "the ticker was stopped while it started"


class Companion(Protocol):
    """What starts and stops with a ticker, such as the threads of its callbacks."""

    def start(self) -> object:
        """Begin; harmless when begun."""
        ...

    def stop(self) -> object:
        """End, quickly; harmless when ended."""
        ...


class Runtime:
    """A source, its loop thread, and the pipeline and store behind it.

    Parameters
    ----------
    source
        What delivers.
    ledger
        The ledger that the source delivers to already; by default one is made.
    retention
        How much history is kept.
    flush
        When waiting messages are decoded.
    claims
        Account → connections that may be opened for it.
    host
        What has to run before the source starts and until it has stopped.
    only
        Instrument tokens: ticks of all others are ignored.
    """

    def __init__(
        self,
        source: Source,
        *,
        ledger: Ledger | None = None,
        retention: Retention | None = None,
        flush: Flush | None = None,
        claims: Mapping[Hashable, int] | None = None,
        host: Companion | None = None,
        only: Collection[int] | None = None,
    ) -> None:
        self.source = source
        self.ledger = ledger or Ledger(source.now)
        if ledger is None:
            source.deliver_to(self.ledger)
        self.store = TickStore(retention)
        self.pipeline = Pipeline(
            self.store,
            self.ledger.events,
            flush,
            arrived=self.ledger.gaps.arrived,
            only=None if only is None else InstrumentFilter.of(only),
            catch_up=source.catch_up,
        )
        self.ledger.gaps.decoded = True
        source.deliver_to(self.pipeline, first=True)
        self.recording: Callable[[], RecordedIn | None] = lambda: None
        """Where what is received is recorded, if it is. Any thread."""
        self._memory = MemoryWatch(
            self.store.retention,
            lambda detail: source.note("memory", detail),
            is_recorded=lambda: self.recording() is not None,
        )
        self._memory_timer: asyncio.TimerHandle | None = None
        self.companions: list[Companion] = []
        self._claims = dict(claims or {})
        self._host = host
        self._loop = LoopThread()
        self._loop.before_exit = self.stop
        self._lifecycle = threading.RLock()
        self._has_run = False

    @property
    def was_stopped(self) -> bool:
        """Whether it ran, and does no more."""
        return self._has_run and not self.is_running

    @property
    def is_running(self) -> bool:
        """Whether the source delivers: from `start()` to `stop()`."""
        return self._loop.is_running

    @property
    def live(self) -> LiveSource:
        """The source, if it is live.

        Raises
        ------
        NotLive
            When it cannot.
        """
        if not isinstance(self.source, LiveSource):
            raise NotLive(
                f"this ticker runs on {self.source.description}, which delivers what it has: "
                "subscriptions, modes and access tokens need a live ticker"
            )
        return self.source

    def call(self, function: Callable[..., T], *args: Any, **keywords: Any) -> T:
        """Call a function on the loop thread; see `LoopThread.call`."""
        return self._loop.call(function, *args, **keywords)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop thread soon, if it runs; see `LoopThread.post`."""
        self._loop.post(function, *args)

    def start(self, *, strict: bool = False) -> None:
        """Start everything; see `Ticker.start`."""
        refuse_broken_nesting()
        self._take_over()
        with self._lifecycle:
            self._loop.start()
            self._has_run = True
            self._loop.call(self._watch_memory)
            self._start_host()
        source = self.source
        starting = source.start(strict=strict) if isinstance(source, LiveSource) else source.start()
        try:  # without the lock: stop() need not wait for a server that does not answer
            self._loop.run(starting)
        except (CancelledError, NotRunning):  # stopped by another thread, completely
            raise NotRunning(_STOPPED) from None
        except BaseException:
            self.stop()
            raise
        with self._lifecycle:
            if not self.is_running:
                raise NotRunning(_STOPPED)
            for companion in tuple(self.companions):
                companion.start()

    def _start_host(self) -> None:
        if self._host is not None:
            try:
                self._host.start()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop everything; see `Ticker.stop`."""
        with self._lifecycle:
            if self._loop.is_running:
                try:
                    self._loop.run(self.source.stop(), timeout=STOP_TIMEOUT)
                except TimeoutError:
                    self.note("stop", "connections did not close in time and were cut")
                self._loop.call(self.pipeline.flush)
                self._loop.stop()
            for companion in tuple(self.companions):
                companion.stop()
            if self._host is not None:
                self._host.stop()

    def give_way(self) -> None:
        """Stop, because a newer ticker of this process needs the account's connections."""
        self.note("replaced", "a newer ticker of this process took the connections over")
        self.stop()

    def held(self) -> Held:
        """Decode what waits, and return the immutable state of this moment."""
        return self.flushed(lambda: self.store.held)

    def listen(
        self, listener: Callable[[], object], *, patient: bool = False
    ) -> Callable[[], None]:
        """Call `listener` on the loop thread after each flush; see `Pipeline.listen`."""
        unlisten = self.call(self.pipeline.listen, listener, patient=patient)
        return lambda: self.call(unlisten)

    def note(self, kind: str, detail: str) -> None:
        """Deliver an event from elsewhere, as the source would deliver its own."""
        self.call(self.source.note, kind, detail)

    def clear(self) -> None:
        """Reset everything, as if the source had delivered nothing. Loop thread."""
        self.pipeline.clear()
        self.ledger.clear()

    def records(self) -> list[Record]:
        """Return what stands now as records, for a sink that joins in. Loop thread."""
        standing = self.ledger.records(self.source.now())
        return [*standing, *self.pipeline.records(self.ledger.connections.place)]

    def flushed(self, function: Callable[[], T]) -> T:
        """Call a function on the loop thread, when all that has arrived has been decoded."""

        def after_flush() -> T:
            self.pipeline.flush()
            return function()

        return self._loop.call_after(self.source.catch_up, after_flush)

    def stats(self) -> Stats:
        """Return the counters of this moment."""
        return self.flushed(self._count)

    def _count(self) -> Stats:
        counters = asdict(self.ledger.stats()) | asdict(self.pipeline.stats())
        shown = {
            field.name: counters[field.name] for field in fields(Stats) if field.name in counters
        }
        return Stats(rows=self.store.held.height, history=self._history(), **shown)

    def _watch_memory(self) -> None:
        """Look at the memory from time to time, for as long as the loop runs. Loop thread."""
        if self._memory_timer is not None:
            self._memory_timer.cancel()
        self._look_at_memory()
        loop = asyncio.get_running_loop()
        self._memory_timer = loop.call_later(MEMORY_EVERY, self._watch_memory)

    def _look_at_memory(self) -> None:
        held = self.store.held
        self._memory.look(held.height, held.total)

    def _history(self) -> TickHistory:
        self._look_at_memory()
        held, outlook, recording = self.store.held, self._memory.outlook, self.recording()
        until = recording.until if recording else None
        return TickHistory(
            rows=held.height,
            bytes=held.height * TICK_BYTES,
            since=None if held.oldest is None else in_india(held.oldest),
            free=outlook.free,
            warning=outlook.warning,
            journal=recording.journal if recording else None,
            table=recording.table if recording else None,
            published_until=None if until is None else in_india(until),
        )

    def _take_over(self) -> None:
        """Stop older runtimes of this process with which this one would exceed what Kite allows.

        A notebook's cell that is run again makes a new ticker while the old one still holds the
        connections, and the new one would be refused with 429 and nothing would tell the user why.
        """
        with _registry_lock:
            others = [
                (one, claims)
                for one, claims in _registry.items()
                if one is not self and one.is_running
            ]
            _registry[self] = self._claims
        for other, claims in others:
            shared = self._claims.keys() & claims.keys()
            if any(self._claims[key] + claims[key] > CONNECTIONS_ALLOWED for key in shared):
                other.give_way()


_registry_lock = threading.Lock()
_registry: weakref.WeakKeyDictionary[Runtime, Mapping[Hashable, int]] = weakref.WeakKeyDictionary()
"""The runtimes of this process that were started → their claims."""
