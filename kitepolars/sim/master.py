"""The instruments listed on a day: the rows of Kite's dump, expiries, what each is priced from.

`sim.instruments` builds it once; after that it is only read, on any thread. Expiries follow the
rules of the exchanges in simplified form: holidays are not known, and an expiry on a weekend
moves to the Friday before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from functools import cached_property
from itertools import count, islice
from math import inf
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars.calendar import IST, stops_trading

__all__ = [
    "DUMP_COLUMNS",
    "InstrumentMaster",
    "Kind",
    "ListedInstrument",
    "Underlying",
    "day_of",
    "expires_at",
    "month_expiries",
    "week_expiries",
]

DUMP_COLUMNS: Final = (
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

_SATURDAY: Final = 5


class Kind(IntEnum):
    """How an instrument's fair price follows from its underlying."""

    SPOT = 0
    FUTURE = 1
    PUT = 2
    CALL = 3


class Underlying(NamedTuple):
    """A basis of prices: close in rupees, volatility per year, members if it is an index."""

    close: float
    volatility: float
    members: tuple[int, ...] = ()


class ListedInstrument(NamedTuple):
    """A row of the dump, and the number of its underlying."""

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
    """All instruments listed on a day.

    Parameters
    ----------
    listings
        The rows of the dump.
    underlyings
        What they are priced from; the members of an index come before it.
    """

    listings: Sequence[ListedInstrument] = field(repr=False)
    underlyings: Sequence[Underlying] = field(repr=False)

    def __len__(self) -> int:
        return len(self.listings)

    @cached_property
    def instrument_token(self) -> npt.NDArray[np.int64]:
        """The token of each row."""
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
    def underlying(self) -> npt.NDArray[np.intp]:
        """The number of the underlying of each row."""
        return np.array([row.underlying for row in self.listings], np.intp)

    @cached_property
    def strike(self) -> npt.NDArray[np.float64]:
        """The strike of each row in rupees; 0 where there is none."""
        return np.array([row.strike for row in self.listings])

    @cached_property
    def tick_size(self) -> npt.NDArray[np.float64]:
        """The tick size of each row in rupees."""
        return np.array([row.tick_size for row in self.listings])

    @cached_property
    def lot_size(self) -> npt.NDArray[np.int64]:
        """The lot size of each row."""
        return np.array([row.lot_size for row in self.listings], np.int64)

    @cached_property
    def expires_at(self) -> npt.NDArray[np.float64]:
        """The expiry of each row in UTC epoch seconds; infinity if it has none."""
        moments = {
            (row.exchange, row.expiry): expires_at(row.exchange, row.expiry)
            for row in self.listings
        }
        return np.array([moments[row.exchange, row.expiry] for row in self.listings])

    def find(self, exchange: str, tradingsymbol: str) -> ListedInstrument:
        """Return a row by its exchange and symbol.

        Raises
        ------
        KeyError
            There is no such instrument.
        """
        return self._by_name[exchange, tradingsymbol]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], ListedInstrument]:
        return {(row.exchange, row.tradingsymbol): row for row in self.listings}

    def dump_csv(self, exchange: str | None = None) -> bytes:
        """Return the dump as Kite serves it, for all exchanges or for one.

        Examples
        --------
        >>> InstrumentMaster((), ()).dump_csv()[:31]
        b'instrument_token,exchange_token'
        """
        if exchange is None:
            return self._whole_dump
        return _dump_csv(row for row in self.listings if row.exchange == exchange)

    @cached_property
    def _whole_dump(self) -> bytes:
        return _dump_csv(self.listings)


def _dump_csv(listings: Iterable[ListedInstrument]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(DUMP_COLUMNS)
    writer.writerows(
        (*row[:4], 0.0, row.expiry.isoformat() if row.expiry else "", *row[5:11])
        for row in listings
    )
    return text.getvalue().encode()


def day_of(moment: float) -> date:
    """Return the date in India at a moment in UTC epoch seconds."""
    return datetime.fromtimestamp(moment, UTC).astimezone(IST).date()


def expires_at(exchange: str, expiry: date | None) -> float:
    """Return the end of trading of a contract in UTC epoch seconds; infinity without an expiry.

    Examples
    --------
    >>> expires_at("NFO", date(2026, 11, 24))
    1795514400.0
    """
    if expiry is None:
        return inf
    return stops_trading(exchange, expiry, expires=True).timestamp()


def month_expiries(
    on: date, number: int, *, weekday: int | None = None, day: int | None = None
) -> list[date]:
    """Return the next monthly expiries on or after a date.

    Parameters
    ----------
    on
        The date.
    number
        How many expiries.
    weekday
        Contracts expire on the last such weekday of the month; Monday is 0.
    day
        Without a weekday: contracts expire on this day of the month.

    Examples
    --------
    >>> month_expiries(date(2026, 11, 22), 2, weekday=1)
    [datetime.date(2026, 11, 24), datetime.date(2026, 12, 29)]
    """
    dates = (
        _last_weekday(first, weekday) if weekday is not None else _working_day(first, day or 1)
        for first in _months_from(on)
    )
    return list(islice((expiry for expiry in dates if expiry >= on), number))


def week_expiries(on: date, number: int, *, weekday: int) -> list[date]:
    """Return the next weekly expiries on or after a date."""
    first = on + timedelta((weekday - on.weekday()) % 7)
    return [first + timedelta(weeks=week) for week in range(number)]


def _months_from(on: date) -> Iterator[date]:
    return (date(on.year + n // 12, n % 12 + 1, 1) for n in count(on.month - 1))


def _last_weekday(first: date, weekday: int) -> date:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return last - timedelta((last.weekday() - weekday) % 7)


def _working_day(first: date, day: int) -> date:
    wanted = first.replace(day=day)
    return wanted - timedelta(max(0, wanted.weekday() - _SATURDAY + 1))
