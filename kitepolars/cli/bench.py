"""``kitepolars bench``: how fast it is on this machine, in half a minute. Main thread.

Everything is measured on the simulated exchange. The benchmarks of the repository go further:
a server that saturates sockets, latency under load, the official client side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kitepolars import KitePolarsError, Message, Ticker
from kitepolars.frames.store import TickStore
from kitepolars.ledger.events import Events
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.process import ServerProcess
from kitepolars.sim import SimulatedKite
from kitepolars.source import Messages, now_us

HELP: Final = "measure on this machine: decoding, snapshots, latency, load of a market"

INSTRUMENTS: Final = 9_000
"""What one account may subscribe."""

MARKET_RATE: Final = 18_000
"""Ticks per second of a busy market: two for each instrument."""

HELD_ROWS: Final = 1_000_000
"""Rows of the history whose snapshots are timed, about 260 MB."""

READ_BYTES: Final = 64 * 1024
"""Bytes of messages that are delivered together, as when a socket has much to read."""

ROUNDS: Final = 15
PROBES: Final = 200
SETTLING_SECONDS: Final = 2.0
_TIMEOUT_SECONDS: Final = 30.0


class Measurement(NamedTuple):
    """A row of the table."""

    what: str
    figure: str
    remark: str = ""


class WrongResultError(KitePolarsError):
    """What was measured is wrong or incomplete, so its time means nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``bench``."""
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=5.0,
        help="duration of the measurement at a market's rate, 1 to 60 (default: 5)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print. A result that is wrong or incomplete is an error, not a figure."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("measured")
    table.add_column("figure", justify="right")
    table.add_column("remark", style="bright_black")
    with console.status("") as status:
        for name, measure in MEASUREMENTS.items():
            status.update(name)
            for row in measure(arguments.seconds):
                table.add_row(*map(escape, row))
    console.print(table)
    console.print(
        f"\nPython {platform.python_version()}, Polars {pl.__version__}, {os.cpu_count()} cores, "
        f"{platform.platform()}.\nOther programs on the machine slow this down. `make bench` in a "
        "clone measures more; its results are in docs/performance.md.",
        highlight=False,
        style="bright_black",
    )
    return 0


def _messages() -> list[bytes]:
    """Return a tick of every instrument in full mode, in messages of 100 packets."""
    collected: list[bytes] = []
    complete = threading.Event()
    with (
        SimulatedKite(rate=0, packets_per_message=100) as kite,
        Ticker("bench", "bench", url=kite.url) as ticker,
    ):
        tradable = kite.instruments.instrument_token[:INSTRUMENTS].tolist()
        ticker.subscribe(tradable, mode="full")
        ticker.wait(rows=INSTRUMENTS, timeout=_TIMEOUT_SECONDS)  # the cached values

        def collect(message: Message) -> None:
            collected.append(message.data)
            if _packets(collected) >= INSTRUMENTS:
                complete.set()

        ticker.on_message(collect)
        kite.step()
        if not complete.wait(_TIMEOUT_SECONDS):
            raise WrongResultError(f"{_packets(collected)} of {INSTRUMENTS} packets arrived")
    return collected


def _packets(messages: list[bytes]) -> int:
    return sum(int.from_bytes(message[:2]) for message in messages)


def _decode(sent: list[bytes]) -> pl.DataFrame:
    """Decode messages into a frame, by the same way as those of sockets."""

    async def feed() -> pl.DataFrame:  # the pipeline needs a running loop
        pipeline = Pipeline(TickStore(), Events(), Flush())
        at_once = max(1, READ_BYTES // len(sent[0]))
        for first in range(0, len(sent), at_once):
            pipeline.take(Messages(now_us(), 0, sent[first : first + at_once]))
        pipeline.flush()
        return pipeline.store.held.frame()

    return asyncio.run(feed())


def _decoding(_: float) -> Iterator[Measurement]:
    """Time decoding, and the official client's parser if it is installed."""
    sent = _messages()
    ticks = _packets(sent)
    copies = 40
    decoded = _decode(sent).height
    if decoded != ticks:
        raise WrongResultError(f"{decoded} rows were decoded of {ticks} packets")
    ours = _best(lambda: _decode(sent * copies)) / (ticks * copies)
    yield Measurement(
        "ticks/s, messages to frame", f"{1 / ours:,.0f}", f"{1e9 * ours:,.0f} ns per tick"
    )
    if importlib.util.find_spec("kiteconnect") is None:
        yield Measurement(
            "… against the official parser", "", "pip install 'kitepolars[bench]' to compare"
        )
        return
    from kiteconnect import KiteTicker  # noqa: PLC0415 - an optional dependency

    parse = KiteTicker("key", "token")._parse_binary  # noqa: SLF001 - its socket calls this
    few = sent[:20]
    theirs = _best(lambda: list(map(parse, few)), 3) / sum(len(parse(message)) for message in few)
    yield Measurement(
        "… against the official parser", f"{theirs / ours:,.0f}×", f"{1e6 * theirs:.0f} µs per tick"
    )


