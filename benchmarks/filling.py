"""Fills a pipeline or a ticker from memory, without sockets, as fast as it takes. Any thread."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from kitepolars.frames.store import CHUNK_ROWS, Retention, TickStore
from kitepolars.ledger.events import Events
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.source import Messages, now_us
from kitepolars.ticker import Ticker
from kitepolars.wire.layouts import COUNT, FULL
from messages import PACKETS, FullMessages, tokens

T = TypeVar("T")

START: Final = 1_795_146_300
"""Friday 20 November 2026, 09:15 in India, in UTC epoch seconds: when made-up sessions begin."""

SETTLED_ROWS: Final = 2 * CHUNK_ROWS
"""The chunks before this many rows are small ones."""

READ_BYTES: Final = 64 * 1024
"""Bytes read at once when there is much to read; asyncio takes four times as many at most."""

RATE: Final = 18_000
"""Ticks a second of a made-up session: two a second for each of 9,000 instruments."""


def new_pipeline(retention: Retention | None = None) -> Pipeline:
    """Return a pipeline that nobody feeds yet, with the flush that a ticker has by default."""
    return Pipeline(TickStore(retention), Events(), Flush())


def batch_messages(packets: int = PACKETS) -> FullMessages:
    """Return messages of which a round is what one flush decodes."""
    size = COUNT.itemsize + packets * FULL.framed_dtype.itemsize
    return FullMessages(tokens(), packets=packets, messages=math.ceil(Flush().max_bytes / size))


def settled_pipeline() -> Pipeline:
    """Return a pipeline that has run for a while: instruments known, chunks at their full size.

    It has taken half a minute of a market, whose rows it holds. A running event loop is needed.
    """
    pipeline = new_pipeline()
    fill(pipeline, SETTLED_ROWS)
    return pipeline


def within_loop(function: Callable[[], T]) -> T:
    """Call a plain function in this thread with an event loop running, as the feed does."""

    async def run() -> T:
        return function()

    return asyncio.run(run())


def feed(pipeline: Pipeline, messages: Sequence[bytes], read_bytes: int = READ_BYTES) -> int:
    """Deliver messages to a pipeline as connections do, and decode what waits in the end.

    Parameters
    ----------
    pipeline
        Where to.
    messages
        What is delivered.
    read_bytes
        How much of it a connection reads at once; one message at least.

    Returns
    -------
    int
        The ticks that this made.
    """
    before = pipeline.stats().ticks
    size = max(1, read_bytes // max(map(len, messages), default=1))
    for number, first in enumerate(range(0, len(messages), size)):
        read = messages[first : first + size]
        pipeline.take(Messages(now_us(), number % 3, read))
    pipeline.flush()
    return pipeline.stats().ticks - before


def fill(pipeline: Pipeline, rows: int, source: FullMessages | None = None) -> FullMessages:
    """Feed full-mode ticks until at least so many rows are held, in the time of a session.

    Parameters
    ----------
    pipeline
        Where to; a running event loop is needed.
    rows
        Rows to be held. The last message may bring a few more.
    source
        The messages, to go on with; new ones if not given.
    """
    source = source or batch_messages()
    packets = source.ticks
    while pipeline.store.held.height + packets <= rows:
        feed(pipeline, source.round(START + source.sent // RATE))
    for message in source.round(START + source.sent // RATE):
        if pipeline.store.held.height >= rows:
            break
        feed(pipeline, [message])
    return source


def on_loop_thread(ticker: Ticker, function: Callable[[Pipeline], T]) -> T:
    """Call a function with a running ticker's pipeline on its loop thread, past the sockets."""
    runtime = ticker._runtime  # noqa: SLF001 - as the feed would
    return runtime.call(function, runtime.pipeline)
