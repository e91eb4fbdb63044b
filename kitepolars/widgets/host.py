"""Where the widgets run: the front end's files, IPython's cells, the kernel's channels."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

from kitepolars.errors import KitePolarsError

STATIC: Final = Path(__file__).parent / "static"
"""The bundles that the package's build makes of ``frontend/``."""

_SUBSHELL_HOOK: Final = "_reply_subshell_for"


def asset(name: str) -> str:
    """Return the text of a bundle.

    The text and not the path: anywidget would watch the file and connect a signal to each
    widget, which keeps every widget, closed or not, for the life of the process.

    Raises
    ------
    KitePolarsError
        If the front end has not been built.
    """
    path = STATIC / name
    if not path.is_file():
        raise KitePolarsError(
            f"the widgets' front end is not built ({path} is missing): "
            "install the package again, or run `python hatch_build.py` in a clone"
        )
    return path.read_text("utf-8")


class CellWatch:
    """Knows whether a cell is running, from IPython's events; outside IPython none ever is.

    While a cell runs the kernel may not read messages, so that the silence of a view says
    nothing.

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
        """Return when the last cell ended (monotonic seconds); None while one runs."""
        return None if self._running else self._ended


_lock: Final = threading.Lock()
_watch: CellWatch | None = None


def cell_watch() -> CellWatch:
    """Return the `CellWatch` of this process."""
    global _watch  # noqa: PLW0603 (one shell, one watch)
    with _lock:
        if _watch is None:
            from IPython.core.getipython import get_ipython  # noqa: PLC0415 (only in a session)

            _watch = CellWatch(get_ipython())
        return _watch


def keep_browser_routing(widget: Any) -> None:
    """Deliver each message of the browser to the shell that it addressed.

    ipykernel 7.4 delivers a widget's message to the shell that last *published* on the
    widget's channel. Ours are published by a thread: clicks would wait for a running cell, and
    after a page reload they could go to a shell that no longer exists, which drops them. The
    hook is private to ipykernel; where it is missing, nothing is done.

    Parameters
    ----------
    widget
        An ipywidget whose channel is open. It may be given twice.
    """
    channel = getattr(widget, "comm", None)
    if channel is not None and hasattr(channel, _SUBSHELL_HOOK):
        setattr(channel, _SUBSHELL_HOOK, lambda _data, default: default)
