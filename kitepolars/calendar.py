"""The trading calendar as data: each market's hours, and when a contract stops trading. Pure.

Holidays, Muhurat evenings and special Saturdays are not listed here: they are
announced once a year and changed at short notice. `kitepolars.analytics`
recognises such a session by the trades that it observes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kitepolars.wire.layouts import SEGMENT_MASK, SEGMENTS

__all__ = [
    "DAY",
    "EARLIEST_TIME",
    "IST",
    "IST_OFFSET",
    "MARKETS",
    "SECOND",
    "Market",
    "in_india",
    "is_us_summer_time",
    "market_of",
    "market_of_token",
    "stops_trading",
]

IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
"""Indian Standard Time; it has no summer time."""

SECOND: Final = 1_000_000
"""Microseconds of a second: the unit of integer times in this package."""

DAY: Final = 86_400 * SECOND
"""Microseconds of a day."""

IST_OFFSET: Final = 19_800 * SECOND
"""Microseconds that India is ahead of UTC, all year, so that days are plain arithmetic."""

EARLIEST_TIME: Final = int(dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp()) * SECOND
"""Microseconds since the epoch of 1 January 2000, UTC, before which Kite knows no trade: it sends
1970 where it knows no time."""

_SUNDAY: Final = 6


@dataclass(frozen=True, kw_only=True)
class Market:
    """The hours of one market, all in Indian time.

    Parameters
    ----------
    name
        The market.
    opens, closes
        Continuous trading. Bars are aligned to the opening time, as Kite's are.
    source
        Where the hours are published.
    pre_open
        When the call auction before the session begins; None where there is none.
    closing_session
        When trading at the closing price begins; None where there is none.
    settles
        When the exchange stops publishing trades and closing values of the day. None where
        nothing follows the close.
    closes_in_winter
        The close while the United States are not on summer time; None where it is the same.
    expiry_closes
        When a contract stops trading on its day of expiry; None where that is the close.
    """

    name: str
    opens: dt.time
    closes: dt.time
    source: str
    pre_open: dt.time | None = None
    closing_session: dt.time | None = None
    settles: dt.time | None = None
    closes_in_winter: dt.time | None = None
    expiry_closes: dt.time | None = None

    def closes_on(self, day: dt.date) -> dt.time:
        """Return the close of continuous trading on a day.

        Examples
        --------
        >>> market_of("MCX").closes_on(dt.date(2026, 7, 15)).isoformat("minutes")
        '23:30'
        """
        if self.closes_in_winter is not None and not is_us_summer_time(day):
            return self.closes_in_winter
        return self.closes


_EQUITY_HOURS: Final = "NSE, market timings: nseindia.com/market-data/market-timings"
_MCX_HOURS: Final = (
    "MCX circulars on US daylight saving, as summarised by Zerodha (zerodha.com/marketintel/"
    "bulletin/284497) and Angel One (announcement of 11 March 2024)"
)

EQUITY: Final = Market(
    name="equity",
    pre_open=dt.time(9),
    opens=dt.time(9, 15),
    closes=dt.time(15, 30),
    closing_session=dt.time(15, 40),  # to 16:00
    settles=dt.time(16, 15),  # the end of trade modification
    source=_EQUITY_HOURS,
)
EQUITY_DERIVATIVES: Final = Market(
    name="equity derivatives",
    pre_open=dt.time(9),  # futures of the current month, since 8 December 2025
    opens=dt.time(9, 15),
    closes=dt.time(15, 30),
    settles=dt.time(16, 15),
    source=f"{_EQUITY_HOURS}; pre-open: NSE circular of 3 November 2025",
)
CURRENCY: Final = Market(
    name="currency derivatives",
    opens=dt.time(9),
    closes=dt.time(17),
    expiry_closes=dt.time(12, 30),
    source="NSE, currency derivatives: contract specifications (last trading day at 12:30)",
)
COMMODITY: Final = Market(
    name="commodities",
    opens=dt.time(9),
    closes=dt.time(23, 30),
    closes_in_winter=dt.time(23, 55),
    source=_MCX_HOURS,
)
AGRICULTURE_WORLD: Final = Market(
    name="agricultural commodities with an international reference price",
    opens=dt.time(9),
    closes=dt.time(21),
    source=_MCX_HOURS,
)
AGRICULTURE: Final = Market(
    name="other agricultural commodities",
    opens=dt.time(9),
    closes=dt.time(17),
    source=_MCX_HOURS,
)

MARKETS: Final = (
    EQUITY,
    EQUITY_DERIVATIVES,
    CURRENCY,
    COMMODITY,
    AGRICULTURE_WORLD,
    AGRICULTURE,
)
"""Every market, each with its source. The first is taken for exchanges that are not known."""

_MARKET_OF_EXCHANGE: Final = {
    "NSE": EQUITY,
    "NFO": EQUITY_DERIVATIVES,
    "CDS": CURRENCY,
    "BSE": EQUITY,
    "BFO": EQUITY_DERIVATIVES,
    "BCD": CURRENCY,
    "MCX": COMMODITY,
    "MCXSX": CURRENCY,
    "NCO": COMMODITY,
}
_MARKET_OF_COMMODITY: Final = {
    **dict.fromkeys(("COTTON", "COTTONCNDY", "CPO", "KAPAS", "RBDPMOLEIN"), AGRICULTURE_WORLD),
    **dict.fromkeys(
        ("CARDAMOM", "CASTORSEED", "COTTONOIL", "MENTHAOIL", "PEPPER", "RUBBER"), AGRICULTURE
    ),
}
"""The commodities that close early. Source: the same circulars, and MCX's list of contracts."""

