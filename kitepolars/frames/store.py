"""The store of ticks: the loop thread appends, seals full buffers and drops what is too old.

Other threads read the immutable `Held` that the store publishes, and never wait for the writer.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.frames.buffers import NEW_SEGMENT, NEW_TOKEN, SLOT, WRONG_TIME, TickBuffer
from kitepolars.frames.held import Chunk, Held, SealedFrames
from kitepolars.frames.index import TokenIndex
from kitepolars.frames.memory import Slabs
from kitepolars.wire.decode import MICROSECONDS
from kitepolars.wire.layouts import LAYOUTS
from kitepolars.wire.scan import Packets

CHUNK_ROWS: Final = 524_288
"""Rows of a full chunk, about 136 MB. Queries are fast on few large chunks."""

TICK_BYTES: Final = 1 + sum(column.nbytes for column in TickBuffer(64).columns.values()) // 64
"""Bytes of a row of a buffer, about; the same in every mode."""

SMALLEST_CHUNK: Final = 65_536
"""Rows of the first chunk; each chunk is twice as large as the previous, up to `CHUNK_ROWS`."""

SETTLING_CHUNKS: Final = 8
"""Chunks at most whose last ticks are merged together, which takes as long as for one chunk."""

RETENTION_CHUNKS: Final = 16
"""The least number of chunks of a bounded history, of which one is dropped at a time."""

_HAS_EXCHANGE_TIME: Final = np.array(["exchange_timestamp" in layout.fields for layout in LAYOUTS])

SymbolOf = Callable[[Sequence[int]], Sequence[str | None]]
"""Instrument tokens → symbols such as ``"NSE:INFY"``, None where unknown."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The bounds of the history in memory. The oldest ticks are dropped in whole chunks.

    ``stats().history`` says what is held. Without a bound `events()` warns, an hour before at the
    present rate, that memory will be full. With a recorder, `Ticker.scan` has what was dropped.

    Parameters
    ----------
    max_rows
        The most rows held, 16 and up; up to 1/16 fewer after a chunk has been dropped. None for
        no bound.
    max_bytes
        The most memory held by ticks, likewise: 260 bytes each. None for no bound.
    max_age
        Drop a chunk once its newest tick is older than this many seconds, or than this
        `datetime.timedelta`. None for no bound.

    Raises
    ------
    ConfigError
        When a bound is not positive.

    Examples
    --------
    >>> Retention(max_rows=5_000_000, max_age=3600)
    Retention(max_rows=5000000, max_age=3600, max_bytes=None)
    """

    max_rows: int | None = None
    max_age: float | dt.timedelta | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_rows is not None and self.max_rows < RETENTION_CHUNKS:
            raise ConfigError(
                "max_rows", self.max_rows, f"None or at least {RETENTION_CHUNKS} rows"
            )
        if self.max_bytes is not None and self.max_bytes < RETENTION_CHUNKS * TICK_BYTES:
            raise ConfigError(
                "max_bytes",
                self.max_bytes,
                f"None or at least {RETENTION_CHUNKS * TICK_BYTES:,} bytes",
            )
        if Bounds.of(self).seconds <= 0:
            raise ConfigError("max_age", self.max_age, "None or a positive number of seconds")


class Bounds(NamedTuple):
    """The bounds of a history, infinite where there is none.

    Parameters
    ----------
    rows
        The most rows held, by `Retention.max_rows` and `Retention.max_bytes`.
    seconds
        The greatest age of a chunk's newest tick.
    """

    rows: float
    seconds: float

    @classmethod
    def of(cls, retention: Retention) -> Bounds:
        """Return the bounds that a user chose."""
        rows = math.inf if retention.max_rows is None else retention.max_rows
        size, age = retention.max_bytes, retention.max_age
        by_bytes = math.inf if size is None else size // TICK_BYTES
        if isinstance(age, dt.timedelta):
            age = age.total_seconds()
        return cls(min(rows, by_bytes), math.inf if age is None else age)

    @property
    def chunk_rows(self) -> int:
        """The most rows per chunk, such that dropping one drops a small part of the history."""
        return int(min(CHUNK_ROWS, self.rows // RETENTION_CHUNKS))


class NewRows(NamedTuple):
    """Rows that are complete except for their mark as cached values.

    Parameters
    ----------
    slots
        The slot of the instrument of each row.
    codes
        The code of the layout of each row.
    columns
        The columns of the buffer.
    place
        The range of rows.
    suspect
        Whether a time may be impossible; False if a first look found none.
    """

    slots: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint8]
    columns: Mapping[str, npt.NDArray[Any]]
    place: slice
    suspect: bool = True

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a column; undefined in rows whose layout does not have the field."""
        return self.columns[name][self.place]

    def has_exchange_time(self) -> npt.NDArray[np.bool_]:
        """Return which rows have an exchange time by their layout; it may still be 0, absent."""
        return _HAS_EXCHANGE_TIME[self.codes]


