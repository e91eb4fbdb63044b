"""Measures the load of a market: 9,000 instruments in full mode, 2 ticks per second each.

The simulated Kite is a separate process. `frame()` is called once a second.
"""

from __future__ import annotations

import time

import harness
import messages
import official_client
import throughput
from firehose import Workload
from kitepolars import Instruments, Ticker
from kitepolars.process import ServerProcess
from kitepolars.sim import SimulatedKite

PER_INSTRUMENT = 2.0
SETTLING = 3.0
"""Seconds for the cached values after subscribing, and for the first memory."""


def measure(results: harness.Results) -> None:
    """Measure processor time over elapsed time."""
    seconds = 8.0 if results.quick else 30.0
    instruments = Instruments.read_csv(SimulatedKite().instruments.dump_csv())
    with (
        ServerProcess("kitepolars.sim", "--rate", str(PER_INSTRUMENT)) as exchange,
        Ticker("benchmark", "benchmark", url=exchange.url, instruments=instruments) as ticker,
    ):
        ticker.subscribe(messages.tokens(), mode="full")
        assert ticker.wait(until=lambda it: it.stats().connected == 3, timeout=10)
        ticker.wait(timeout=SETTLING)
        before, cpu, begin = ticker.stats(), time.process_time(), time.perf_counter()
        while time.perf_counter() - begin < seconds:
            time.sleep(1.0)
            frame = ticker.frame()
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
        after = ticker.stats()
        assert frame["instrument_token"].n_unique() == messages.INSTRUMENTS
        assert not any(after.losses.values()), after.losses
        assert after.reconnects == 0
    rate = (after.ticks - before.ticks) / elapsed
    expected = messages.INSTRUMENTS * PER_INSTRUMENT
    assert 0.8 * expected < rate < 1.2 * expected, f"{rate:,.0f} ticks/s is not the market's rate"
    results.add(
        "Market load: 9,000 instruments in full mode at 2/s, `frame()` once a second",
        100 * cpu / elapsed,
        form="{:.2f} % of a core",
        target=harness.at_most(4.0),
        note=f"{rate:,.0f} ticks/s in {(after.messages - before.messages) / elapsed:,.0f} messages "
        "over 3 connections",
    )
    singles = throughput.run(Workload(seconds=seconds / 2, rate=expected, packets=1))
    results.add(
        "Market load with one packet a message",
        100 * singles.cpu,
        form="{:.2f} % of a core",
        target=harness.at_most(4.0),
        note=f"{singles.rate:,.0f} ticks/s in as many messages, 16 at a time, over 3 connections",
    )
    theirs = official_client.run(seconds=seconds / 2, rate=expected)
    results.add(
        "Market load: ticks taken",
        rate / theirs["rate"],
        against="the official client at the same rate, its `on_ticks` making DataFrames",
        form="{:.1f}×",
        note=f"it took {theirs['rate']:,.0f} of {expected:,.0f} ticks/s "
        f"at {theirs['cpu']:.0%} of a core",
    )
    results.series["cpu"] = cpu / elapsed


if __name__ == "__main__":
    harness.main("market_load", measure, __doc__)
