"""Measures snapshots and memory for a number of rows held, in a separate process.

Prints JSON for `bench_snapshot` and `bench_memory`. The process frees the large memory when it
ends.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

import polars as pl
import psutil

import filling
import harness
import messages
from firehose import Firehose
from kitepolars import Ticker
from kitepolars.frames.schema import SCHEMA
from kitepolars.frames.store import Retention
from kitepolars.pipeline import Pipeline

REPEATS: Final = 40
FLUSHES: Final = 9


def snapshots(rows: int, *, mixed: bool) -> list[dict[str, float]]:
    """Time `frame()` and `latest()` of a running ticker as its history grows.

    Each is timed twice: as it happens, and with a live tail that is almost full, the worst case.
    """
    found = []
    with Firehose() as server, Ticker("benchmark", "benchmark", url=server.url) as ticker:
        source = filling.batch_messages()
        for size in harness.sizes(rows):
            _grow(ticker, source, size, mixed=mixed)
            row: dict[str, float] = {"rows": ticker.frame().height}
            row |= _times(ticker, "")
            row["ticks_per_second"] = _rate(ticker, source)
            room = filling.on_loop_thread(ticker, lambda pipeline: pipeline.store.held.buffer.room)
            _grow(ticker, source, ticker.frame().height + room - messages.PACKETS, mixed=mixed)
            row["tail"] = filling.on_loop_thread(
                ticker, lambda pipeline: pipeline.store.held.buffer.length
            )
            row |= _times(ticker, "_full_tail")
            found.append(row)
        _check_snapshot(ticker, source, mixed=mixed)
    return found


def _grow(ticker: Ticker, source: messages.FullMessages, rows: int, *, mixed: bool) -> None:
    def grow(pipeline: Pipeline) -> None:
        if mixed:
            _fill_mixed(pipeline, rows)
        filling.fill(pipeline, rows, source)

    filling.on_loop_thread(ticker, grow)


def _fill_mixed(pipeline: Pipeline, rows: int) -> None:
    """Feed messages of mixed modes; the last few ticks are left to full mode."""
    mixed = messages.mixed_messages(messages=90)
    while pipeline.store.held.height + 100 * len(mixed) <= rows:
        filling.feed(pipeline, mixed)


def _rate(ticker: Ticker, source: messages.FullMessages) -> float:
    """Return the median of ticks per second over a few flushes, on the loop thread."""

    def feed(pipeline: Pipeline) -> float:
        sent = source.round()
        begin = time.perf_counter()
        return filling.feed(pipeline, sent) / (time.perf_counter() - begin)

    return sorted(filling.on_loop_thread(ticker, feed) for _ in range(FLUSHES))[FLUSHES // 2]


def _times(ticker: Ticker, suffix: str) -> dict[str, float]:
    calls: dict[str, Callable[[], pl.DataFrame]] = {
        "frame": ticker.frame,
        "latest": ticker.latest,
    }
    return {f"{name}{suffix}": _median(call) for name, call in calls.items()}


def _median(call: Callable[[], pl.DataFrame]) -> float:
    """Return the median in milliseconds: users experience typical calls, not the fastest."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        frame = call()
        times.append(time.perf_counter() - begin)
        del frame
    return 1e3 * sorted(times)[REPEATS // 2]


def _check_snapshot(ticker: Ticker, source: messages.FullMessages, *, mixed: bool) -> None:
    frame, latest = ticker.frame(), ticker.latest()
    assert frame.schema == SCHEMA
    assert latest.height == frame["instrument_token"].n_unique() >= messages.INSTRUMENTS
    if not mixed:
        numbers = frame[messages.COUNTER]
        assert numbers[0] == 0
        assert frame.height <= source.sent


def memory(rows: int) -> dict[str, float]:
    """Measure the memory of a retained tick, from the resident set before and after."""
    process = psutil.Process()
    pipeline = filling.new_pipeline()
    source = filling.batch_messages()
    filling.feed(pipeline, source.round())  # so that scratch memory and instruments do not count
    first = pipeline.store.held.height
    before = process.memory_info().rss
    peak = 0
    while pipeline.store.held.height < rows:
        filling.fill(pipeline, min(rows, pipeline.store.held.height + 100_000), source)
        peak = max(peak, process.memory_info().rss)
    after = process.memory_info().rss
    held = pipeline.store.held
    frame = held.frame()
    assert frame.height == rows
    assert (frame[messages.COUNTER][: source.ticks].diff().drop_nulls() == 1).all()
    buffers = held.buffer.capacity - held.length
    return {
        "rows": rows,
        "bytes_per_row": (after - before) / (rows - first),
        "peak_per_row": _peak() / rows,
        "widths": widths(),
        "estimated": frame.estimated_size() / rows,
        "empty_tail_rows": buffers,
        "before": before,
        "peak_seen": peak,
        "peak": _peak(),
    }


def _peak() -> float:
    """Return the peak resident set of the process in bytes."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):
        return float(info.peak_wset)
    import resource  # noqa: PLC0415 - not on Windows

    unit = 1 if psutil.MACOS else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def widths() -> float:
    """Return the sum of the widths of the columns in bytes: values only, 1/8 for a Boolean."""
    return sum(map(_width, SCHEMA.values()))


def _width(dtype: Any) -> float:
    if isinstance(dtype, pl.Array):
        return float(dtype.size * _width(dtype.inner))
    widths: dict[Any, float] = {
        pl.Datetime: 8,
        pl.Float64: 8,
        pl.UInt32: 4,
        pl.Categorical: 4,
        pl.UInt16: 2,
        pl.UInt8: 1,
        pl.Enum: 1,
        pl.Boolean: 1 / 8,
    }
    return widths[dtype if isinstance(dtype, type) else type(dtype)]


def constancy(turnovers: int, rows: int = 1_000_000) -> dict[str, Any]:
    """Turn a bounded history over many times, and record the resident set."""
    process = psutil.Process()
    pipeline = filling.new_pipeline(Retention(max_rows=rows))
    source = filling.batch_messages()
    sizes = []
    fed = 0
    for turnover in range(turnovers):
        while fed < (turnover + 1) * rows:
            fed += filling.feed(pipeline, source.round())
        frame = pipeline.store.held.frame()
        assert rows * 0.9 <= frame.height <= rows
        assert frame[messages.COUNTER][-1] == (source.sent - 1) % 2**32
        del frame
        sizes.append(process.memory_info().rss)
    return {"rows": rows, "ticks": fed, "resident": sizes}


def turnover(rows: int, turns: int = 5) -> dict[str, float]:
    """Time a small bounded history and an unbounded one, in turn.

    Returns nanoseconds of processor time a tick, of the best turn.
    """
    source = filling.batch_messages()
    pipelines = {
        "bounded": filling.new_pipeline(Retention(max_rows=rows)),
        "unbounded": filling.new_pipeline(),
    }
    found: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(turns + 1):
        for name, pipeline in pipelines.items():
            ticks, spent = 0, 0.0
            while ticks < rows:
                sent = source.round()
                begin = time.thread_time()
                ticks += filling.feed(pipeline, sent)
                spent += time.thread_time() - begin
            found[name].append(1e9 * spent / ticks)
    return {name: min(times[1:]) for name, times in found.items()}  # the first turn fills them


def main() -> None:
    """Measure one thing and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = ("full", "mixed", "memory", "constancy", "turnover")
    parser.add_argument("--what", choices=kinds, required=True)
    parser.add_argument("--rows", type=int, required=True, help="for constancy: turnovers")
    given = parser.parse_args()
    work: dict[str, Callable[[], Any]] = {
        "full": lambda: snapshots(given.rows, mixed=False),
        "mixed": lambda: snapshots(given.rows, mixed=True),
        "memory": lambda: filling.within_loop(lambda: memory(given.rows)),
        "constancy": lambda: filling.within_loop(lambda: constancy(given.rows)),
        "turnover": lambda: filling.within_loop(lambda: turnover(given.rows)),
    }
    print(json.dumps(work[given.what]()))


if __name__ == "__main__":
    main()
