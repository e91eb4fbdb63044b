"""Times contestants in turn, so that noise of the machine affects all of them. Calling thread."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The best of several runs.

    Parameters
    ----------
    wall
        Elapsed seconds per item.
    cpu
        Processor seconds per item, of the calling thread.
    items
        Items per run.
    """

    wall: float
    cpu: float
    items: int


def best_of(
    contestants: Mapping[str, Callable[[], int]],
    *,
    repeats: int = 7,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Timing]:
    """Run the contestants in turn, several times; return the best run of each.

    Parameters
    ----------
    contestants
        Name → the function to time; it returns its number of items.
    repeats
        Rounds, after a first one that does not count.
    prepare
        Name → a function called before each run of that contestant, not timed.
    """
    runs: dict[str, list[Timing]] = {name: [] for name in contestants}
    for number in range(repeats + 1):
        for name, contestant in contestants.items():
            if prepare and name in prepare:
                prepare[name]()
            timing = once(contestant)
            if number:
                runs[name].append(timing)
    return {
        name: Timing(
            wall=min(timing.wall for timing in timings),
            cpu=min(timing.cpu for timing in timings),
            items=timings[0].items,
        )
        for name, timings in runs.items()
    }


def once(contestant: Callable[[], int]) -> Timing:
    """Time one run, after collecting the garbage of the previous one."""
    gc.collect()
    cpu, wall = time.thread_time(), time.perf_counter()
    items = contestant()
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    return Timing(wall=wall / items, cpu=cpu / items, items=items)


def processor_time(call: Callable[[], object], calls: int = 31) -> float:
    """Return the median processor time of a call in milliseconds, of all threads."""
    took = []
    for _ in range(calls):
        begin = time.process_time()
        call()
        took.append(time.process_time() - begin)
    return 1e3 * statistics.median(took)
