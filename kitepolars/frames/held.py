"""The ticks held at one moment: sealed chunks and the live tail. Immutable; any thread."""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.frames.buffers import Rows, TickBuffer, merge_latest
from kitepolars.frames.schema import MODE, SCHEMA
from kitepolars.wire.layouts import MODES

_MODE_VALUES: Final = pl.Series("mode", list(MODES), dtype=MODE)


class Chunk:
    """A full buffer. The first reader that needs its frame makes it, on the reader's thread.

    Parameters
    ----------
    buffer
        The buffer, all of whose rows are published.
    symbols
        The Categorical symbol by slot.
    """

    def __init__(self, buffer: TickBuffer, symbols: pl.Series) -> None:
        self.height = buffer.length
        self.newest = buffer.newest
        """The arrival of its last tick by the present clock: µs since the epoch, UTC."""
        self.oldest = int(buffer.columns["received_at"][0])
        """The arrival of its first tick, as it is in the frame."""
        self._buffer: TickBuffer | None = buffer
        self._symbols = symbols
        self._frame: pl.DataFrame | None = None
        self._lock = threading.Lock()

    def frame(self) -> pl.DataFrame:
        """Return its ticks. Any thread."""
        with self._lock:
            if self._buffer is not None:
                self._frame = self._buffer.frame(0, self.height, self._symbols, _MODE_VALUES)
                self._buffer = None
            assert self._frame is not None  # noqa: S101 - made from the buffer above
            return self._frame


class SealedFrames:
    """Caches the concatenated frames of chunks. Any thread."""

    def __init__(self) -> None:
        self._made: tuple[tuple[Chunk, ...], pl.DataFrame] = ((), pl.DataFrame(schema=SCHEMA))

    def frame(self, chunks: tuple[Chunk, ...]) -> pl.DataFrame:
        """Return the ticks of chunks; usually those of the previous call and some new ones."""
        known, frame = self._made
        if chunks[: len(known)] != known:
            known, frame = (), pl.DataFrame(schema=SCHEMA)
        new = [chunk.frame() for chunk in chunks[len(known) :]]
        if new:
            frame = pl.concat([frame, *new] if known else new)
            self._made = chunks, frame
        return frame


class Held(NamedTuple):
    """The ticks held at one moment. Immutable; any thread may make frames of it.

    Parameters
    ----------
    chunks
        The sealed chunks.
    sealed_rows
        Rows of the chunks.
    first
        The number of ticks dropped so far: the number of the first tick held.
    buffer, length
        The live tail, and its published rows.
    symbols, naming
        The Categorical symbol by slot, and how often the symbols have been replaced.
    settled, unsettled
        The last tick of each instrument before the latest chunks, and the buffers of these.
    sealed
        The frame of the chunks, cached.
    are_reused
        Whether a token has been reassigned to another instrument, so that two slots have it.
    """

    chunks: tuple[Chunk, ...]
    sealed_rows: int
    first: int
    buffer: TickBuffer
    length: int
    symbols: pl.Series
    naming: int
    settled: TickBuffer
    unsettled: tuple[TickBuffer, ...]
    sealed: SealedFrames
    are_reused: bool = False

    @property
    def height(self) -> int:
        """Rows held."""
        return self.sealed_rows + self.length

    @property
    def total(self) -> int:
        """Ticks received so far, including dropped ones: the number of the next tick."""
        return self.first + self.height

    @property
    def oldest(self) -> int | None:
        """The arrival of the first tick held, µs since the epoch, UTC; None without one."""
        if self.chunks:
            return self.chunks[0].oldest
        return int(self.buffer.columns["received_at"][0]) if self.length else None

    def tail(self) -> pl.DataFrame:
        """Return the rows of the live tail."""
        return self.buffer.growing(self.length, self.symbols, _MODE_VALUES, self.naming)

    def frame(self) -> pl.DataFrame:
        """Return all ticks held, in arrival order, without copying them."""
        sealed = self.sealed.frame(self.chunks)
        return pl.concat([sealed, self.tail()]) if self.length else sealed

    def since(self, number: int, columns: tuple[str, ...] = tuple(SCHEMA)) -> pl.DataFrame:
        """Return the ticks from a number on, counted from the first tick received.

        Parameters
        ----------
        number
            The number of the first.
        columns
            The columns of the frame, at least one besides symbol and mode; few are faster.
        """
        start = max(0, number - self.first)
        if start >= self.sealed_rows:
            begin = min(start - self.sealed_rows, self.length)
            return self.buffer.frame(begin, self.length, self.symbols, _MODE_VALUES, columns)
        return self.frame().slice(start).select(columns)

    def rows_since(self, number: int) -> Rows | pl.DataFrame:
        """Return the same rows as `since`; those of the live tail in place, without a frame."""
        rows = self.growing_since(number)
        return self.since(number) if rows is None else rows

    def growing_since(self, number: int) -> Rows | None:
        """Return the same rows as `since` in place; None unless all are in the live tail."""
        start = number - self.first - self.sealed_rows
        if start < 0:
            return None
        return Rows(self.buffer, min(start, self.length), self.length, self.symbols)

    def latest(self, tokens: npt.NDArray[np.uint32] | None = None) -> pl.DataFrame:
        """Return the last tick of each instrument, in the order in which they were first seen.

        The time does not depend on the length of the history, only on that of the live tail.

        Parameters
        ----------
        tokens
            Only these instruments; all by default.
        """
        merged = self.merge_latest(tokens)
        latest = merged.frame(0, merged.length, self.symbols, _MODE_VALUES)
        if self.are_reused:  # the instrument that has the token now has the later slot
            latest = latest.unique("instrument_token", keep="last", maintain_order=True)
        return latest

    def merge_latest(self, tokens: npt.NDArray[np.uint32] | None = None) -> TickBuffer:
        """Return the rows of `latest` as a buffer."""
        before = [(buffer, buffer.length) for buffer in (self.settled, *self.unsettled)]
        return merge_latest([*before, (self.buffer, self.length)], len(self.symbols), tokens)
