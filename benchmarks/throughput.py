"""Measures the throughput from sockets to the frame, all ticks retained. Calling thread."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from firehose import Firehose, Workload
from kitepolars.errors import KitePolarsError
from kitepolars.feed.limits import Limits
from kitepolars.frames.store import Retention
from kitepolars.pipeline import Flush
from kitepolars.ticker import Ticker
from messages import COUNTER, tokens

PATIENCE = 30.0
"""Timeout in seconds."""


class LostTicksError(KitePolarsError):
    """Ticks that were sent are missing in the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The result of a run without losses.

    Parameters
    ----------
    ticks
        Rows received and checked.
    seconds
        Time from the first row to the last.
    slowest_second
        The least number of ticks in a second of that time.
    cpu
        Processor time over elapsed time.
    """

    ticks: int
    seconds: float
    slowest_second: float
    cpu: float

    @property
    def rate(self) -> float:
        """Ticks per second."""
        return self.ticks / self.seconds


def run(
    workload: Workload, *, connections: int = 3, retention: Retention | None = None
) -> Throughput:
    """Run a workload on a new ticker, and check that every tick arrived once and in order.

    Parameters
    ----------
    workload
        The workload.
    connections
        The number of connections.
    retention
        The retention; by default all is retained. Ticks that are dropped are only counted.

    Raises
    ------
    LostTicksError
        Ticks are missing, duplicated or out of order.
    """
    with (
        Firehose() as server,
        connected(server, connections, retention=retention) as ticker,
    ):
        server.begin(workload)
        ticker.wait(rows=1, timeout=PATIENCE)  # the server generates messages first
        cpu, begin = time.process_time(), time.perf_counter()
        marks = _watch(ticker, workload.seconds)
        sent = server.sent()
        total = sum(sent)
        if not ticker.wait(until=lambda it: _arrived(it) >= total, timeout=PATIENCE):
            raise LostTicksError(f"{ticker.stats().ticks:,} of {total:,} ticks arrived")
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        check(ticker.frame(), sent, _arrived(ticker) - ticker.frame().height)
        stats = ticker.stats()
        losses = {name: count for name, count in stats.losses.items() if count}
        if losses or stats.reconnects:
            raise LostTicksError(f"{losses}, {stats.reconnects} reconnects")
    return Throughput(
        ticks=total,
        seconds=seconds,
        slowest_second=min(_rates(marks), default=total / seconds),
        cpu=cpu / seconds,
    )


def connected(
    server: Firehose,
    connections: int = 3,
    *,
    retention: Retention | None = None,
    flush: Flush | None = None,
) -> Ticker:
    """Return a running ticker with enough subscriptions to open all connections."""
    ticker = Ticker(
        "benchmark",
        "benchmark",
        url=server.url,
        limits=Limits(connections=connections),
        retention=retention,
        flush=flush,
    )
    ticker.subscribe(tokens(3_000 * connections), mode="full")
    ticker.start()
    if not ticker.wait(until=lambda it: it.stats().connected == connections, timeout=PATIENCE):
        ticker.stop()
        raise LostTicksError(f"{ticker.stats().connected} of {connections} connections opened")
    return ticker


def check(frame: pl.DataFrame, sent: list[int], dropped: int = 0) -> None:
    """Raise unless the frame has the packets sent, those of each connection in order.

    Parameters
    ----------
    frame
        The frame.
    sent
        Packets by connection.
    dropped
        The number of rows dropped by the retention.
    """
    if frame.height + dropped != sum(sent):
        raise LostTicksError(f"{frame.height + dropped:,} ticks arrived of {sum(sent):,}")
    last = []
    for connection in frame["connection"].unique():
        numbers = frame.filter(pl.col("connection") == connection)[COUNTER].cast(pl.Int64)
        first = numbers[0] if dropped else 0
        if not (numbers == pl.int_range(first, first + len(numbers), eager=True)).all():
            raise LostTicksError("ticks are missing, duplicated or out of order")
        last.append(first + len(numbers))
    missing = Counter(count for count in sent if count) - Counter(last)
    # The dropped rows may include all of a connection.
    if (missing and not dropped) or Counter(last) - Counter(sent):
        raise LostTicksError(f"connections ended at {last} of {sent}")


def _watch(ticker: Ticker, seconds: float) -> list[tuple[float, int]]:
    """Make a frame once per second, as a display does; return times and numbers of rows."""
    marks = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        ticker.frame()
        marks.append((time.perf_counter(), _arrived(ticker)))
        ticker.wait(timeout=min(1.0, max(0.001, end - time.perf_counter())))
    return marks


def _arrived(ticker: Ticker) -> int:
    return ticker.stats().ticks


def _rates(marks: list[tuple[float, int]]) -> Iterator[float]:
    for (then, before), (at, rows) in itertools.pairwise(marks):
        yield (rows - before) / (at - then)
