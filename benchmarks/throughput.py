"""From a server's sockets to the frame, everything retained. Calling thread, on a ticker."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from firehose import Firehose, Workload
from kitepolars.errors import KitePolarsError
from kitepolars.feed.plan import Limits
from kitepolars.frames.store import Retention
from kitepolars.pipeline import Flush
from kitepolars.ticker import Ticker
from messages import COUNTER, tokens

PATIENCE = 30.0
"""Seconds to wait for what must come."""


class LostTicksError(KitePolarsError):
    """Ticks that were sent are not in the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """How a run went; nothing was lost.

    Parameters
    ----------
    ticks
        Rows received, all of them checked.
    seconds
        From the first row to the last.
    slowest_second
        The fewest ticks in a second between the first and the last.
    cpu
        The process's share of one core, in that time.
    """

    ticks: int
    seconds: float
    slowest_second: float
    cpu: float

    @property
    def rate(self) -> float:
        """Ticks a second."""
        return self.ticks / self.seconds


def run(
    workload: Workload, *, connections: int = 3, retention: Retention | None = None
) -> Throughput:
    """Send to a ticker of its own, and check that every tick arrived, once and in order.

    Parameters
    ----------
    workload
        What to send.
    connections
        Over how many connections.
    retention
        What is retained; all of it by default. What is dropped is counted, but not looked at.

    Raises
    ------
    LostTicksError
        When something is missing, duplicated or out of order.
    """
    with (
        Firehose() as server,
        connected(server, connections, retention=retention) as ticker,
    ):
        server.begin(workload)
        ticker.wait(rows=1, timeout=PATIENCE)  # the server prepares first
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
    """Return a running ticker on the server, subscribed to so much that all connections open."""
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
    """Raise unless the frame holds what was sent, each connection's packets in order.

    Parameters
    ----------
    frame
        All that is held.
    sent
        Packets by connection.
    dropped
        How many rows were held once, and are not any more.
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
    # Where rows were dropped, those of a connection may be among them altogether.
    if (missing and not dropped) or Counter(last) - Counter(sent):
        raise LostTicksError(f"connections ended at {last} of {sent}")


def _watch(ticker: Ticker, seconds: float) -> list[tuple[float, int]]:
    """Look once a second at how many rows there are, as somebody with a display would."""
    marks = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        marks.append((time.perf_counter(), _total(ticker)))
        ticker.wait(timeout=min(1.0, max(0.001, end - time.perf_counter())))
    return marks


def _total(ticker: Ticker) -> int:
    assert ticker.frame().height == ticker.stats().rows
    return _arrived(ticker)


def _arrived(ticker: Ticker) -> int:
    return ticker.stats().ticks


def _rates(marks: list[tuple[float, int]]) -> Iterator[float]:
    for (then, before), (at, rows) in itertools.pairwise(marks):
        yield (rows - before) / (at - then)
