"""The ticks of a day → pieces, each of which becomes a file. Calling thread.

Where a piece ends follows from the ticks alone, so publishing again cuts the same pieces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.calendar import SECOND
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.errors import TableError
from kitepolars.recordings.ticks import TickBatch

QUARTER: Final = 15 * 60 * SECOND
"""Microseconds that a published file spans at most. India's offset is a multiple of it."""

FILE_ROWS: Final = 1_000_000
"""Rows of a published file at most, about: the memory that publishing takes follows from it."""

OVERLAP: Final = SECOND
"""How far `received_at` may go back between two records before that is an error."""


@dataclass(slots=True)
class Piece:
    """Ticks of consecutive records that become a file.

    Parameters
    ----------
    first
        The first sequence number that it covers.
    """

    first: int
    last: int = -1
    rows: int = 0
    parts: list[pl.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = self.first - 1

    def add(self, ticks: pl.DataFrame, sequence: npt.NDArray[np.int64]) -> None:
        """Append ticks."""
        if not len(sequence):
            return
        self.parts.append(ticks.with_columns(pl.Series("sequence", sequence, pl.UInt64)))
        self.rows += ticks.height
        self.last = int(sequence[-1])

    def ticks(self, recorder: str) -> pl.DataFrame:
        """Return the ticks in arrival order, with the columns of `TABLE_SCHEMA`; once."""
        parts, self.parts = self.parts, []
        name = pl.lit(recorder).cast(pl.Categorical).alias("recorder")
        ticks = pl.concat(parts, rechunk=True).with_columns(name)
        return ticks.select(TABLE_SCHEMA.names())


class Pieces:
    """Cuts ticks where a quarter of an hour begins, or where there are `FILE_ROWS`.

    Parameters
    ----------
    begin
        The first sequence number of the first piece.
    day
        The trading day in India.
    accept_overlap
        Whether the clock may have been set back between two recorders.
    table
        Where the pieces go, for errors.
    """

    def __init__(
        self, begin: int, *, day: date, accept_overlap: bool, table: str | os.PathLike[str]
    ) -> None:
        self._day = day
        self._accept_overlap = accept_overlap
        self._table = table
        self._growing = Piece(begin)
        self._latest = 0  # the arrival of the row before

    def cut(self, batch: TickBatch) -> Iterator[Piece]:
        """Add ticks to the piece that grows; yield each that is complete.

        Raises
        ------
        TableError
            When the clock was set back.
        """
        ticks, sequence = batch
        if not len(sequence):
            return
        at = ticks["received_at"].to_physical().to_numpy()
        self._check_clock(at, sequence)
        start = 0
        for stop in self._cuts(at, sequence):
            self._growing.add(ticks[start:stop], sequence[start:stop])
            yield self.take()
            start = stop
        self._growing.add(ticks[start:], sequence[start:])
        self._latest = int(at[-1])

    def take(self) -> Piece:
        """Return the piece that grows as it is, and begin the next one."""
        piece, self._growing = self._growing, Piece(self._growing.last + 1)
        return piece

    def has_ended(self, before: int) -> bool:
        """Whether the quarter of an hour of the piece that grows ended before a time."""
        return bool(self._growing.parts) and before > (self._latest // QUARTER + 1) * QUARTER

    def _cuts(self, at: npt.NDArray[np.int64], sequence: npt.NDArray[np.int64]) -> list[int]:
        """Return the rows before which a piece ends: a new quarter, or enough rows."""
        quarters = at // QUARTER
        before = quarters[0] if not self._growing.parts else self._latest // QUARTER
        is_new = np.diff(quarters, prepend=before) != 0
        # a record stays in one piece, so that a position in the journal says what is in which
        begins = np.flatnonzero(np.diff(sequence, prepend=self._growing.last) != 0)
        cuts, held = [], self._growing.rows
        start = 0
        for begin in begins.tolist():
            is_full = held + begin - start >= FILE_ROWS
            if (is_new[begin] or is_full) and held + begin - start:
                cuts.append(begin)
                held, start = 0, begin
        return cuts

    def _check_clock(self, at: npt.NDArray[np.int64], sequence: npt.NDArray[np.int64]) -> None:
        steps: npt.NDArray[Any] = np.diff(at, prepend=max(self._latest, 0) or at[0])
        worst = int(steps.argmin())
        if steps[worst] < -OVERLAP and not self._accept_overlap:
            raise TableError(
                f"received_at goes back by {-steps[worst] / SECOND:.1f} s at record "
                f"{sequence[worst]:,} of {self._day}: the clock was set back between two "
                "recorders, so their times overlap; accept_overlap=True (--accept-overlap) "
                "publishes the ticks in the order in which they were recorded",
                path=self._table,
            )
