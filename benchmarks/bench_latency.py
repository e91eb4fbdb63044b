"""Measures the latency from the server to a frame at 18,000 ticks per second.

It sweeps the settings, so that the defaults can be chosen from data.
"""

from __future__ import annotations

import harness
import latency
from kitepolars.loop import SWITCH_INTERVAL
from kitepolars.pipeline import LISTENED, Flush

RUNS = 3
"""Runs with the defaults: other programs delay some runs by tens of milliseconds."""

INTERVALS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.0)
SWITCHES = (0.005, 0.002, 0.001, 0.0005, 0.0001)


def measure(results: harness.Results) -> None:
    """Measure the defaults, then sweep."""
    seconds = 3.0 if results.quick else 10.0
    runs = 1 if results.quick else RUNS
    sleeping = [latency.run(seconds=seconds) for _ in range(runs)]
    busy = [latency.run(seconds=seconds, busy=True) for _ in range(runs)]
    for quantile, target in (("p50", 5.0), ("p99", 25.0)):
        _report(results, sleeping, quantile, "the main thread sleeps", target)
    for quantile in ("p50", "p99"):
        _report(results, busy, quantile, "the main thread is in a Python loop", None)
    bursts = latency.run(seconds=seconds, burst=latency.BURST)
    for quantile in ("p50", "p99"):
        _report(results, [bursts], quantile, "6,000 packets at once, the last of them", None)
    load = latency.callback_load(seconds)
    results.add(
        "Callback by default: processor time while every flush ends in one, 18,000 ticks/s",
        100 * load["with"],
        form="{:.1f} % of a core",
        target=harness.at_most(5.0),
        note=f"{load['without']:.1%} without a callback; half of the ticks are in it after "
        f"{1e3 * min(run.flushed.p50 for run in sleeping):.1f} ms (target: 5)",
    )
    cost = latency.callback_cost()
    results.add(
        "Callback: processor time of a flush of 100 ticks and of the frame that a callback gets",
        1e3 * sum(cost.values()),
        form="{:.2f} ms",
        target=harness.at_most(0.2),
        note=f"flush {1e3 * cost['flush']:.2f} ms, frame {1e3 * cost['frame']:.2f} ms, one after "
        "the other; the wake-up of the thread is not included",
    )
    sweep = [
        _row(busy=False, interval=interval, switch=None, seconds=0.4 * seconds)
        for interval in INTERVALS[:: 3 if results.quick else 1]
    ]
    sweep += [
        _row(busy=True, interval=Flush().interval or 0.0, switch=switch, seconds=0.4 * seconds)
        for switch in SWITCHES[:: 3 if results.quick else 1]
    ]
    results.series["sweep"] = sweep
    results.series["defaults"] = {
        "interval": Flush().interval,
        "listened": LISTENED,
        "switch_interval": SWITCH_INTERVAL,
        "probes": seconds * latency.PROBES,
    }
    for row in sweep:
        print("  ", row)


def _report(
    results: harness.Results,
    runs: list[latency.Latency],
    name: str,
    where: str,
    target: float | None,
) -> None:
    asked = [1e3 * getattr(run.asked, name) for run in runs]
    flushed = min(1e3 * getattr(run.flushed, name) for run in runs)
    results.add(
        f"Latency, {name}: send to visible in `frame()`, 18,000 ticks/s, {where}",
        min(asked),
        form="{:.1f} ms",
        target=harness.at_most(target) if target else None,
        note=f"best of {', '.join(f'{value:.1f}' for value in asked)} ms; "
        f"until a callback has it without anybody asking: {flushed:.1f} ms",
    )


def _row(*, busy: bool, interval: float, switch: float | None, seconds: float) -> dict[str, float]:
    """Return one row of the sweep, times in milliseconds."""
    found = latency.run(
        seconds=seconds, busy=busy, flush=Flush(interval=interval), switch_interval=switch
    )
    return {
        "busy": float(busy),
        "interval": 1e3 * interval,
        "switch_interval": 1e3 * (switch or SWITCH_INTERVAL),
        "asked_p50": 1e3 * found.asked.p50,
        "asked_p99": 1e3 * found.asked.p99,
        "flushed_p50": 1e3 * found.flushed.p50,
        "flushed_p99": 1e3 * found.flushed.p99,
        "cpu": found.cpu,
        "work": found.work,
    }


if __name__ == "__main__":
    harness.main("latency", measure, __doc__)
