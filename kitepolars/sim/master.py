"""The instrument master: the rows of Kite's dump, and what each is priced from.

Built once by `sim.instruments`, then read only; any thread.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars.sim.calendar import expires_at

__all__ = ["COLUMNS", "InstrumentMaster", "Kind", "Listing", "Underlying"]

COLUMNS: Final = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
"""The columns of Kite's instruments dump."""


class Kind(IntEnum):
    """How an instrument's fair price follows from its underlying."""

    SPOT = 0
    FUTURE = 1
    PUT = 2
    CALL = 3


class Underlying(NamedTuple):
    """What prices come from: a close in rupees, a yearly volatility, and an index's members."""

    close: float
    volatility: float
    members: tuple[int, ...] = ()


class Listing(NamedTuple):
    """One row of the dump, and its place in the market model."""

    instrument_token: int
    exchange_token: int
    tradingsymbol: str
    name: str
    expiry: date | None
    strike: float
    tick_size: float
    lot_size: int
    instrument_type: str
    segment: str
    exchange: str
    underlying: int


@dataclass(frozen=True)
class InstrumentMaster:
    """Everything that is listed on a day.

    Parameters
    ----------
    listings
        The rows of the dump.
    underlyings
        What they are priced from; an index's members stand before it.
    """

    listings: Sequence[Listing] = field(repr=False)
    underlyings: Sequence[Underlying] = field(repr=False)

    def __len__(self) -> int:
        return len(self.listings)

    @cached_property
    def instrument_token(self) -> npt.NDArray[np.int64]:
        """The tokens, in the order of the rows."""
        return np.array([row.instrument_token for row in self.listings], np.int64)

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Token → row."""
        return {row.instrument_token: number for number, row in enumerate(self.listings)}

    @cached_property
    def kind(self) -> npt.NDArray[np.int8]:
        """The `Kind` of each row."""
        kinds = {"EQ": Kind.SPOT, "FUT": Kind.FUTURE, "PE": Kind.PUT, "CE": Kind.CALL}
        return np.array([kinds[row.instrument_type] for row in self.listings], np.int8)

    @cached_property
    def expires_at(self) -> npt.NDArray[np.float64]:
        """When each row expires, in UTC epoch seconds; infinity if it does not."""
        moments = {
            (row.exchange, row.expiry): expires_at(row.exchange, row.expiry)
            for row in self.listings
        }
        return np.array([moments[row.exchange, row.expiry] for row in self.listings])

    def find(self, exchange: str, tradingsymbol: str) -> Listing:
        """Return one row by its names.

        Raises
        ------
        KeyError
            There is no such instrument.
        """
        return self._by_name[exchange, tradingsymbol]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Listing]:
        return {(row.exchange, row.tradingsymbol): row for row in self.listings}

    def dump_csv(self, exchange: str | None = None) -> bytes:
        """Return the dump as Kite serves it, of all exchanges or of one.

        Examples
        --------
        >>> InstrumentMaster((), ()).dump_csv()[:31]
        b'instrument_token,exchange_token'
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            (*row[:4], 0.0, row.expiry.isoformat() if row.expiry else "", *row[5:11])
            for row in self.listings
            if exchange in (None, row.exchange)
        )
        return text.getvalue().encode()
