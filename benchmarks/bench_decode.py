"""Compares decoding with the parser of the official client, with and without DataFrames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

import filling
import harness
import messages
import official
from kitepolars.frames.buffers import TickBuffer
from kitepolars.frames.held import Chunk
from kitepolars.frames.store import CHUNK_ROWS, TickStore
from kitepolars.ledger.events import Events
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.wire.decode import decode
from kitepolars.wire.layouts import FULL
from kitepolars.wire.scan import Scanner
from timing import Timing, best_of

CRATE: tuple[float, float] = (45.0, 60.0)
"""Nanoseconds per tick of the Rust crate kiteticker-async-manager 0.4.0, parsing to structs on one
core, quoted from a run on such a machine: building it needs a registry of crates."""

CACHE_BYTES = 512 * 1024
"""Bytes of messages decoded together: with their columns they fit into the cache of a core."""

PACKET_BYTES = FULL.framed_dtype.itemsize
COPIED = 200_000
"""Packets in the memory on which memcpy is timed: far more than fit into the caches."""


class Traffic(NamedTuple):
    """Messages, the bytes per read, and targets against the parser alone and with DataFrames."""

    what: str
    sent: list[bytes]
    target: float | None = None
    frame_target: float | None = None
    read_bytes: int = filling.READ_BYTES


def main_work(results: harness.Results) -> None:
    """Check, time and report the kinds of traffic."""
    rounds = 40 if results.quick else 180
    # The same few messages repeatedly: they stay in the cache, like data just read from a socket.
    full = filling.batch_messages().round() * rounds
    mixed = messages.mixed_messages(messages=100) * (10 if results.quick else 40)
    single = messages.FullMessages(messages.tokens(), packets=1, messages=5_000).round()
    single *= 4 if results.quick else 20
    for traffic in (
        Traffic("full, 100 packets a message", full, 200, 500),
        Traffic("mixed modes, 100 packets a message", mixed, 50),
        Traffic("full, 1 packet a message", single, 50),
        Traffic("full, 1 packet a message, each in its own read", single, read_bytes=1),
    ):
        _check(traffic.sent[:30])
        _compare(results, traffic)
    _absolute(results, full)


def _check(sent: Sequence[bytes]) -> None:
    """Compare the frame with the dicts of the parser, value by value."""

    def frame() -> pl.DataFrame:
        pipeline = filling.new_pipeline()
        filling.feed(pipeline, sent)
        return pipeline.store.held.frame()

    parse = official.parser()
    ticks = [tick for message in sent for tick in parse(message)]
    different = official.differences(filling.within_loop(frame), ticks)
    assert ticks
    assert not different, different[:3]


def _compare(results: harness.Results, traffic: Traffic) -> None:
    what, sent, target, frame_target, read_bytes = traffic
    few = sent[: max(10, len(sent) // 300)]  # the peers are hundreds of times slower
    passing, keeping = _Running(_Passing), _Running(TickStore)
    timings = best_of(
        {
            "pipeline": lambda: passing.feed(sent, read_bytes),
            "retained": lambda: keeping.feed(sent, read_bytes),
            "parser": lambda: _parse(few),
            "flat frame": lambda: _frames(few, official.flat_frame),
            "nested frame": lambda: _frames(few, official.nested_frame),
        },
        repeats=3 if results.quick else 9,
        prepare={"retained": keeping.renew},
    )
    ours, retained, parser = timings["pipeline"], timings["retained"], timings["parser"]
    frames = min((timings["flat frame"], timings["nested frame"]), key=lambda it: it.wall)
    peers = {
        "the official client's parser, to dicts": (parser, target),
        "that parser and `pl.DataFrame` of its dicts, nested or flattened, the faster": (
            frames,
            frame_target,
        ),
    }
    ways = {
        "messages to DataFrames with all columns, dropped as the peer's are": ours,
        "the same, all retained, in memory new to the process": retained,
    }
    for way, own in ways.items():
        for peer, (timing, at_least) in peers.items():
            results.add(
                f"Decode, {what}: {way}",
                timing.wall / own.wall,
                against=peer,
                form="{:,.0f}×",
                target=harness.at_least(at_least) if at_least and own is ours else None,
                note=f"{_ns(own)} against {_ns(timing)} a tick; by processor time "
                f"{timing.cpu / own.cpu:,.0f}×",
            )
    results.series[what] = {name: timing.wall * 1e9 for name, timing in timings.items()}


def _ns(timing: Timing) -> str:
    nanoseconds = timing.wall * 1e9
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 10_000 else f"{nanoseconds / 1e3:,.1f} µs"


class _Passing(TickStore):
    """Makes a DataFrame whenever the buffer is full, drops it, and reuses the buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.held._replace(buffer=TickBuffer(CHUNK_ROWS))

    def _seal(self) -> None:
        buffer = self.held.buffer
        assert Chunk(buffer, self.held.symbols).frame().height == buffer.capacity
        for bitmap in buffer.bitmaps():
            bitmap.bytes[:] = 0
        buffer.length = 0
        self.held = self.held._replace(length=0)


