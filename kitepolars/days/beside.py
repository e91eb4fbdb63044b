"""What a day has beside its ticks: gaps, orders, events, instruments, symbols, last ticks.

All of it is of one recorder, and of the records that its journal has published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from typing import Final

import polars as pl

from kitepolars.days.manifest import Manifest, Table, TableFile
from kitepolars.days.parquet import TABLE_SCHEMA, write_frame
from kitepolars.ledger import Ledger
from kitepolars.recordings.ticks import names_of
from kitepolars.source import Listing, Record
from kitepolars.tables import events_frame, gaps_frame, orders_frame

LISTING: Final = "instruments"
"""The listing of the day."""

SYMBOLS: Final = "symbols"
"""The pairs of ``instrument_token`` and ``symbol`` that the ticks have."""

LAST: Final = "last"
"""The last tick of each instrument."""

_PAIR: Final = ("instrument_token", "symbol")


class Beside:
    """Gathers what is beside the ticks while a journal is read; a `Sink`.

    Parameters
    ----------
    recorder
        Whose journal it is.
    """

    def __init__(self, recorder: str) -> None:
        self._recorder = recorder
        self._ledger = Ledger()
        self._listing: Listing | None = None
        self._last = TABLE_SCHEMA.to_frame()
        self._symbols = self._last.select(_PAIR)

    def take(self, record: Record) -> None:
        """Take a record."""
        self._ledger.take(record)
        if isinstance(record, Listing):
            self._listing = record

    def note(self, edge: pl.DataFrame) -> None:
        """Take what `edges` found in ticks that follow those before."""
        self._last = _last_of_each(pl.concat([self._last, edge]))
        self._symbols = pl.concat([self._symbols, edge.select(_PAIR)]).unique(maintain_order=True)

    def write(self, table: Table, day: date, known: Manifest, end: int) -> dict[str, TableFile]:
        """Write a file of each kind, unless there is one of the same content and name.

        Parameters
        ----------
        table
            Where to.
        day
            The trading day.
        known
            The day as it is.
        end
            The sequence number of the first record that is not published.
        """
        files = {}
        for kind, mark, frame in self._frames(str(end)):
            name = f"{day.isoformat()}/{kind}-{self._recorder}-{mark}.parquet"
            have = known.beside.get(kind, {}).get(self._recorder)
            is_same = have is not None and have.name == name and mark != str(end)
            file = have if have and is_same else self._put(table, name, frame)
            files[kind] = replace(file, last=end - 1)
        return files

    def _frames(self, end: str) -> Iterator[tuple[str, str, pl.DataFrame]]:
        """Yield each kind with what marks its content: the content itself, or the last record."""
        yield "gaps", end, gaps_frame(self._ledger.gaps.snapshot())
        yield "orders", end, orders_frame(self._ledger.orders.snapshot())
        yield "events", end, events_frame(self._ledger.events.snapshot())
        yield LAST, end, self._last.sort("instrument_token")
        symbols = self._symbols.sort("instrument_token", pl.col("symbol").cast(pl.String))
        yield SYMBOLS, _mark(symbols.write_csv().encode()), symbols
        if self._listing is not None:
            yield LISTING, _mark(self._listing.csv), names_of(self._listing).frame

    def _put(self, table: Table, name: str, frame: pl.DataFrame) -> TableFile:
        unfinished = table.storage.workspace(name)
        write_frame(unfinished, frame)
        size = unfinished.stat().st_size
        table.storage.put(name, unfinished)
        return TableFile(name=name, recorder=self._recorder, rows=frame.height, bytes=size)


def edges(ticks: pl.DataFrame) -> pl.DataFrame:
    """Return the last row of each instrument, and those after which its symbol is another.

    Parameters
    ----------
    ticks
        The columns of `TABLE_SCHEMA`, sorted by instrument and arrival.
    """
    is_last = pl.any_horizontal(pl.all().ne_missing(pl.all().shift(-1)))
    return ticks.filter(ticks.select(_PAIR).select(is_last).to_series())


def _last_of_each(ticks: pl.DataFrame) -> pl.DataFrame:
    return ticks.unique("instrument_token", keep="last", maintain_order=True)


def _mark(content: bytes) -> str:
    return blake2b(content, digest_size=6).hexdigest()
