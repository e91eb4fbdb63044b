"""What leaves the feed for user code: cursors over ticks, queues, and a thread for each callback.

The loop thread only rings a bell or appends to a bounded queue. User code runs
on its own threads (or in its own event loop), and takes what has come since
it last looked; one that is slow gets larger batches, then misses some and is
told so, and never holds up the feed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import polars as pl

from kitepolars.frames.held import Held
from kitepolars.frames.store import TickStore

T = TypeVar("T")

BACKLOG_ROWS: Final = 2_000_000
"""Ticks that a reader of batches may be behind before it misses the oldest of them."""

BACKLOG_ITEMS: Final = 10_000
"""Orders, events or messages that a callback may be behind."""

BACKLOG_BYTES: Final = 32 * 2**20
"""Bytes of messages that may wait for a callback: about ten seconds of a busy market."""

FAILURES_REPORTED: Final = 10
"""How many failures of one callback are described in `events()`; the rest are counted there."""


class Mailbox(Protocol):
    """The input of a callback."""

    def take(self) -> tuple[Sequence[Any], int]:
        """Return what arrived since the last call, and the number of items or ticks missed."""
        ...


class BatchCursor:
    """A reader's position in the ticks of a store. Not thread-safe.

    Parameters
    ----------
    store
        The store; reading begins with the next tick.
    tokens
        Only ticks of these instruments; None for all.
    connection
        Only ticks of this connection; None for all.
    backlog
        The most ticks that it may be behind.
    """

    def __init__(
        self,
        store: TickStore,
        *,
        tokens: Sequence[int] | None = None,
        connection: int | None = None,
        backlog: int = BACKLOG_ROWS,
    ) -> None:
        self._store = store
        self._backlog = backlog
        self._next = store.held.total
        conditions = []
        if tokens is not None:
            conditions.append(pl.col("instrument_token").is_in(list(tokens)))
        if connection is not None:
            conditions.append(pl.col("connection") == connection)
        self._wanted = pl.all_horizontal(conditions) if conditions else None

    def take(self) -> tuple[Sequence[pl.DataFrame], int]:
        """Return a batch of the new ticks, if any are wanted, and the number missed."""
        held = self._store.held
        begin = max(self._next, held.first, held.total - self._backlog)
        missed = begin - self._next
        batch = self._batch(held, begin)
        self._next = held.total
        return ([batch] if batch.height else []), missed

    def _batch(self, held: Held, begin: int) -> pl.DataFrame:
        batch = held.since(begin)
        return batch if self._wanted is None else batch.filter(self._wanted)


class Queue(Generic[T]):
    """A bounded queue between the loop thread and one reader.

    Items that the reader has taken count against the bounds until its next `take`. Beyond them
    the newest item is dropped and counted.

    Parameters
    ----------
    capacity
        The most items.
    max_bytes
        The most bytes, as `size` counts them.
    size
        Returns the bytes of an item. By default only the number of items is bounded, which is
        enough for items of one size: 10,000 fired alerts are 3 MB.

    Examples
    --------
    >>> queue = Queue[bytes](max_bytes=10, size=len)
    >>> for item in (b"1234567", b"12345", b"123"):
    ...     queue.put(item)
    >>> queue.take()
    ([b'1234567', b'123'], 1)
    """

    def __init__(
        self,
        capacity: int = BACKLOG_ITEMS,
        *,
        max_bytes: int = BACKLOG_BYTES,
        size: Callable[[T], int] = lambda _: 0,
    ) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._size = size
        # Totals since the beginning, each written by one thread alone.
        self._put = self._put_bytes = self._missed = 0  # the loop thread
        self._taken = self._taken_bytes = 0  # the reader
        self._done = self._done_bytes = self._reported = 0  # the reader

    def put(self, item: T) -> None:
        """Append an item, or count it as missed. Loop thread."""
        size = self._size(item)
        waiting = self._put - self._done
        if (
            waiting < self._capacity
            and self._put_bytes - self._done_bytes + size <= self._max_bytes
        ):
            self._put += 1
            self._put_bytes += size
            self._items.append(item)
        else:
            self._missed += 1

    def take(self) -> tuple[Sequence[T], int]:
        """Return the waiting items, and the number dropped since the last call. Reader's thread."""
        self._done, self._done_bytes = self._taken, self._taken_bytes
        items = [self._items.popleft() for _ in range(len(self._items))]
        self._taken += len(items)
        self._taken_bytes += sum(map(self._size, items))
        before, self._reported = self._reported, self._missed
        return items, self._reported - before


class Worker:
    """A daemon thread that calls a function with whatever arrives in its mailbox.

    Parameters
    ----------
    function
        The user's callback. Its exceptions are reported, and it gets the next item.
    mailbox
        Its input.
    report
        Takes a line for `events()`; called on the worker's thread.
    """

    def __init__(
        self, function: Callable[[Any], object], mailbox: Mailbox, report: Callable[[str], object]
    ) -> None:
        self.function = function
        self.mailbox = mailbox
        self._name = getattr(function, "__qualname__", type(function).__name__)
        self._report = report
        self._bell = threading.Event()
        self._lock = threading.Lock()
        self._runs = self._ending = False
        self._failures = 0
        self._rung = 0  # times it was rung: the loop thread writes it
        self._done = 0  # and how many of them are worked on: this worker's thread does
        self._thread: threading.Thread | None = None
        self.on_idle: Callable[[], object] = lambda: None
        """Called on the worker's thread when it has worked on what there was."""

    @property
    def is_idle(self) -> bool:
        """Whether all that came before the last ring has been worked on. Loop thread."""
        return self._done == self._rung

    def ring(self) -> None:
        """Wake the thread. Loop thread: it only sets an event."""
        self._rung += 1
        self._bell.set()

    def start(self) -> None:
        """Start the thread, or keep one that is about to end."""
        with self._lock:
            self._ending = False
            if not self._runs:
                self._runs = True
                self._thread = threading.Thread(
                    target=self._run, name=f"kitepolars-callback-{self._name}", daemon=True
                )
                self._thread.start()

    def finish(self) -> None:
        """End the thread after it has processed what is waiting."""
        self._ending = True
        self._bell.set()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread for at most `timeout` seconds."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._bell.wait()
            self._bell.clear()
            ending, rung = self._ending, self._rung
            self._work()
            self._done = rung
            self.on_idle()
            with self._lock:
                if ending and self._ending:
                    self._runs = False
                    return

    def _work(self) -> None:
        items, missed = self.mailbox.take()
        if missed:
            self._report(f"{self._name} was too slow and missed {missed:,}")
        for item in items:
            try:
                self.function(item)
            except BaseException as error:  # noqa: BLE001 - sys.exit() in it ends no thread either
                self._failures += 1
                if self._failures <= FAILURES_REPORTED:
                    self._report(f"{self._name} failed ({self._failures}): {error!r}")
