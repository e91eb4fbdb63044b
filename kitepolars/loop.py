"""The background event-loop thread: start it, call into it, stop it.

The loop thread owns all state that is accessed through `LoopThread.call` alone. While it is not
running, calls are serialised and run in the calling thread, so that they also work before `start()`
and after `stop()`.

While a loop is running, the interpreter's switch interval is shorter. Otherwise a cell that
computes in pure Python would hold the interpreter lock for 5 ms at a time, and each message would
wait for that several times.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

from kitepolars.errors import NotRunning

T = TypeVar("T")

JOIN_TIMEOUT: Final = 0.5
"""The timeout for the end of a stopped loop's thread, in seconds."""

SWITCH_INTERVAL: Final = 0.0001
"""The switch interval in seconds while a loop is running (Python's default: 0.005).

Chosen from the latencies in docs/performance.md.
"""


class _Turns:
    """The interpreter's switch interval: shortened by the first loop, restored after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops = 0
        self._before = 0.0

    def shorten(self) -> None:
        with self._lock:
            self._loops += 1
            if self._loops == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, SWITCH_INTERVAL))

    def restore(self) -> None:
        with self._lock:
            self._loops -= 1
            if not self._loops:
                sys.setswitchinterval(self._before)

    def forget(self) -> None:
        """Start over in a forked process, which has none of the loops."""
        self._lock = threading.Lock()
        if self._loops:
            self._loops = 0
            sys.setswitchinterval(self._before)


_turns = _Turns()
_running: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_abandoned: list[object] = []
"""In a forked process: loops and threads of its parent, which nothing here may close."""


class LoopThread:
    """A daemon thread with an event loop, which can be restarted.

    Parameters
    ----------
    name
        The thread's name.

    Examples
    --------
    >>> loop = LoopThread("example")
    >>> loop.start()
    >>> loop.call(lambda: threading.current_thread().name)
    'example'
    >>> loop.stop()
    >>> loop.call(lambda: threading.current_thread().name)
    'MainThread'
    """

    def __init__(self, name: str = "kitepolars") -> None:
        self._name = name
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_forked = False
        self.before_exit: Callable[[], None] | None = None
        """Called when the interpreter exits while the loop is running, to close sockets."""

    @property
    def is_running(self) -> bool:
        """Whether the thread is running."""
        return self._loop is not None

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the loop thread."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Start the thread, unless it is running, and wait until its loop runs.

        Raises
        ------
        NotRunning
            In a process that was forked while the loop ran: the thread and its sockets are the
            parent's.
        """
        with self._lock:
            if self._loop is not None:
                return
            if self._is_forked:
                raise NotRunning(
                    "this process was forked while the ticker ran, and its connections belong to "
                    "the parent: make a new ticker here, or start() it after the fork only"
                )
            ready = threading.Event()
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_run, args=(loop, ready), name=self._name, daemon=True)
            thread.start()
            ready.wait()
            self._thread, self._loop = thread, loop
            _running.add(self)
            _turns.shorten()

    def stop(self) -> None:
        """Cancel all tasks and end the thread. Idempotent."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            _running.discard(self)
        if loop is not None and thread is not None:
            _turns.restore()
            loop.call_soon_threadsafe(loop.stop)
            if thread is not threading.current_thread():
                thread.join(JOIN_TIMEOUT)

    def call(self, function: Callable[..., T], *args: Any, **keywords: Any) -> T:
        """Call a function on the loop thread, and return its result or raise its exception.

        Parameters
        ----------
        function
            A plain function; it must not block.
        args, keywords
            Its arguments.
        """
        return self.call_after(None, function, *args, **keywords)

    def call_after(
        self,
        preparing: Callable[[Callable[[], object]], object] | None,
        function: Callable[..., T],
        *args: Any,
        **keywords: Any,
    ) -> T:
        """Call a function as `call` does, when `preparing` says so.

        Parameters
        ----------
        preparing
            Called on the loop thread with what it has to call in the end, at once or later. Skipped
            where the function is called in the calling thread, which cannot wait for the loop.
        function, args, keywords
            As for `call`.
        """
        with self._lock:
            loop = self._loop
            if loop is None or self.is_current:
                return function(*args, **keywords)
            future: Future[T] = Future()
            fulfil = partial(_fulfil, future, function, args, keywords)
            if preparing is None:
                loop.call_soon_threadsafe(fulfil)
            else:
                loop.call_soon_threadsafe(preparing, fulfil)
        return future.result()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Schedule a function on the loop thread; does nothing if that is not running."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *args)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop thread.

        Raises
        ------
        NotRunning
            When the thread is not running.
        """
        with self._lock:
            if self._loop is None:
                coroutine.close()
                raise NotRunning("the background thread is not running; call start() first")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
        """Run a coroutine on the loop thread and return its result; an interrupt cancels it.

        Raises
        ------
        TimeoutError
            After `timeout` seconds; the coroutine is cancelled.
        """
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def _forget(self) -> None:
        """Let go, in a forked process, of a thread that exists in the parent only."""
        _abandoned.extend((self._loop, self._thread))
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._loop = self._thread = None
        self._is_forked = True


def _fulfil(
    future: Future[T], function: Callable[..., T], args: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    try:
        future.set_result(function(*args, **keywords))
    except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who waits for it
        future.set_exception(error)


def _run(loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
    """Run the loop until it is stopped, then cancel the remaining tasks and close it."""
    asyncio.set_event_loop(loop)
    loop.call_soon(ready.set)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _forget_all() -> None:
    """Leave the parent's loops alone, in a process that has just been forked.

    Neither the loop nor a transport is closed: they share the parent's epoll instance, so that
    closing them here would make the parent deaf.
    """
    for loop in tuple(_running):
        loop._forget()  # noqa: SLF001 - it is this module's
    _running.clear()
    _turns.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@atexit.register
def _close_all() -> None:
    """Close the sockets of every running loop before the interpreter exits."""
    for loop in tuple(_running):
        if loop.before_exit is not None:
            loop.before_exit()
        loop.stop()
