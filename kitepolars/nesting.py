"""Nested event loops: running a coroutine from a cell while its event loop runs. Calling thread.

nest-asyncio provides them by patching asyncio for the whole process, so it is applied on request
only, never at import.
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
    """Allow ``asyncio.run`` and ``loop.run_until_complete`` in a cell of a notebook.

    This patches asyncio for the rest of the process and makes every task slightly slower.
    ``await`` does not need it.

    Examples
    --------
    >>> import kitepolars as kp
    >>> kp.allow_nested_asyncio()  # doctest: +SKIP
    """
    _nest_asyncio().apply()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine and return its result, in a script or in a cell of a notebook.

    If an event loop is already running in this thread, `allow_nested_asyncio` is applied, and the
    tasks of the loop keep running meanwhile.

    Parameters
    ----------
    coroutine
        The coroutine.

    Returns
    -------
    object
        What the coroutine returns.

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
    """Raise if nest-asyncio 1.6 has been applied on a Python that it breaks.

    Raises
    ------
    KitePolarsError
        On Python 3.14 and later after ``nest_asyncio.apply()``: timeouts then fail in all threads.
    """
    patched = hasattr(asyncio, "_nest_patched")
    if sys.version_info >= _ARCHIVED_BREAKS and patched and "nest_asyncio" in sys.modules:
        raise KitePolarsError(
            "nest_asyncio 1.6 has been applied, which breaks asyncio on this Python in every "
            "thread. Restart the kernel and use nest_asyncio2 or kp.allow_nested_asyncio() instead."
        )


def _nest_asyncio() -> ModuleType:
    """Return nest-asyncio2, the maintained fork, if it is installed, else the original."""
    name = "nest_asyncio2" if importlib.util.find_spec("nest_asyncio2") else "nest_asyncio"
    return importlib.import_module(name)
