"""Measures the latency from the server to a frame at the rate of a market. Three threads.

Probes contain the time at which they were sent; server and client share a clock. Two ways to get
them are measured: a thread that polls `frame()`, and a callback that receives each flush.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

import filling
from firehose import PROBE, Firehose, Workload
from kitepolars.pipeline import Flush
from kitepolars.source import Messages, now_us
from kitepolars.streams import BatchCursor
from kitepolars.ticker import Ticker
from messages import FullMessages, stamp_of, tokens
from throughput import PATIENCE, LostTicksError, connected

BURST: Final = 20
"""Messages of a burst on each of three connections: 6,000 packets."""

MARKET: Final = 18_000
"""Ticks per second of 9,000 instruments."""

CONNECTIONS: Final = 3

PROBES: Final = 50
"""Probes per second."""

LOOK: Final = 0.001
"""Seconds between two polls of the frame."""

_STEPS: Final = 10_000
"""Additions of a busy main thread between two readings of the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of latencies, in seconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, latencies: list[float]) -> Quantiles:
        """Return the quantiles of a sample."""
        p50, p99 = np.quantile(latencies, (0.5, 0.99)).tolist()
        return cls(p50=p50, p99=p99, worst=max(latencies))


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The result of a run.

    Parameters
    ----------
    asked
        Until a thread that polls frames has the tick, including the making of the frame.
    flushed
        Until a callback on batches has the tick, without polling.
    cpu
        Processor time over elapsed time, without a busy main thread.
    work
        Additions per second of a busy main thread.
    """

    asked: Quantiles
    flushed: Quantiles
    cpu: float
    work: float


def run(
    *,
    seconds: float,
    busy: bool = False,
    flush: Flush | None = None,
    switch_interval: float | None = None,
    rate: float = MARKET,
    burst: int = 0,
) -> Latency:
    """Measure with a main thread that sleeps or runs a Python loop.

    The two ways are measured one after the other, because polling a frame flushes.

    Parameters
    ----------
    seconds
        Duration of each of the two measurements.
    busy
        Whether the calling thread computes meanwhile.
    flush
        The `Flush` of the ticker.
    switch_interval
        For `sys.setswitchinterval`; by default that of a running ticker.
    rate
        Ticks per second besides the probes.
    burst
        Messages that each connection sends at once; the only probe is then the last packet of each
        burst, timed from its beginning. 0 for even intervals, and probes at random.

    Raises
    ------
    LostTicksError
        A probe did not arrive.
    """
    workload = Workload(seconds=seconds, rate=rate, probes=PROBES, burst=burst)
    with (
        Firehose() as server,
        connected(server, CONNECTIONS, flush=flush) as ticker,
        _switching(switch_interval),  # after the ticker, which has its own while it runs
    ):
        flushed: list[float] = []

        def take(batch: pl.DataFrame) -> None:
            now = time.time_ns() / 1e3
            flushed.extend(_latencies(batch, now))

        ticker.on_batch(take)
        server.begin(workload)
        began, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        work = _spend(seconds, busy=busy)
        own = time.thread_time() - own
        cpu = (time.process_time() - cpu - own) / (time.perf_counter() - began)
        _settle(server, workload, flushed)
        ticker.off(take)
        asked: list[float] = []
        stopping = threading.Event()
        looker = threading.Thread(target=_look, args=(ticker, asked, stopping))
        looker.start()
        server.begin(workload)
        _spend(seconds, busy=busy)
        _settle(server, workload, asked)
        stopping.set()
        looker.join()
    return Latency(
        asked=Quantiles.of([value / 1e6 for value in asked]),
        flushed=Quantiles.of([value / 1e6 for value in flushed]),
        cpu=cpu,
        work=work / seconds if busy else 0.0,
    )


def callback_load(seconds: float) -> dict[str, float]:
    """Return the processor time over elapsed time without a callback, and with one that returns.

    What a callback computes is the user's: `run` includes the filter that finds its probes.
    """
    return {"without": _load(seconds, None), "with": _load(seconds, lambda batch: batch.height)}


def _load(seconds: float, callback: Callable[[pl.DataFrame], object] | None) -> float:
    with Firehose() as server, connected(server, CONNECTIONS) as ticker:
        if callback is not None:
            ticker.on_batch(callback)
        server.begin(Workload(seconds=seconds + 1.0, rate=MARKET))
        ticker.wait(rows=MARKET // 2, timeout=PATIENCE)  # the server generates messages first
        begin, cpu = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
        server.sent()
    return cpu / elapsed


def callback_cost(rows: int = 100, repeats: int = 1_000) -> dict[str, float]:
    """Return the processor time of a flush and of a callback's frame of it, in seconds, medians.

    Parameters
    ----------
    rows
        Ticks of a flush, in one message.
    repeats
        Flushes.
    """
    pipeline = filling.within_loop(filling.settled_pipeline)
    cursor = BatchCursor(pipeline.store)
    source = FullMessages(tokens(), packets=rows, messages=BURST)
    times: dict[str, list[float]] = {"flush": [], "frame": []}

    def run() -> None:
        for number in range(repeats):
            pipeline.take(Messages(now_us(), 0, [source.round()[number % BURST]]))
            begin = time.thread_time()
            pipeline.flush()
            flushed = time.thread_time()
            (batch,), _ = cursor.take()
            times["frame"].append(time.thread_time() - flushed)
            times["flush"].append(flushed - begin)
            assert batch.height == rows

    filling.within_loop(run)
    return {name: float(np.median(found)) for name, found in times.items()}


def _latencies(ticks: pl.DataFrame, now: float) -> list[float]:
    probes = ticks.filter(pl.col("instrument_token") == PROBE)
    latencies: list[float] = (now - stamp_of(probes)).tolist()
    return latencies


def _look(ticker: Ticker, found: list[float], stopping: threading.Event) -> None:
    seen = ticker.frame().height
    while not stopping.is_set():
        frame = ticker.frame()
        now = time.time_ns() / 1e3
        found.extend(_latencies(frame[seen:], now))
        seen = frame.height
        time.sleep(LOOK)


def _spend(seconds: float, *, busy: bool) -> int:
    """Sleep, or count in a Python loop; return the number of additions."""
    if not busy:
        time.sleep(seconds)
        return 0
    end, total = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        for _ in range(_STEPS):
            total += 1
    return total


def _settle(server: Firehose, workload: Workload, found: list[float]) -> None:
    """Wait until all probes have arrived."""
    server.sent()
    deadline = time.monotonic() + PATIENCE
    expected = workload.expected_probes(CONNECTIONS)
    while len(found) < expected:
        if time.monotonic() > deadline:
            raise LostTicksError(f"{len(found)} of {expected} probes arrived")
        time.sleep(0.01)


@contextmanager
def _switching(interval: float | None) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(before if interval is None else interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