class _Running:
    """A pipeline in steady state."""

    def __init__(self, store: type[TickStore]) -> None:
        self._store = store
        self.renew()

    def renew(self) -> None:
        """Start over: rows that are retained then go into new memory."""
        self._pipeline = Pipeline(self._store(), Events(), Flush())
        source = filling.batch_messages()
        while source.sent < filling.SETTLED_ROWS:
            self.feed(source.round())

    def feed(self, sent: Sequence[bytes], read_bytes: int = filling.READ_BYTES) -> int:
        """Process messages like a ticker."""
        return filling.within_loop(lambda: filling.feed(self._pipeline, sent, read_bytes))


def _parse(sent: Sequence[bytes]) -> int:
    parse = official.parser()
    return sum(len(parse(message)) for message in sent)


def _frames(sent: Sequence[bytes], frame: Callable[[official.Ticks], pl.DataFrame]) -> int:
    parse = official.parser()
    return sum(frame(parse(message)).height for message in sent)


def _absolute(results: harness.Results, full: list[bytes]) -> None:
    """Time the decoder alone, and memcpy of as many bytes; compare with the figure of the crate."""
    # Small batches into the same rows: this is about instructions, not about memory.
    size = math.ceil(CACHE_BYTES / len(full[0]))
    batches = [full[first : first + size] for first in range(0, len(full), size)]
    scanner = Scanner()
    buffer = TickBuffer(size * messages.PACKETS)

    def split() -> int:
        return sum(len(scanner.scan(batch)) for batch in batches)

    def decode_all() -> int:
        done = 0
        for batch in batches:
            packets = scanner.scan(batch)
            decode(packets, 0, len(packets), buffer.target, 0)
            done += len(packets)
        return done

    source = np.ones(COPIED * PACKET_BYTES, np.uint8)
    copy = np.ones_like(source)

    def memcpy() -> int:
        copy[:] = source
        return COPIED

    timings = best_of(
        {"split": split, "decode": decode_all, "memcpy": memcpy},
        repeats=5 if results.quick else 15,
    )
    alone, copied = timings["decode"].wall * 1e9, timings["memcpy"].wall * 1e9
    low, high = CRATE
    results.add(
        "Decode, full, into columns in the cache (split and decode alone)",
        alone / high,
        against=f"the Rust crate's {low:.0f}–{high:.0f} ns, quoted, not measured side by side",
        target=harness.at_most(1.0),
        note=f"{alone:,.0f} ns a tick, of which {timings['split'].wall * 1e9:,.0f} ns to find the "
        "packets; moonshot",
    )
    results.add(
        "Decode, full, into columns in the cache (split and decode alone)",
        alone / copied,
        against=f"memcpy of the {PACKET_BYTES} bytes, in the same run",
        note=f"{alone:,.0f} ns against {copied:,.0f} ns",
    )
    results.series["alone"] = {name: timing.wall * 1e9 for name, timing in timings.items()}


if __name__ == "__main__":
    harness.main("decode", main_work, __doc__)