_LETTERS: Final = re.compile(r"[A-Z]*")


def in_india(at: int) -> dt.datetime:
    """Return a time in microseconds since the Unix epoch, UTC, as a datetime in India.

    Examples
    --------
    >>> in_india(1_795_147_200_000_000).isoformat()
    '2026-11-20T09:30:00+05:30'
    """
    return dt.datetime.fromtimestamp(at / SECOND, IST)


def market_of(exchange: str, underlying: str | None = None) -> Market:
    """Return the market of an exchange's instruments.

    Parameters
    ----------
    exchange
        As in the instruments dump: ``"NSE"``, ``"NFO"``, ``"MCX"``, … Unknown: equity.
    underlying
        What a commodity contract is on, such as ``"KAPAS"``; a trading symbol such as
        ``"KAPAS27APRFUT"`` works too. Only commodities need it.

    Examples
    --------
    >>> market_of("MCX", "KAPAS27APRFUT").closes.isoformat("minutes")
    '21:00'
    """
    market = _MARKET_OF_EXCHANGE.get(exchange, EQUITY)
    if market is not COMMODITY or underlying is None:
        return market
    match = _LETTERS.match(underlying)
    return _MARKET_OF_COMMODITY.get(match[0] if match else "", market)


def market_of_token(instrument_token: int, symbol: str | None = None) -> Market:
    """Return the market of an instrument.

    Parameters
    ----------
    instrument_token
        Its low byte is the segment code. All indices have one code, whatever their exchange.
    symbol
        ``"MCX:MCXBULLDEX"``: tells an index of MCX, and a commodity that closes early.

    Examples
    --------
    >>> market_of_token(408065).name
    'equity'
    >>> market_of_token(9 + 256, "MCX:MCXBULLDEX").name
    'commodities'
    """
    exchange, _, name = (symbol or "").partition(":")
    if exchange in _MARKET_OF_EXCHANGE:
        return market_of(exchange, name)
    segment = SEGMENTS.get(instrument_token & SEGMENT_MASK)
    return market_of(segment.name if segment else "")


def stops_trading(
    exchange: str, day: dt.date, *, underlying: str | None = None, expires: bool = False
) -> dt.datetime:
    """Return the time at which a contract stops trading on a given day.

    Parameters
    ----------
    exchange, underlying
        As for `market_of`.
    day
        The day in India.
    expires
        Whether the contract expires on that day: currency contracts then stop at 12:30.

    Returns
    -------
    datetime
        With the time zone `IST`.

    Examples
    --------
    >>> print(stops_trading("NFO", dt.date(2026, 11, 24), expires=True))
    2026-11-24 15:30:00+05:30
    >>> print(stops_trading("CDS", dt.date(2026, 11, 26), expires=True))
    2026-11-26 12:30:00+05:30
    >>> print(stops_trading("MCX", dt.date(2026, 11, 20), underlying="CRUDEOIL"))
    2026-11-20 23:55:00+05:30
    """
    market = market_of(exchange, underlying)
    clock = market.expiry_closes if expires else None
    return dt.datetime.combine(day, clock or market.closes_on(day), IST)


def is_us_summer_time(day: dt.date) -> bool:
    """Return whether the United States are on summer time in the evening of a day in India.

    From the second Sunday of March until the day before the first Sunday of November
    (Energy Policy Act of 2005, section 110).

    Examples
    --------
    >>> [is_us_summer_time(dt.date(2026, *day)) for day in ((3, 6), (3, 9), (10, 30), (11, 2))]
    [False, True, True, False]
    """
    return _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1)


def since_midnight(time: dt.time) -> int:
    """Return a time of day in microseconds."""
    return (time.hour * 3_600 + time.minute * 60 + time.second) * SECOND


def us_summers(first_year: int, last_year: int) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield the first day of each year's US summer time, and the first day after it."""
    for year in range(first_year, last_year + 1):
        yield _sunday(year, 3, 2), _sunday(year, 11, 1)


def _sunday(year: int, month: int, number: int) -> dt.date:
    first = dt.date(year, month, 1)
    return first + dt.timedelta((_SUNDAY - first.weekday()) % 7, weeks=number - 1)
