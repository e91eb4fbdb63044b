"""Measures recording: a recorder at the load of a market, a notebook that follows it, and reading.

The simulated Kite and the recorder are processes of their own; the notebook is this one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import psutil

import harness
import kitepolars as kp
import messages
from kitepolars.feed.account import Account
from kitepolars.journal.compression import compress
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.process import ServerProcess
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.recordings.ticks import TickReader
from kitepolars.source import Messages

PER_INSTRUMENT = 2.0
SETTLING = 5.0
"""Seconds for the cached values after subscribing, and for the first memory."""

HELD_ROWS = 100_000
"""Few, so that memory is reused while the delays are measured the first time."""

LOOK = 0.001
"""Seconds between two looks at what has become visible."""

TICKS_READ = 1_000_000


def measure(results: harness.Results) -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        _record(results, Path(folder) / "ticks", seconds=8.0 if results.quick else 30.0)
    with tempfile.TemporaryDirectory() as folder:
        _read(results, Path(folder))


def _record(results: harness.Results, folder: Path, seconds: float) -> None:
    tokens = messages.tokens()
    with ServerProcess("kitepolars.sim", "--rate", str(PER_INSTRUMENT)) as exchange:
        request = Request(url=exchange.url, subscriptions=dict.fromkeys(tokens, kp.Mode.FULL))
        recorder = launch(folder, [Account("benchmark", "benchmark", "benchmark")], request)
        try:
            with kp.attach(folder, retention=kp.Retention(max_rows=HELD_ROWS)) as ticker:
                ticker.wait(timeout=SETTLING)
                process = psutil.Process(recorder.ask("status")["pid"])
                before, begin = process.cpu_times(), time.perf_counter()
                ticks = ticker.stats().ticks
                seen = _visible(ticker, seconds)
                elapsed = time.perf_counter() - begin
                after = process.cpu_times()
                rate = (ticker.stats().ticks - ticks) / elapsed
                memory = process.memory_info().rss
                status = recorder.ask("status")
                assert ticker.gaps().is_empty()
                recorded = ticker.stats().ticks
            with kp.attach(folder) as ticker:  # whose history grows into new memory
                ticker.wait(until=lambda ticker: ticker.stats().ticks > recorded, timeout=60)
                growing = _visible(ticker, seconds)
                rows = ticker.stats().ticks
        finally:
            recorder.ask("stop")
    assert status["not_recorded"] == 0
    used = after.user + after.system - before.user - before.system
    load = f"{rate:,.0f} full ticks/s over 3 connections"
    results.add(
        "Recorder, processor",
        100 * used / elapsed,
        form="{:.2f} % of a core",
        target=harness.at_most(6.0),
        note=f"{load}; compressing closed segments takes about one more",
    )
    results.add(
        "Recorder, memory", memory / 1e6, form="{:.0f} MB", target=harness.at_most(100), note=load
    )
    for name, quantile, target in (("p50", 0.5, 15.0), ("p99", 0.99, 60.0)):
        results.add(
            f"From the recorder's socket to a following notebook, {name}",
            float(np.quantile(seen, quantile)) / 1000,
            form="{:.1f} ms",
            target=harness.at_most(target),
            note=f"{load}; both processes and the simulator on this machine",
        )
    results.add(
        "From the recorder's socket to a following notebook whose history grows, p99",
        float(np.quantile(growing, 0.99)) / 1000,
        form="{:.1f} ms",
        target=harness.at_most(60.0),
        note=f"{load}; {rows:,} rows held at the end",
    )


def _visible(ticker: kp.Ticker, seconds: float) -> list[int]:
    """Return for each tick how long after its arrival it became visible, in microseconds."""
    seen: list[int] = []
    number = ticker._runtime.held().total  # noqa: SLF001 - a look must not cost a frame
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        held = ticker._runtime.held()  # noqa: SLF001 - likewise
        now = time.time_ns() // 1000
        if held.total > number:
            arrived = held.since(number)["received_at"].cast(pl.Int64)
            seen += (now - arrived).to_list()
            number = held.total
        time.sleep(LOOK)
    return seen


def _read(results: harness.Results, folder: Path) -> None:
    market = messages.FullMessages(messages.tokens(), messages=200)
    at = time.time_ns() // 1000
    with JournalWriter(folder, queue_bytes=2**40, segment_bytes=2**40) as writer:
        for _ in range(TICKS_READ // market.ticks):
            for message in market.round():
                writer.take(Messages(at, 0, [message]))
    [segment] = segments(folder)
    size = segment.size
    scans, rebuilds, selections = [], [], []
    for _ in range(3 if results.quick else 7):  # in turn: other processes disturb both alike
        begin = time.process_time()
        assert sum(1 for _ in segment.read()) == TICKS_READ // messages.PACKETS
        scans.append(time.process_time() - begin)
        rebuilds.append(_rebuild(segment))
        selections.append(_rebuild(segment, [messages.tokens()[0]]))
    [closed] = segments(compress(segment.path))
    decompressing = min(_rebuild(closed, clock=time.perf_counter) for _ in scans)
    results.add(
        "Scanning a journal",
        size / min(scans) / 1e6,
        form="{:,.0f} MB/s",
        target=harness.at_least(500),
        note=f"every checksum of {messages.PACKETS} full packets a record; processor time",
    )
    results.add(
        "Rebuilding the frame from a journal",
        TICKS_READ / min(rebuilds) / 1e6,
        form="{:.2f} million ticks/s",
        target=harness.at_least(3.0),
        note="the same records, all columns, through the pipeline; processor time",
    )
    results.add(
        "Rebuilding the frame from a compressed journal",
        TICKS_READ / decompressing / 1e6,
        form="{:.2f} million ticks/s",
        target=harness.at_least(3.0),
        note="likewise; elapsed time on two cores: threads decompress and check ahead",
    )
    results.add(
        "Passing the ticks of 9,000 instruments to read one of them",
        TICKS_READ / min(selections) / 1e6,
        form="{:.2f} million ticks/s",
        note="not compressed; the packets of others are not decoded",
    )


def _rebuild(
    segment: SegmentFile,
    instruments: list[int] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return the time in which ticks of a segment become frames."""
    begin = clock()
    reader = TickReader(instruments=instruments)
    rows = sum(batch.ticks.height for batch in chain(reader.read(segment), reader.finish()))
    assert rows == TICKS_READ if instruments is None else 0 < rows < TICKS_READ / 5_000
    return clock() - begin


if __name__ == "__main__":
    harness.main("recorder", measure, __doc__)
