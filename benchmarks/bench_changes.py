"""Measures how long it takes to subscribe all instruments of an account, and to change modes.

The simulated Kite runs in this process, because its record shows what it has received. It shares
the interpreter, so these times are upper bounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import harness
import messages
from kitepolars import Mode, Ticker
from kitepolars.sim import SimulatedKite

CHANGED = 3_000
PATIENCE = 20.0


def measure(results: harness.Results) -> None:
    """Report the best of several runs, each with a new ticker."""
    runs = [_run() for _ in range(2 if results.quick else 7)]
    best = {name: min(run[name] for run in runs) for name in runs[0]}
    for name, what, target in (
        ("subscribe", "subscribing 9,000 instruments returns", 100.0),
        ("subscribed", "subscribing 9,000 instruments: the exchange has all requests", 500.0),
        ("set_mode", "a mode change on 3,000 returns", 50.0),
        ("changed", "a mode change on 3,000: the exchange has all requests", 50.0),
    ):
        results.add(
            f"Changes: {what}",
            1e3 * best[name],
            form="{:.1f} ms",
            target=harness.at_most(target),
            note=f"best of {len(runs)}; worst {1e3 * max(run[name] for run in runs):.1f} ms",
        )
    results.series["runs"] = runs


def _run() -> dict[str, float]:
    """Time a subscription of all instruments and a change of modes, while the market ticks."""
    tokens = messages.tokens()
    with (
        SimulatedKite(rate=1.0) as kite,
        Ticker("benchmark", "benchmark", url=kite.url) as ticker,
    ):
        subscribe, subscribed = _timed(
            kite,
            lambda: ticker.subscribe(tokens, mode="full"),
            lambda it: _has(it, messages.INSTRUMENTS, Mode.FULL),
        )
        assert ticker.wait(rows=messages.INSTRUMENTS, timeout=PATIENCE)
        set_mode, changed = _timed(
            kite,
            lambda: ticker.set_mode(tokens[:CHANGED], "ltp"),
            lambda it: _has(it, CHANGED, Mode.LTP),
        )
        assert _has(kite, messages.INSTRUMENTS - CHANGED, Mode.FULL)
    return {
        "subscribe": subscribe,
        "subscribed": subscribed,
        "set_mode": set_mode,
        "changed": changed,
    }


def _timed(
    kite: SimulatedKite, change: Callable[[], None], arrived: Callable[[SimulatedKite], bool]
) -> tuple[float, float]:
    """Return the times until a change returned, and until the exchange had received it."""
    begin = time.perf_counter()
    change()
    returned = time.perf_counter() - begin
    kite.wait_for(arrived, PATIENCE)
    return returned, time.perf_counter() - begin


def _has(kite: SimulatedKite, count: int, mode: Mode) -> bool:
    return sum(it is mode for it in kite.subscribed().values()) == count


if __name__ == "__main__":
    harness.main("changes", measure, __doc__)
