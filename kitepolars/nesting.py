"""Letting an event loop that already runs in this thread go on while a cell blocks.

This is what nest-asyncio is for. It patches asyncio for the whole process, so
it is applied only where somebody asks for it, never at import. Calling thread.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Coroutine
from types import ModuleType
from typing import Any, TypeVar

from kitepolars.errors import KitePolarsError

T = TypeVar("T")

_ARCHIVED_BREAKS = (3, 14)


def allow_nested_asyncio() -> None:
    """Let ``asyncio.run`` and ``loop.run_until_complete`` work in a notebook's cell.

    It patches asyncio for the rest of the process and makes every task a little
    slower. ``await`` needs none of it.

    Examples
    --------
    >>> import kitepolars as kp
    >>> kp.allow_nested_asyncio()  # doctest: +SKIP
    """
    _nest_asyncio().apply()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result, in a script or in a notebook's cell.

    Where an event loop already runs in this thread, it goes on meanwhile, with
    the tasks that it has; that takes `allow_nested_asyncio`, which is applied.

    Parameters
    ----------
    coroutine
        What to run.

    Examples
    --------
    >>> import asyncio
    >>> run(asyncio.sleep(0, result=42))
    42
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    allow_nested_asyncio()
    return loop.run_until_complete(coroutine)


def refuse_broken_nesting() -> None:
    """Raise if an archived nest-asyncio has been applied where it breaks every event loop.

    Raises
    ------
    KitePolarsError
        On Python 3.14 and later after ``nest_asyncio.apply()``: time-outs then fail in all
        threads.
    """
    patched = hasattr(asyncio, "_nest_patched")
    if sys.version_info >= _ARCHIVED_BREAKS and patched and "nest_asyncio" in sys.modules:
        raise KitePolarsError(
            "nest_asyncio 1.6 has been applied, which breaks asyncio on this Python in every "
            "thread. Restart the kernel and use nest_asyncio2 or kp.allow_nested_asyncio() instead."
        )


def _nest_asyncio() -> ModuleType:
    """Return the maintained continuation where it is installed, the original otherwise."""
    name = "nest_asyncio2" if importlib.util.find_spec("nest_asyncio2") else "nest_asyncio"
    return importlib.import_module(name)
