"""Measures the memory of a ticker over an hour at the rate of a market; run by `make soak`.

9,000 instruments in full mode at 2 ticks per second, over sockets, with a bounded history and a
`frame()` once per second. It takes an hour, so it is not part of `make bench`; the report shows
its latest result.
"""

from __future__ import annotations

import time

import psutil
from rich.progress import track

import harness
import messages
from kitepolars import Instruments, Retention, Ticker
from kitepolars.process import ServerProcess
from kitepolars.sim import SimulatedKite

PER_INSTRUMENT = 2.0
HELD = 1_000_000
"""Rows of the bounded history, which is turned over every minute."""

WARM_UP = 300
"""Seconds before memory must be constant: a few turnovers of the history."""


def measure(results: harness.Results) -> None:
    """Record the resident set once per second, and fit a line."""
    seconds = WARM_UP + (60 if results.quick else 3_600)
    process = psutil.Process()
    resident: list[int] = []
    instruments = Instruments.read_csv(SimulatedKite().instruments.dump_csv())
    with (
        ServerProcess("kitepolars.sim", "--rate", str(PER_INSTRUMENT)) as exchange,
        Ticker(
            "benchmark",
            "benchmark",
            url=exchange.url,
            instruments=instruments,
            retention=Retention(max_rows=HELD),
        ) as ticker,
    ):
        ticker.subscribe(messages.tokens(), mode="full")
        for second in track(range(seconds), "An hour of a market", update_period=10):
            time.sleep(1.0)
            assert ticker.frame().height <= HELD
            if second == WARM_UP:
                before, begin = ticker.stats(), time.perf_counter()
            if second >= WARM_UP:
                resident.append(process.memory_info().rss)
        stats, elapsed = ticker.stats(), time.perf_counter() - begin
    assert not any(stats.losses.values()), stats.losses
    assert stats.reconnects == 0
    ticks = stats.ticks - before.ticks
    assert ticks / elapsed > 0.8 * messages.INSTRUMENTS * PER_INSTRUMENT, "not the market's rate"
    harness.add_growth(
        results,
        "growth in an hour of the clock at constant retention",
        resident,
        f"{ticks:,} ticks in {elapsed / 60:.0f} minutes through a history of {HELD:,}",
    )
    results.series["resident"] = resident[::60]


if __name__ == "__main__":
    harness.main("hour", measure, __doc__)
