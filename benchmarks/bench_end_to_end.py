"""Compares the throughput from sockets to one DataFrame with that of the official client.

The server is a separate process that sends prepared WebSocket frames over three connections, as
fast as TCP allows. All ticks are retained, packets are numbered, and the frame is checked for each.
"""

from __future__ import annotations

import polars as pl

import harness
import official_client
import throughput
from firehose import Workload
from kitepolars.frames.store import Retention

CONNECTIONS = 3
ROW_BYTES = 260
"""Bytes per row, rounded up, to limit the rows to the memory of the machine."""

BOUNDED_ROWS = 1_000_000
"""Rows of a bounded history: a minute of a market."""


def measure(results: harness.Results) -> None:
    """Run the ticker, then the official client, and compare."""
    seconds = 10.0 if results.quick else 30.0
    single = Workload(seconds=0.5 * seconds, packets=1)
    singles = throughput.run(single, connections=CONNECTIONS)
    bounded = throughput.run(
        single, connections=CONNECTIONS, retention=Retention(max_rows=BOUNDED_ROWS)
    )
    # Last, because it fills what memory is left.
    most = harness.room_for(int(seconds * 3e6), ROW_BYTES) / seconds
    ours = throughput.run(Workload(seconds=seconds, rate=most), connections=CONNECTIONS)
    paced = ours.rate > 0.98 * most
    results.add(
        "Socket to row: processor time a tick, 1 packet a message, as fast as they come",
        _cost(singles),
        form="{:,.0f} ns",
        target=harness.at_most(400),
        note=f"{singles.rate:,.0f} ticks/s, as many as the server makes; 100 packets a message "
        f"take {_cost(ours):,.0f} ns; both include new memory, which the next row does not",
    )
    results.add(
        f"Socket to row: the same, at most {BOUNDED_ROWS:,} rows retained, whose memory is reused",
        _cost(bounded),
        form="{:,.0f} ns",
        target=harness.at_most(400),
        note=f"{bounded.rate:,.0f} ticks/s; {bounded.ticks:,} ticks, all counted, those retained "
        "checked",
    )
    theirs = official_client.run(seconds=4.0 if results.quick else 10.0, connections=CONNECTIONS)
    results.add(
        "End to end: sockets to frame, 3 connections, 100 packets a message, all retained",
        ours.rate,
        form="{:,.0f} ticks/s",
        target=harness.at_least(1_000_000),
        note=f"{ours.ticks:,} ticks in {ours.seconds:.1f} s, all checked, none lost; "
        f"slowest second {ours.slowest_second:,.0f}; {ours.cpu:.0%} of a core"
        + ("; held back to what memory takes" if paced else ""),
    )
    results.add(
        "End to end: sockets to frame, 3 connections, 100 packets a message, all retained",
        ours.rate / theirs["rate"],
        against="the official client, threaded, its `on_ticks` making DataFrames",
        form="{:,.0f}×",
        target=harness.at_least(60),
        note=f"it took {theirs['rate']:,.0f} ticks/s at {theirs['cpu']:.0%} of a core; "
        "9,000 instruments at 2/s are 18,000",
    )
    results.series["socket to row"] = {
        name: _cost(run)
        for name, run in (
            ("100 packets", ours),
            ("1 packet", singles),
            ("1 packet, memory reused", bounded),
        )
    }
    results.series["ours"] = {"ticks_per_second": ours.rate, "cpu": ours.cpu}
    results.series["official"] = theirs
    results.series["polars_threads"] = pl.thread_pool_size()


def _cost(run: throughput.Throughput) -> float:
    """Return nanoseconds of processor time a tick."""
    return 1e9 * run.cpu * run.seconds / run.ticks


if __name__ == "__main__":
    harness.main("end_to_end", measure, __doc__)
