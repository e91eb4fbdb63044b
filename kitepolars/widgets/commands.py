"""Owns the thread on which what a control asks for is done, in order, one at a time.

Callbacks of controls may run on any thread of the kernel, during a cell; they
post here and return at once. The thread is a daemon, starts with a command
and ends after a while without any.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

THREAD_NAME: Final = "kitepolars-commands"
PATIENCE: Final = 5.0
"""Seconds without a command after which the thread ends."""


class CommandQueue:
    """Commands in the order of their posting. Each must deal with its own errors.

    Parameters
    ----------
    patience
        Seconds without a command after which the thread ends.
    """

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._queue: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, command: Callable[[], object]) -> None:
        """Do this after everything posted before. Any thread; returns at once."""
        with self._lock:
            self._queue.put(command)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until everything posted before is done; say whether it is."""
        done = threading.Event()
        self.post(done.set)
        return done.wait(timeout)

    def _run(self) -> None:
        while (command := self._next()) is not None:
            try:
                command()
            except BaseException:
                with self._lock:  # the next command gets a thread of its own
                    self._thread = None
                raise
            del command  # it would be held until the next one

    def _next(self) -> Callable[[], object] | None:
        try:
            return self._queue.get(timeout=self._patience)
        except queue.Empty:
            with self._lock:
                if self._queue.empty():
                    self._thread = None
                    return None
            return self._queue.get()


COMMANDS: Final = CommandQueue()
"""The one of this process."""
