"""The simulator as a separate process, until a signal or until its stdin closes.

`serve` blocks the calling thread; the server runs on its loop thread.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kitepolars.sim.kite import SimulatedKite

__all__ = ["main", "serve"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_STDIN: Final = 0
_SIGNAL_POLL: Final = 0.5  # seconds; on Windows, signals do not interrupt a wait


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = 0,
    rate: float = 1.0,
    on_ready: Callable[[str], None] | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Run a simulated Kite until SIGINT or SIGTERM.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    seed
        Seed of the instruments and the market.
    rate
        Packets per second and instrument, 0 to 1,000; at 0 none after the first.
    on_ready
        Called with the URL once it listens; by default the URL is printed.
    until_stdin_closes
        Whether to end when stdin closes, so that it never outlives its parent process.

    Raises
    ------
    OSError
        The port is taken.
    ConfigError
        If `port` or `rate` is out of range.

    Examples
    --------
    >>> import signal
    >>> serve(port=0, on_ready=lambda url: signal.raise_signal(signal.SIGINT))
    """
    ending = threading.Event()
    with _ending_on_signals(ending):
        if until_stdin_closes:
            threading.Thread(target=_wait_for_end_of_stdin, args=(ending,), daemon=True).start()
        with SimulatedKite(host=host, port=port, seed=seed, rate=rate) as kite:
            (on_ready or _print_line)(kite.url)
            while kite.is_running and not ending.wait(_SIGNAL_POLL):
                pass


@contextmanager
def _ending_on_signals(ending: threading.Event) -> Iterator[None]:
    """Set an event on SIGINT and SIGTERM; only the main thread can catch them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_end_of_stdin(ending: threading.Event) -> None:
    try:
        while os.read(_STDIN, 1 << 16):
            pass
    finally:
        ending.set()  # also if there is no stdin at all


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Run ``python -m kitepolars.sim``."""
    parser = argparse.ArgumentParser(prog="python -m kitepolars.sim", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rate", type=float, default=1.0, help="packets per second and instrument")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    serve(**vars(arguments), until_stdin_closes=True)