Mark = Callable[[NewRows], npt.NDArray[np.bool_] | None]
"""New rows → which of them are cached values of the server; None for none of them."""


class TickStore:
    """Buffers ticks, seals them into chunks, and publishes what is held.

    Parameters
    ----------
    retention
        The bounds of the history.
    """

    def __init__(self, retention: Retention | None = None) -> None:
        self.retention = retention or Retention()
        self._bounds = Bounds.of(self.retention)
        self.index = TokenIndex()
        self.begins = 0
        """The number of the first tick since the store was made, or cleared."""
        self.ahead = 0
        """Microseconds by which times may be later than their arrival without being suspect."""
        self._symbol_of: SymbolOf = lambda tokens: [None] * len(tokens)
        self._symbols = pl.Series("symbol", [], dtype=pl.Categorical)
        self._slabs = Slabs()
        self.before_drop: Callable[[Held], None] = lambda held: None  # noqa: ARG005
        """Called with all that is held before some of it is dropped; must not raise."""
        buffer = TickBuffer(min(SMALLEST_CHUNK, self._bounds.chunk_rows), self._slabs)
        self.held = Held((), 0, 0, buffer, 0, self._symbols, 0, TickBuffer(1), (), SealedFrames())
        """The published state, replaced in a single assignment."""

    def name_instruments(self, symbol_of: SymbolOf) -> None:
        """Replace the symbols of future ticks. A tick keeps the symbol under which it arrived.

        If the symbol of a token changes, the exchange has reassigned the token to another
        instrument, which gets its own slot. Ticks without a symbol get one.
        """
        self._symbol_of = symbol_of
        names = self._symbols.cast(pl.String)
        new = pl.Series(symbol_of(self.index.tokens[: len(names)].tolist()), dtype=pl.String)
        is_history = pl.Series(self.index.is_retired()[: len(names)])
        is_other = ~is_history & names.is_not_null() & names.ne_missing(new)
        kept = names.zip_with(is_history | is_other | new.is_null(), new)
        self._symbols = kept.rename("symbol").cast(pl.Categorical)
        if is_other.any():
            self.index.renew(is_other.arg_true().cast(pl.Int64).to_numpy())
        if len(self.index) > len(self._symbols):
            self._name_new()
        self.held = self.held._replace(
            symbols=self._symbols,
            naming=self.held.naming + 1,
            are_reused=self.held.are_reused or bool(is_other.any()),
        )

    def move_clock(self, microseconds: int) -> None:
        """Count ages from `received_at` as it would be, had the clock always been as it is now."""
        for chunk in self.held.chunks:
            chunk.newest += microseconds

    def _name_new(self) -> None:
        """Look up the symbols of new instruments. Published symbols do not change."""
        symbols = self._symbol_of(self.index.tokens[len(self._symbols) :].tolist())
        new = pl.Series("symbol", symbols, dtype=pl.Categorical, strict=False)
        self._symbols = pl.concat([self._symbols, new], rechunk=True)

    def slots(
        self, tokens: npt.NDArray[np.uint32], out: npt.NDArray[np.int32] | None = None
    ) -> npt.NDArray[np.int32]:
        """Return the slots of instrument tokens, assigning new ones; see `TokenIndex.slots`."""
        slots = self.index.slots(tokens, out)
        if len(self.index) > len(self._symbols):
            self._name_new()
        return slots

    def clear(self) -> None:
        """Drop every tick. Instruments keep their slots, and the numbering of ticks continues."""
        held = self.held
        self.begins = held.total
        buffer = TickBuffer(min(SMALLEST_CHUNK, self._bounds.chunk_rows), self._slabs)
        self.held = held._replace(
            chunks=(),
            sealed_rows=0,
            first=held.total,
            buffer=buffer,
            length=0,
            settled=TickBuffer(1),
            unsettled=(),
            sealed=SealedFrames(),
        )

    def write(self, packets: Packets, reads: npt.NDArray[np.int64], mark: Mark) -> Collection[int]:
        """Decode packets into rows and publish them.

        Parameters
        ----------
        packets
            The packets in the items of `reads`.
        reads
            For each read of a socket: time in microseconds since the epoch, UTC; connection;
            number of items. Shape ``(n, 3)``.
        mark
            Called with new rows before they are published.

        Returns
        -------
        Collection
            The unknown segment codes.
        """
        unknown: set[int] = set()
        start = 0
        while start < len(packets):
            stop = min(len(packets), start + self.held.buffer.room)
            unknown.update(self._write(packets, reads, mark, start, stop))
            start = stop
        return unknown

    def _write(
        self, packets: Packets, reads: npt.NDArray[np.int64], mark: Mark, start: int, stop: int
    ) -> list[int]:
        """Write packets that fit into the buffer, publish them, and seal a full buffer."""
        held, buffer = self.held, self.held.buffer
        first = buffer.length
        written = buffer.write(
            packets, start, stop, reads=reads, index=self.index, ahead=self.ahead
        )
        place = slice(first, first + stop - start)
        slots = buffer.columns[SLOT][place].view(np.int32)
        if written & NEW_TOKEN:
            self.slots(buffer.columns["instrument_token"][place], slots)
        codes = packets.codes[start:stop]
        suspect = written & WRONG_TIME != 0
        buffer.publish(codes, mark(NewRows(slots, codes, buffer.columns, place, suspect)))
        self.held = held._replace(length=buffer.length, symbols=self._symbols)
        if not buffer.room:
            self._seal()
        elif first < buffer.capacity // 2 <= buffer.length:
            self._prepare()
        return buffer.take_unknown_segments() if written & NEW_SEGMENT else []

    @property
    def _next_capacity(self) -> int:
        return min(self._bounds.chunk_rows, self.held.buffer.capacity * 2)

    def _prepare(self) -> None:
        """Prepare the memory of the next buffer, unless that of a dropped chunk will be reused."""
        capacity = self._next_capacity
        if not self._dropped(self.held.sealed_rows + self.held.buffer.capacity + capacity):
            TickBuffer.prepare(capacity, self._slabs)

    def _seal(self) -> None:
        """Turn the full buffer into a chunk, apply the retention, and start a new buffer."""
        capacity = self._next_capacity
        self._drop(capacity)  # first, so that the new buffer can reuse the memory
        held = self.held
        self.held = held._replace(
            chunks=(*held.chunks, Chunk(held.buffer, held.symbols)),
            sealed_rows=held.sealed_rows + held.length,
            buffer=TickBuffer(capacity, self._slabs),
            length=0,
            unsettled=(*held.unsettled, held.buffer),
        )
        unsettled = self.held.unsettled
        rows = sum(buffer.length for buffer in unsettled)
        if rows >= CHUNK_ROWS or len(unsettled) >= SETTLING_CHUNKS:
            self._settle()

    def _dropped(self, rows: int) -> int:
        """Return how many chunks must go from the front until `rows` rows are within the bounds."""
        held = self.held
        # Age counts from the newest tick, not from now: a quiet market must not lose its history.
        newest = held.buffer.newest
        dropped = 0
        for chunk in held.chunks:
            too_many = rows > self._bounds.rows
            too_old = newest - chunk.newest > self._bounds.seconds * MICROSECONDS
            if not (too_many or too_old):
                break
            rows -= chunk.height
            dropped += 1
        return dropped

    def _drop(self, room: int) -> None:
        """Drop chunks from the front until the history plus `room` rows is within its bounds."""
        held = self.held
        dropped = self._dropped(held.height + room)
        if dropped:
            self.before_drop(held)
            if dropped > len(held.chunks) - len(held.unsettled):
                held = self._settle()
            gone = sum(chunk.height for chunk in held.chunks[:dropped])
            self.held = held._replace(
                chunks=held.chunks[dropped:],
                sealed_rows=held.sealed_rows - gone,
                first=held.first + gone,
                sealed=SealedFrames(),
            )

    def _settle(self) -> Held:
        """Merge the last ticks of the latest chunks, and of the buffer so far."""
        self.held = self.held._replace(settled=self.held.merge_latest(), unsettled=())
        return self.held
