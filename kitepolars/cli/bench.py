"""``kitepolars bench``: how fast it is on this machine, in well under a minute. Main thread."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kitepolars import Retention, Ticker
from kitepolars.benchmark import filling, latency, messages, official, throughput
from kitepolars.benchmark.firehose import Order
from kitepolars.benchmark.timing import best_of
from kitepolars.process import ServerProcess

HELP: Final = "measure on this machine: decoding, sockets, latency, snapshots, market load"

MARKET: Final = 18_000
"""Ticks a second of a market: 9,000 instruments, two each."""

HELD: Final = 1_000_000
"""Rows whose snapshot is timed, about 260 MB; twice as many are held at most."""

SETTLING: Final = 2.0


class Line(NamedTuple):
    """A line of the table: what was measured, the figure, and what it means."""

    what: str
    figure: str
    remark: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``bench``."""
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=5.0,
        help="how long each measurement over sockets takes, 1 to 60 (default: 5)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print. What is lost or wrong ends it with an error instead of a figure."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("measured")
    table.add_column("figure", justify="right")
    table.add_column("remark", style="bright_black")
    with console.status("Decoding") as status:
        for name, measure in MEASUREMENTS.items():
            status.update(name)
            for line in measure(arguments.seconds):
                table.add_row(*map(escape, line))
    console.print(table)
    console.print(
        f"\nPython {platform.python_version()}, Polars {pl.__version__}, {os.cpu_count()} cores, "
        f"{platform.platform()}.\nOther programs slow all of this down. What `make bench` in a "
        "clone measures, and what it found, is in docs/performance.md.",
        highlight=False,
        style="bright_black",
    )
    return 0


def _decoding(_: float) -> Iterator[Line]:
    """Decode what is in memory, beside the official client's parser if it is installed."""
    source = filling.batch_messages()
    sent = [message for _ in range(40) for message in source.round()]
    contestants: dict[str, Callable[[], int]] = {"ours": lambda: _feed(sent)}
    if official.is_installed():
        _check(sent[:3])
        contestants["parser"] = lambda: _parsed(sent[:20])
        contestants["frames"] = lambda: sum(
            official.flat_frame(official.parser()(message)).height for message in sent[:20]
        )
    timings = best_of(contestants, repeats=5)
    ours = timings["ours"].wall
    yield Line("ticks/s, messages to frame", f"{1 / ours:,.0f}", f"{1e9 * ours:,.0f} ns each")
    if "parser" in timings:
        parser, frames = timings["parser"].wall, timings["frames"].wall
        yield Line(
            "… against the official parser",
            f"{parser / ours:,.0f}×",
            f"it takes {1e6 * parser:.0f} µs a tick",
        )
        yield Line(
            "… against DataFrames of its dicts", f"{frames / ours:,.0f}×", f"{1e6 * frames:.0f} µs"
        )
    else:
        yield Line(
            "… against the official client", "", "pip install 'kitepolars[bench]' to compare"
        )


def _feed(sent: list[bytes]) -> int:
    return filling.within_loop(lambda: filling.feed(filling.new_pipeline(), sent))


def _parsed(sent: list[bytes]) -> int:
    parse = official.parser()
    return sum(len(parse(message)) for message in sent)


def _check(sent: list[bytes]) -> None:
    """Raise if the frame and the official client's dicts differ."""
    pipeline = filling.new_pipeline()
    filling.within_loop(lambda: filling.feed(pipeline, sent))
    parse = official.parser()
    ticks = [tick for message in sent for tick in parse(message)]
    different = official.differences(pipeline.store.held.frame(), ticks)
    if different:
        raise throughput.LostTicksError(f"values differ: {different[0]}")


def _sockets(seconds: float) -> Iterator[Line]:
    """Take what a server process sends as fast as it is taken."""
    found = throughput.run(Order(seconds=seconds), retention=Retention(max_rows=2 * HELD))
    yield Line(
        "ticks/s, 3 sockets to frame",
        f"{found.rate:,.0f}",
        f"{found.rate / MARKET:,.0f} times a market's; {found.ticks:,} sent, none lost",
    )


def _market(seconds: float) -> Iterator[Line]:
    """Take a market's rate, and see what that costs."""
    with (
        ServerProcess("kitepolars.sim", "--rate", str(MARKET / messages.INSTRUMENTS)) as exchange,
        Ticker("bench", "bench", url=exchange.url) as ticker,
    ):
        ticker.subscribe(messages.tokens(), mode="full")
        ticker.wait(timeout=SETTLING)
        before, cpu, begin = ticker.stats().ticks, time.process_time(), time.perf_counter()
        while time.perf_counter() - begin < seconds:
            time.sleep(1.0)
            ticker.frame()
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
        stats = ticker.stats()
    if any(stats.losses.values()):
        raise throughput.LostTicksError(f"{stats.losses}")
    yield Line(
        "processor at a market's rate",
        f"{cpu / elapsed:.1%}",
        f"of a core, at {(stats.ticks - before) / elapsed:,.0f} ticks/s of 9,000 instruments",
    )


def _latency(seconds: float) -> Iterator[Line]:
    """Time ticks from their server to a frame."""
    asked = latency.run(seconds=seconds / 2).asked
    yield Line(
        "latency, send to frame()",
        f"{1e3 * asked.p50:.1f} ms",
        f"half of the ticks; 99 % within {1e3 * asked.p99:.1f} ms, at a market's rate",
    )


def _snapshots(_: float) -> Iterator[Line]:
    """Time snapshots of a long history."""
    pipeline = filling.new_pipeline()
    filling.within_loop(lambda: filling.fill(pipeline, HELD))
    held = pipeline.store.held
    timings = best_of(
        {"frame()": lambda: _once(held.frame), "latest()": lambda: _once(held.latest)}, repeats=20
    )
    for name, timing in timings.items():
        yield Line(f"{name} of {HELD:,} rows held", f"{1e3 * timing.wall:.2f} ms")


def _once(snapshot: Callable[[], pl.DataFrame]) -> int:
    return min(1, snapshot().height)


MEASUREMENTS: Final[dict[str, Callable[[float], Iterator[Line]]]] = {
    "Decoding": _decoding,
    "Snapshots": _snapshots,
    "Sockets": _sockets,
    "A market's rate": _market,
    "Latency": _latency,
}
"""What is shown while it is measured → what measures it."""


def _seconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 60:  # noqa: PLR2004 - a minute each is long enough
        raise argparse.ArgumentTypeError(f"must be 1 to 60, not {text}")
    return number