def _snapshots(_: float) -> Iterator[Measurement]:
    """Time snapshots of a long history."""
    sent = _messages()
    pipeline = Pipeline(TickStore(), Events(), Flush())

    async def fill() -> None:
        while pipeline.store.held.height < HELD_ROWS:
            pipeline.take(Messages(now_us(), 0, sent))
            pipeline.flush()

    asyncio.run(fill())
    held = pipeline.store.held
    for name, snapshot in (("frame()", held.frame), ("latest()", held.latest)):
        best = _best(snapshot)
        yield Measurement(f"{name} of {HELD_ROWS:,} rows held", f"{1e3 * best:.2f} ms")


def _latency(_: float) -> Iterator[Measurement]:
    """Time single ticks from their server, a thread of this process, to a frame."""
    with (
        SimulatedKite(rate=0) as kite,
        Ticker("bench", "bench", url=kite.url) as ticker,
    ):
        token = int(kite.instruments.instrument_token[0])
        ticker.subscribe([token], mode="full")
        ticker.wait(rows=1, timeout=_TIMEOUT_SECONDS)
        latencies = []
        for rows in range(1, PROBES + 1):
            begin = time.perf_counter()
            kite.step()
            while ticker.frame().height == rows:
                if time.perf_counter() - begin > _TIMEOUT_SECONDS:
                    raise WrongResultError("a tick did not arrive")
            latencies.append(time.perf_counter() - begin)
    latencies.sort()
    p50, p99 = 1e3 * latencies[PROBES // 2], 1e3 * latencies[PROBES * 99 // 100]
    yield Measurement(
        "latency, send to frame()",
        f"{p50:.1f} ms",
        f"median of {PROBES} single ticks; 99 % within {p99:.1f} ms",
    )


def _market(seconds: float) -> Iterator[Measurement]:
    """Measure the processor time that a market's rate takes."""
    with (
        ServerProcess("kitepolars.sim", "--rate", str(MARKET_RATE / INSTRUMENTS)) as exchange,
        Ticker("bench", "bench", url=exchange.url) as ticker,
    ):
        listed = SimulatedKite().instruments.instrument_token
        ticker.subscribe(listed[:INSTRUMENTS].tolist(), mode="full")
        ticker.wait(timeout=SETTLING_SECONDS)
        before, cpu, begin = ticker.stats().ticks, time.process_time(), time.perf_counter()
        while time.perf_counter() - begin < seconds:
            time.sleep(1.0)
            ticker.frame()
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
        stats = ticker.stats()
    if any(stats.losses.values()) or stats.ticks == before:
        raise WrongResultError(f"{stats.ticks - before} ticks arrived; losses: {stats.losses}")
    yield Measurement(
        "processor at a market's rate",
        f"{cpu / elapsed:.1%}",
        f"of a core, at {(stats.ticks - before) / elapsed:,.0f} ticks/s of {INSTRUMENTS:,} "
        "instruments",
    )


def _best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the shortest time of several rounds, in seconds; the first round does not count."""
    times = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times[1:])


MEASUREMENTS: Final[dict[str, Callable[[float], Iterator[Measurement]]]] = {
    "Decoding": _decoding,
    "Snapshots": _snapshots,
    "Latency": _latency,
    "A market's rate": _market,
}
"""Shown while it is measured → what measures it."""


def _seconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 60:  # noqa: PLR2004 - stated in the help
        raise argparse.ArgumentTypeError(f"must be 1 to 60, not {text}")
    return number
