"""Fills a pipeline or a ticker from memory, without sockets. Any thread."""

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
"""Friday 20 November 2026, 09:15 in India, in UTC epoch seconds: when generated sessions start."""

SETTLED_ROWS: Final = 2 * CHUNK_ROWS
"""Chunks have their full size once this many rows are held."""

READ_BYTES: Final = 64 * 1024
"""Bytes per read of a busy socket; asyncio reads at most four times as many."""

RATE: Final = 18_000
"""Ticks per second of a generated session: two for each of 9,000 instruments."""


def new_pipeline(retention: Retention | None = None) -> Pipeline:
    """Return an empty pipeline with the default `Flush` of a ticker."""
    return Pipeline(TickStore(retention), Events(), Flush())


def batch_messages(packets: int = PACKETS) -> FullMessages:
    """Return messages of which a round fills one flush."""
    size = COUNT.itemsize + packets * FULL.framed_dtype.itemsize
    return FullMessages(tokens(), packets=packets, messages=math.ceil(Flush().max_bytes / size))


def settled_pipeline() -> Pipeline:
    """Return a pipeline in steady state: instruments known, chunks at their full size.

    It holds the rows of about a minute of a market. Needs a running event loop.
    """
    pipeline = new_pipeline()
    fill(pipeline, SETTLED_ROWS)
    return pipeline


def within_loop(function: Callable[[], T]) -> T:
    """Call a function in this thread while an event loop runs, as in the feed."""

    async def run() -> T:
        return function()

    return asyncio.run(run())


def feed(pipeline: Pipeline, messages: Sequence[bytes], read_bytes: int = READ_BYTES) -> int:
    """Deliver messages to a pipeline like connections do, and flush it at the end.

    Parameters
    ----------
    pipeline
        The pipeline.
    messages
        The messages.
    read_bytes
        Bytes per read of a connection; at least one message.

    Returns
    -------
    int
        The number of ticks decoded.
    """
    before = pipeline.stats().ticks
    size = max(1, read_bytes // max(map(len, messages), default=1))
    for number, first in enumerate(range(0, len(messages), size)):
        read = messages[first : first + size]
        pipeline.take(Messages(now_us(), number % 3, read))
    pipeline.flush()
    return pipeline.stats().ticks - before


def fill(pipeline: Pipeline, rows: int, source: FullMessages | None = None) -> FullMessages:
    """Feed full-mode ticks, with the times of a session, until at least `rows` rows are held.

    Parameters
    ----------
    pipeline
        The pipeline; needs a running event loop.
    rows
        Rows to hold; the last message may add a few more.
    source
        The messages, to be continued; new ones by default.
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
    """Call a function with the pipeline of a running ticker, on its loop thread."""
    runtime = ticker._runtime  # noqa: SLF001 - as the feed would
    return runtime.call(function, runtime.pipeline)
