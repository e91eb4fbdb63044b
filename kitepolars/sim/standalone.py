"""The simulator as a process of its own: it runs until a signal, or until stdin closes.

`serve` blocks the thread that calls it; the server has a thread of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kitepolars.sim.kite import SimulatedKite

__all__ = ["serve"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_STDIN: Final = 0
_GLANCE: Final = 0.5  # seconds; where signals cannot end a wait, it looks up as often


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = 0,
    rate: float = 1.0,
    on_ready: Callable[[str], None] | None = None,
    until_stdin_closes: bool = False,
    **settings: Any,
) -> None:
    """Run a simulated Kite until SIGINT or SIGTERM.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    seed
        Of the instruments and the market.
    rate
        Packets per second and instrument.
    on_ready
        Called with the URL once it listens. By default the URL is printed.
    until_stdin_closes
        Whether to end as well when stdin does, so that a parent that dies
        leaves nothing behind.
    **settings
        Further settings of `SimulatedKite`.

    Raises
    ------
    OSError
        The port is taken.
    """
    ending = threading.Event()
    with _ending_on_signals(ending):
        if until_stdin_closes:
            threading.Thread(target=_await_end_of_stdin, args=(ending,), daemon=True).start()
        with SimulatedKite(host=host, port=port, seed=seed, rate=rate, **settings) as kite:
            (on_ready or _print_line)(kite.url)
            while kite.is_running and not ending.wait(_GLANCE):
                pass


@contextmanager
def _ending_on_signals(ending: threading.Event) -> Iterator[None]:
    """Set an event on SIGINT and SIGTERM, where signals can be caught: on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await_end_of_stdin(ending: threading.Event) -> None:
    try:
        while os.read(_STDIN, 1 << 16):
            pass
    finally:
        ending.set()  # also where there is no stdin at all


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
