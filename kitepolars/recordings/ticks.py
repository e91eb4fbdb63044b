"""A journal's records → the ticks of a live ticker, many at a time, with their sequence numbers.

The same pipeline decodes them as for a live ticker, so rows are equal bit for bit. No Python object
is made for a message, a record of messages, or a tick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError, JournalError
from kitepolars.frames.buffers import TickBuffer
from kitepolars.frames.index import InstrumentFilter
from kitepolars.frames.memory import Slabs
from kitepolars.frames.store import Mark, TickStore
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.instruments.dump import DUMP_SCHEMA
from kitepolars.journal.format import Field
from kitepolars.journal.reader import EntryReader
from kitepolars.journal.segments import SegmentFile
from kitepolars.ledger import Ledger
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.source import Listing, MessageBlock, Record, Sink
from kitepolars.wire.scan import Packets

BATCH_ROWS: Final = 131_072
"""Rows of a batch: 35 MB of full ticks."""

SPARE_BATCHES: Final = 8
"""Batches whose memory is kept for later ones: who reads may hold a million rows at a time."""


class TickBatch(NamedTuple):
    """Consecutive ticks of a journal.

    Parameters
    ----------
    ticks
        The columns of `Ticker.frame`, in arrival order.
    sequence
        By row, the sequence number of the record that the tick was in, shape ``(n,)``, ascending.
    """

    ticks: pl.DataFrame
    sequence: npt.NDArray[np.int64]


class TickReader:
    """Reads segments of a journal, in order, into batches of ticks.

    What one segment says about the next (cached values that are expected, names, damaged records)
    is kept between calls of `read`.

    Parameters
    ----------
    also
        Takes every record as well, such as a `Ledger` for gaps, orders and events.
    instruments
        Only ticks of these: names of the recording's own instruments, or tokens.
    where
        Only ticks of instruments for which these expressions are all true. They may refer to the
        columns ``instrument_token`` and ``symbol``.

    Packets of other instruments are not decoded.

    Examples
    --------
    >>> from kitepolars.journal.segments import segments
    >>> from kitepolars.playback import SAMPLE
    >>> reader = TickReader()
    >>> batches = [batch for segment in segments(SAMPLE) for batch in reader.read(segment)]
    >>> batches.extend(reader.finish())
    >>> all(batch.ticks.height == len(batch.sequence) for batch in batches)
    True
    """

    def __init__(
        self,
        also: Sink | None = None,
        *,
        instruments: SomeInstruments | None = None,
        where: Sequence[pl.Expr] = (),
    ) -> None:
        self.names = Instruments(DUMP_SCHEMA.to_frame())
        """The instruments of the day that was read last."""
        self._also = also
        self._instruments = instruments
        self._where = where
        self._is_selective = instruments is not None or bool(where)
        self._needs_selection = self._is_selective
        self._entries = EntryReader()
        self._store = _BatchStore()
        self._events = Ledger().events
        self._pipeline = Pipeline(self._store, self._events, Flush(interval=None))

    @property
    def is_stopped(self) -> bool:
        """Whether what was recorded was stopped on purpose after the records so far."""
        return self._entries.standing.is_stopped

    def read(self, segment: SegmentFile, end: int | None = None) -> Iterator[TickBatch]:
        """Yield the batches that a segment completes, of `BATCH_ROWS` each.

        Parameters
        ----------
        segment
            The next one.
        end
            Records of this time and later need not be read: microseconds since the Unix epoch, UTC.

        Raises
        ------
        JournalError
            When a newer version of the format was used, or a condition in `where` fails.
        """
        # checking what is not compressed costs less than handing it to another thread
        tables = segment.tables_ahead if segment.is_compressed else segment.tables
        for table in tables():
            if end is not None and len(table) and table.rows[0, Field.AT] >= end:
                return
            for record in self._entries.read_table(table):
                self._take(record)
            self._check(segment)
            yield from self._store.take_full()

    def finish(self) -> Iterator[TickBatch]:
        """Yield the ticks that fill no batch."""
        self._pipeline.flush()
        yield from self._store.take_full()
        yield from self._store.take_rest()

    def _check(self, segment: SegmentFile) -> None:
        """Raise what the pipeline of a live ticker reports as an event."""
        if self._pipeline.stats().dropped:
            reason = self._events.snapshot()[-1].detail
            raise JournalError(reason, path=segment.path)

    def _take(self, record: Record) -> None:
        if isinstance(record, MessageBlock):
            if self._needs_selection:
                self._pipeline.select(self._selection())
                self._needs_selection = False
            self._store.expect(record)
        elif isinstance(record, Listing):
            self._name(record)
        self._pipeline.take(record)
        if self._also is not None:
            self._also.take(record)

    def _name(self, listing: Listing) -> None:
        self._pipeline.flush()
        names = self.names = names_of(listing)
        self._store.name_instruments(lambda tokens: names.symbols(tokens).to_list())
        self._needs_selection = self._is_selective

    def _selection(self) -> InstrumentFilter:
        """Return the selection by the names of the day."""
        conditions = list(self._where)
        if self._instruments is not None:
            tokens = self.names.tokens(self._instruments)
            conditions.append(pl.col("instrument_token").is_in(tokens))

        def wants(tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
            is_wanted = pl.all_horizontal(conditions).fill_null(value=False)
            return self._store.named(tokens).select(is_wanted).to_series().to_numpy()

        return InstrumentFilter(wants)


def names_of(listing: Listing) -> Instruments:
    """Return the instruments of a listing; none if it is not a dump."""
    try:
        return Instruments.read_csv(listing.csv)
    except ConfigError:
        return Instruments(DUMP_SCHEMA.to_frame())


class _BatchStore(TickStore):
    """Turns each full buffer into a batch, and holds no history."""

    def __init__(self) -> None:
        super().__init__()
        self._slabs = Slabs(spare=SPARE_BATCHES)
        self._full: list[pl.DataFrame] = []
        self._expected: list[npt.NDArray[np.int64]] = []  # sequence numbers of what is not decoded
        self._sequences: list[npt.NDArray[np.int64]] = []  # by row, of what is
        self._begin()

    def expect(self, block: MessageBlock) -> None:
        """Note the sequence numbers of reads that the pipeline takes next."""
        self._expected.append(block.sequence + np.arange(len(block)))

    def write(self, packets: Packets, reads: npt.NDArray[np.int64], mark: Mark) -> Collection[int]:
        """Decode packets into rows; see `TickStore.write`."""
        expected, self._expected = self._expected, []
        self._sequences.append(np.repeat(np.concatenate(expected), packets.counts))
        return super().write(packets, reads, mark)

    def named(self, tokens: npt.NDArray[np.uint32]) -> pl.DataFrame:
        """Return instruments as the columns ``instrument_token`` and ``symbol`` of their ticks."""
        slots = pl.Series(self.slots(tokens))
        return pl.DataFrame({"instrument_token": tokens, "symbol": self._symbols[slots]})

    def take_full(self) -> Iterator[TickBatch]:
        """Yield the batches that are complete, and forget them."""
        full, self._full = self._full, []
        for ticks in full:
            yield self._batch(ticks)

    def take_rest(self) -> Iterator[TickBatch]:
        """Yield the rows that are not in a complete batch, and forget them."""
        if self.held.length:
            self._seal()
            yield from self.take_full()

    def _batch(self, ticks: pl.DataFrame) -> TickBatch:
        sequence = np.concatenate(self._sequences)
        self._sequences = [sequence[ticks.height :]]
        return TickBatch(ticks, sequence[: ticks.height])

    def _prepare(self) -> None:
        """Nothing: the memory of a batch is reused when its reader has done with it."""

    def _seal(self) -> None:
        self._full.append(self.held.tail())
        self._begin()

    def _begin(self) -> None:
        held, buffer = self.held, TickBuffer(BATCH_ROWS, self._slabs)
        self.held = held._replace(first=held.total, buffer=buffer, length=0)
