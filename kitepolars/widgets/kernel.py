"""Knows whether a cell is running, as far as this kernel tells. Any thread.

A view that has not been heard of for long is gone, unless the kernel was busy
and could not listen: then its silence says nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final


class CellWatch:
    """Follows IPython's cell events; outside IPython nothing ever runs.

    Parameters
    ----------
    shell
        The interactive shell, or None.
    """

    def __init__(self, shell: Any = None) -> None:
        self._running = shell is not None  # it is made while a cell runs
        self._ended = time.monotonic()
        if shell is not None:
            shell.events.register("pre_run_cell", self._begin)
            shell.events.register("post_run_cell", self._end)

    def _begin(self, _info: Any) -> None:
        self._running = True

    def _end(self, _result: Any) -> None:
        self._ended = time.monotonic()
        self._running = False

    def listening_since(self) -> float | None:
        """Return since when the kernel can listen (monotonic seconds), None while it is busy."""
        return None if self._running else self._ended


_lock: Final = threading.Lock()
_watch: CellWatch | None = None


def cell_watch() -> CellWatch:
    """Return the one watch of this process."""
    global _watch  # noqa: PLW0603 (one shell, one watch)
    with _lock:
        if _watch is None:
            from IPython.core.getipython import get_ipython  # noqa: PLC0415 (only in a session)

            _watch = CellWatch(get_ipython())
        return _watch
