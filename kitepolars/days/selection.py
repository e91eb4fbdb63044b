"""What a question asks of a table → the files and row groups that can have it. Calling thread.

Polars hands the conditions of a query to `TickSelection.batches`. Those on symbols and tokens are
tried on the names of the days, so that any of them prunes as a list of tokens does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl
from polars.io.plugins import register_io_source

from kitepolars.calendar import SECOND
from kitepolars.days.beside import SYMBOLS
from kitepolars.days.manifest import Manifest, Table, TableFile
from kitepolars.days.parquet import TABLE_SCHEMA

NARROW: Final = 90 * 60 * SECOND
"""Microseconds of a day up to which a question about all instruments is read by time."""

FAR_PAST: Final = 0
FAR_FUTURE: Final = 2**62

_NAMING: Final = frozenset({"instrument_token", "symbol"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TickSelection:
    """Ticks of a table.

    Parameters
    ----------
    table
        The table.
    days
        Its days that matter, in order.
    begin, stop
        Only ticks that arrived from `begin` on and before `stop`, in microseconds since the epoch.
    tokens
        Only ticks of these instruments; None for all.
    also
        Frames of the same columns whose ticks come after those of the table.
    """

    table: Table
    days: Sequence[Manifest]
    begin: int = FAR_PAST
    stop: int = FAR_FUTURE
    tokens: frozenset[int] | None = None
    also: Sequence[pl.DataFrame] = field(default=(), repr=False)

    def lazy(self) -> pl.LazyFrame:
        """Return the ticks, to be read when they are collected."""
        return register_io_source(self.batches, schema=TABLE_SCHEMA, is_pure=True)

    def batches(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Yield what a query needs; Polars calls this with what it has pushed down."""
        if rows is None:
            ticks = self.ticks(predicate)
        else:  # Polars wants the condition on the first rows, not the first rows of the condition
            ticks = self.ticks().head(rows)
            ticks = ticks if predicate is None else ticks.filter(predicate)
        if columns is not None:
            ticks = ticks.select(columns)
        yield from ticks.collect_batches(maintain_order=True, chunk_size=batch_size)

    def ticks(self, predicate: pl.Expr | None = None) -> pl.LazyFrame:
        """Return the ticks for which an expression is true, as scans of files."""
        conditions = [] if predicate is None else [predicate]
        arrived = pl.col("received_at")
        if self.begin > FAR_PAST:
            conditions.append(arrived >= _literal(self.begin))
        if self.stop < FAR_FUTURE:
            conditions.append(arrived < _literal(self.stop))
        if self.tokens is not None:
            conditions.append(_is_one_of(self.tokens))
        parts = [frame.lazy() for frame in self.also if frame.height]
        narrowed = self._narrowed(predicate)
        if files := narrowed.files():
            stored = self.table.scan(files)
            if narrowed is not self and narrowed.tokens is not None:
                stored = stored.filter(_is_one_of(narrowed.tokens))
            parts.insert(0, stored)
        if not parts:
            return TABLE_SCHEMA.to_frame().lazy()
        parts = [part.filter(*conditions) if conditions else part for part in parts]
        return pl.concat(parts) if len(parts) > 1 else parts[0]

    def files(self) -> list[TableFile]:
        """Return the files that can have such ticks."""
        in_time_order = self.tokens is None and self.stop - self.begin <= NARROW
        return [
            file
            for manifest in self.days
            for file in manifest.files(in_time_order=in_time_order)
            if self._may_be_in(file)
        ]

    def _may_be_in(self, file: TableFile) -> bool:
        if file.times[1] < self.begin or file.times[0] >= self.stop:
            return False
        least, greatest = file.tokens
        return self.tokens is None or any(least <= token <= greatest for token in self.tokens)

    def _narrowed(self, predicate: pl.Expr | None) -> TickSelection:
        """Return the selection of the instruments for which an expression can be true."""
        parts = [] if predicate is None else conjuncts(predicate)
        conditions = [part for part in parts if _NAMING.issuperset(part.meta.root_names())]
        names = self._names() if conditions else None
        if names is None:
            return self
        tokens = frozenset(names.filter(*conditions)["instrument_token"])
        if len(tokens) > names.height // 2:  # such a condition costs more than it saves
            return self
        return replace(self, tokens=tokens if self.tokens is None else tokens & self.tokens)

    def _names(self) -> pl.DataFrame | None:
        """Return the pairs of token and symbol of the days; None if some may be missing."""
        files: dict[str, TableFile] = {}  # by content: most days have the names of the day before
        for manifest in self.days:
            current = manifest.current(SYMBOLS)
            if current is None:
                return None
            files |= {file.name.rpartition("-")[2]: file for file in current}
        return self.table.scan(files.values()).collect() if files else None


def conjuncts(predicate: pl.Expr) -> list[pl.Expr]:
    """Return the expressions that all have to be true for one to be true.

    Examples
    --------
    >>> len(conjuncts((pl.col("a") > 1) & (pl.col("b") > 2) & (pl.col("c") | pl.col("d"))))
    3
    """
    parts = predicate.meta.pop()
    if len(parts) == 2:  # noqa: PLR2004 - of "and" there are two
        for left, right in (parts, parts[::-1]):
            if predicate.meta.eq(left & right):
                return [*conjuncts(left), *conjuncts(right)]
    return [predicate]


def _is_one_of(tokens: frozenset[int]) -> pl.Expr:
    """Return a condition that prunes row groups by their statistics, also for several tokens."""
    column = pl.col("instrument_token")
    if len(tokens) == 1:
        return column == pl.lit(next(iter(tokens)), pl.UInt32)
    return column.is_in(pl.Series(sorted(tokens), dtype=pl.UInt32))


def _literal(at: int) -> pl.Expr:
    return pl.lit(at, pl.Int64).cast(TABLE_SCHEMA["received_at"])
