"""Every tick held: sealed chunks and the live tail, their snapshots, and retention.

Owned by the loop thread, which appends. Any other thread reads the one
immutable `Held` that the store publishes, and never waits for the writer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.frames.buffers import SLOT, TickBuffer, merge_latest
from kitepolars.frames.index import TokenIndex
from kitepolars.frames.schema import MODE, SCHEMA
from kitepolars.wire.layouts import MODES

CHUNK_ROWS: Final = 262_144
"""Rows of a full chunk (about 68 MB). Chunks are few and large, so that queries stay fast."""

SMALLEST_CHUNK: Final = 8_192
"""Rows of the first chunk; each is twice as large as the one before, up to `CHUNK_ROWS`."""

RETENTION_CHUNKS: Final = 16
"""A bounded history is kept in at least so many chunks: one is dropped at a time."""

_MODE_VALUES: Final = pl.Series("mode", list(MODES), dtype=MODE)

SymbolOf = Callable[[Sequence[int]], Sequence[str | None]]
"""Instrument tokens → symbols such as ``"NSE:INFY"``, None where unknown."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How much history is kept. Whole chunks are dropped from the front.

    Parameters
    ----------
    max_rows
        Never hold more rows than this; just after a drop up to 1/16 fewer are held. None: no
        bound.
    max_age
        Drop a chunk when its newest tick is older than this many seconds (or this
        `datetime.timedelta`). None: no bound.

    Raises
    ------
    ConfigError
        When a bound is not positive.

    Examples
    --------
    >>> Retention(max_rows=5_000_000, max_age=3600)
    Retention(max_rows=5000000, max_age=3600)
    """

    max_rows: int | None = None
    max_age: float | dt.timedelta | None = None

    def __post_init__(self) -> None:
        if self.max_rows is not None and self.max_rows < RETENTION_CHUNKS:
            raise ConfigError(
                "max_rows", self.max_rows, f"None or at least {RETENTION_CHUNKS} rows"
            )
        if self.max_age is not None and self.max_age_seconds <= 0:
            raise ConfigError("max_age", self.max_age, "None or a positive number of seconds")

    @property
    def max_age_seconds(self) -> float:
        """The greatest age in seconds, infinite where there is no bound."""
        if self.max_age is None:
            return float("inf")
        if isinstance(self.max_age, dt.timedelta):
            return self.max_age.total_seconds()
        return float(self.max_age)

    @property
    def chunk_rows(self) -> int:
        """The most rows of a chunk, so that dropping one loses little."""
        if self.max_rows is None:
            return CHUNK_ROWS
        return min(CHUNK_ROWS, self.max_rows // RETENTION_CHUNKS)


@dataclass(frozen=True, slots=True)
class Held:
    """What is held at one moment. Immutable; any thread may make frames of it.

    Parameters
    ----------
    sealed
        The sealed chunks as one DataFrame.
    first
        The number of ticks that came before the first row of `sealed`.
    buffer, length
        The live tail and how much of it is published.
    symbols
        The Categorical symbol by slot.
    settled
        The last tick of each instrument before the live tail began.
    """

    sealed: pl.DataFrame
    first: int
    buffer: TickBuffer
    length: int
    symbols: pl.Series
    settled: TickBuffer

    @property
    def height(self) -> int:
        """Rows held."""
        return self.sealed.height + self.length

    @property
    def total(self) -> int:
        """Ticks ever, dropped ones included: the number of the next tick."""
        return self.first + self.height

    def tail(self, start: int = 0) -> pl.DataFrame:
        """Return the rows that are not sealed yet, from one on."""
        return self.buffer.frame(start, self.length, self.symbols, _MODE_VALUES)

    def frame(self) -> pl.DataFrame:
        """Return every tick held, in arrival order, without copying it."""
        return self.sealed.vstack(self.tail()) if self.length else self.sealed

    def since(self, number: int) -> pl.DataFrame:
        """Return the ticks from a number on, counted from the first ever."""
        start = max(0, number - self.first)
        if start >= self.sealed.height:
            return self.tail(min(start - self.sealed.height, self.length))
        return self.frame().slice(start)

    def latest(self) -> pl.DataFrame:
        """Return the last tick of each instrument, in the order in which they were first seen.

        However long the history, only the live tail is looked at, and what had settled before.
        """
        merged = self.merge_latest()
        return merged.frame(0, merged.length, self.symbols, _MODE_VALUES)

    def merge_latest(self) -> TickBuffer:
        """Return the same, as a buffer."""
        return merge_latest(self.settled, self.buffer, self.length, len(self.symbols))


class TickStore:
    """Buffers ticks, seals them into chunks, and publishes what is held.

    Parameters
    ----------
    retention
        How much history is kept.
    """

    def __init__(self, retention: Retention | None = None) -> None:
        self.retention = retention or Retention()
        self.index = TokenIndex()
        self._symbol_of: SymbolOf = lambda tokens: [None] * len(tokens)
        self._symbols = pl.Series("symbol", [], dtype=pl.Categorical)
        self._chunks: list[pl.DataFrame] = []
        empty = pl.DataFrame(schema=SCHEMA)
        buffer = TickBuffer(min(SMALLEST_CHUNK, self.retention.chunk_rows))
        self.held = Held(empty, 0, buffer, 0, self._symbols, TickBuffer(1))
        """The published state: one assignment replaces it as a whole."""

    @property
    def buffer(self) -> TickBuffer:
        """The buffer that takes the next ticks; it always has room."""
        return self.held.buffer

    def name_instruments(self, symbol_of: SymbolOf) -> None:
        """Use other symbols for the ticks that are not sealed yet, and for those to come."""
        self._symbol_of = symbol_of
        self._symbols = self._make_symbols()
        self.held = replace(self.held, symbols=self._symbols)

    def _make_symbols(self) -> pl.Series:
        tokens = self.index.tokens.tolist()
        return pl.Series("symbol", self._symbol_of(tokens), dtype=pl.Categorical, strict=False)

    def slots(self, tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Return the slots of instrument tokens, new ones included."""
        known = len(self.index)
        slots = self.index.slots(tokens)
        if len(self.index) > known:
            self._symbols = self._make_symbols()
        return slots

    def append(
        self,
        slots: npt.NDArray[np.int32],
        codes: npt.NDArray[np.uint8],
        is_snapshot: npt.NDArray[np.bool_],
    ) -> None:
        """Publish the rows that have been written into `buffer` behind its length.

        Parameters
        ----------
        slots
            The slot of each row's instrument.
        codes
            The layout code of each row.
        is_snapshot
            Whether each row is the server's cached value.
        """
        held, buffer = self.held, self.buffer
        buffer.columns[SLOT][buffer.length : buffer.length + len(slots)] = slots
        buffer.publish(codes, is_snapshot)
        self.held = replace(held, length=buffer.length, symbols=self._symbols)
        if not buffer.room:
            self._seal()

    def _seal(self) -> None:
        """Turn the full buffer into a chunk, drop what retention says, and begin a new buffer."""
        held = self.held
        chunk = held.tail()
        self._chunks.append(chunk)
        capacity = min(self.retention.chunk_rows, held.buffer.capacity * 2)
        self.held = replace(
            held,
            sealed=held.sealed.vstack(chunk),
            buffer=TickBuffer(capacity),
            length=0,
            settled=held.merge_latest(),
        )
        self._drop()

    def _drop(self) -> None:
        """Drop chunks from the front until the history is within its bounds."""
        held = self.held
        rows = held.sealed.height + held.buffer.capacity
        first, drop = held.first, 0
        for chunk in self._chunks:
            if not (self._too_many(rows) or self._too_old(chunk)):
                break
            rows -= chunk.height
            first += chunk.height
            drop += 1
        if not drop:
            return
        del self._chunks[:drop]
        sealed = pl.concat(self._chunks) if self._chunks else held.sealed.clear()
        self.held = replace(held, sealed=sealed, first=first)

    def _too_many(self, rows: int) -> bool:
        return self.retention.max_rows is not None and rows > self.retention.max_rows

    def _too_old(self, chunk: pl.DataFrame) -> bool:
        newest = self._chunks[-1]["received_at"][-1]
        age: dt.timedelta = newest - chunk["received_at"][-1]
        return age.total_seconds() > self.retention.max_age_seconds
