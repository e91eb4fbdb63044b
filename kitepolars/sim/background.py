"""The simulator's thread: one event loop in a daemon thread, that any other thread can call.

Owns the thread and the loop; what runs on it is handed in.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from kitepolars.errors import NotRunning

__all__ = ["Background", "Service"]

T = TypeVar("T")

_START_TIMEOUT: Final = 30.0
_FAILED_START_TIMEOUT: Final = 1.0
_CALL_TIMEOUT: Final = 10.0


class Service(Protocol):
    """What runs in the background: opened, then run until told to stop, then closed."""

    async def open(self) -> None:
        """Get ready; an error is raised by `Background.start`."""

    async def run(self) -> None:
        """Go on until cancelled."""

    async def close(self) -> None:
        """Leave nothing behind."""


class Background:
    """Runs a `Service` on a thread of its own, as often as it is started.

    Parameters
    ----------
    service
        What to run.
    name
        The thread's name.
    """

    def __init__(self, service: Service, *, name: str) -> None:
        self._service = service
        self._name = name
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Start the thread and return once the service is open. Does nothing if it runs."""
        with self._lock:
            if self.is_running:
                return
            ready: Future[None] = Future()
            thread = threading.Thread(
                target=lambda: asyncio.run(self._main(ready)), name=self._name, daemon=True
            )
            thread.start()
            try:
                ready.result(_START_TIMEOUT)
            except Exception:
                thread.join(_FAILED_START_TIMEOUT)
                raise
            self._thread = thread

    def stop(self) -> None:
        """Close the service and end the thread. Does nothing if it does not run."""
        with self._lock:
            thread, loop, stopping = self._thread, self._loop, self._stopping
            self._thread = self._loop = self._stopping = None
            if thread is not None and loop is not None and stopping is not None:
                if thread.is_alive():
                    loop.call_soon_threadsafe(stopping.set)
                thread.join()

    def call(self, action: Callable[[], T]) -> T:
        """Run a function on the loop's thread and return what it returns.

        Raises
        ------
        NotRunning
            The thread does not run.
        """

        async def run() -> T:
            return action()

        return self.run(run())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns.

        Raises
        ------
        NotRunning
            The thread does not run.
        """
        loop = self._loop
        if loop is None or not self.is_running:
            coroutine.close()
            raise NotRunning("the simulated Kite is not running; call start() first")
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(_CALL_TIMEOUT)

    async def _main(self, ready: Future[None]) -> None:
        try:
            await self._service.open()
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            ready.set_exception(error)
            return
        self._loop = asyncio.get_running_loop()
        stopping = self._stopping = asyncio.Event()
        running = asyncio.create_task(self._service.run())
        running.add_done_callback(lambda _: stopping.set())
        ready.set_result(None)
        await stopping.wait()
        running.cancel()
        await self._service.close()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()  # a service that broke shows its error in this thread
