"""Generates the instrument master of a day: shares, indices, futures, option chains.

Names and real tokens come from `sim.listings`; a seed determines the rest. Pure; any thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import numpy as np

from kitepolars.sim import listings
from kitepolars.sim.master import (
    InstrumentMaster,
    ListedInstrument,
    Underlying,
    month_expiries,
    week_expiries,
)
from kitepolars.wire.layouts import SEGMENTS

__all__ = ["generate_instruments"]

_SEGMENT_CODE: Final = {segment.name: segment.code for segment in SEGMENTS.values()}
_DERIVATIVES_OF: Final = {"NSE": "NFO", "BSE": "BFO"}
_FIRST_TOKEN: Final = {"NSE": 26_001, "BSE": 544_001, "NFO": 35_001, "BFO": 820_001}
_FIRST_TOKEN_ELSEWHERE: Final = 1_001
_INDEX_VOLATILITY: Final = 0.13
_VIX_VOLATILITY: Final = 0.8
_EXPIRY_WEEKDAY: Final = {"NFO": 1, "BFO": 3}  # Tuesday, Thursday
_COMMODITY_EXPIRY_DAY: Final = 19


@cache  # a master never changes, so all simulators of a day share it
def generate_instruments(*, on: date, seed: int = 0) -> InstrumentMaster:
    """Generate the instrument master of a day.

    Parameters
    ----------
    on
        The day; no future or option expires before it.
    seed
        The same day and seed give the same master.

    Examples
    --------
    >>> master = generate_instruments(on=date(2026, 11, 20))
    >>> master.find("NSE", "NIFTY 50").instrument_token
    256265
    """
    builder = _Builder(on, np.random.default_rng(seed))
    builder.add_stocks()
    builder.add_contracts()
    builder.add_indices()
    return InstrumentMaster(tuple(builder.rows), tuple(builder.underlyings))


class _Builder:
    """Collects rows and underlyings, and assigns unused exchange tokens."""

    def __init__(self, on: date, rng: np.random.Generator) -> None:
        self.on = on
        self.rng = rng
        self.rows: list[ListedInstrument] = []
        self.underlyings: list[Underlying] = []
        self._number_of: dict[str, int] = {}
        self._tokens: dict[str, Iterator[int]] = {}

    def add_stocks(self) -> None:
        """Add the shares and their derivatives."""
        named = listings.STOCKS
        for stock in named:
            number = self._underlie(stock.symbol, stock.close, float(self.rng.uniform(0.18, 0.35)))
            self._add_share("NSE", stock.symbol, stock.name, number, stock.exchange_token)
            if stock.bse_code:
                self._add_share("BSE", stock.symbol, stock.name, number, stock.bse_code)
            self._add_stock_derivatives(stock.symbol, number, stock.lot_size)
        generated = listings.STOCK_COUNT - len(named)
        names = self._generated_names()
        prices = np.round(np.exp(self.rng.normal(5.8, 1.1, generated)) + 5.0, 2)
        for place, (symbol, close) in enumerate(zip(names, prices.tolist(), strict=False)):
            number = self._underlie(symbol, close, float(self.rng.uniform(0.25, 0.5)))
            name = f"{symbol} LIMITED"
            self._add_share("NSE", symbol, name, number)
            if place < listings.BSE_COUNT - len(named):
                self._add_share("BSE", symbol, name, number)
            if place < listings.GENERATED_WITH_DERIVATIVES:
                lot = max(1, round(600_000 / close / 25)) * 25
                self._add_stock_derivatives(symbol, number, lot)

    def add_contracts(self) -> None:
        """Add currencies and commodities: futures, and options on the nearest of them."""
        for contract in listings.CONTRACTS:
            number = self._underlie(
                f"{contract.exchange}:{contract.root}", contract.close, contract.volatility
            )
            expiries = month_expiries(self.on, contract.months, day=_COMMODITY_EXPIRY_DAY)
            writer = _Derivatives(
                self, contract.exchange, contract.root, number, contract.tick_size, 1
            )
            writer.futures(expiries)
            if contract.strikes:
                strikes = _strikes(contract.close, contract.option_step, contract.strikes)
                writer.options(expiries[:3], (), strikes)

    def add_indices(self) -> None:
        """Add the indices and their derivatives."""
        for index in listings.INDICES:
            members = tuple(self._number_of[symbol] for symbol in index.members)
            volatility = _VIX_VOLATILITY if "VIX" in index.symbol else _INDEX_VOLATILITY
            number = self._underlie(index.symbol, index.close, volatility, members)
            self.add(
                symbol=index.symbol,
                name=index.symbol,
                segment="INDICES",
                exchange=index.exchange,
                underlying=number,
                exchange_token=index.exchange_token,
            )
            if index.root:
                self._add_index_derivatives(index, number)

    def _add_index_derivatives(self, index: listings.Index, number: int) -> None:
        exchange = _DERIVATIVES_OF[index.exchange]
        weekday = _EXPIRY_WEEKDAY[exchange]
        months = month_expiries(self.on, 3, weekday=weekday)
        weeks = week_expiries(self.on, 4, weekday=weekday) if index.weekly else []
        writer = _Derivatives(self, exchange, index.root, number, 0.05, index.lot_size)
        writer.futures(months)
        writer.options(months, weeks, _strikes(index.close, index.option_step, 121))

    def _add_stock_derivatives(self, symbol: str, number: int, lot_size: int) -> None:
        close = self.underlyings[number].close
        months = month_expiries(self.on, 3, weekday=_EXPIRY_WEEKDAY["NFO"])
        writer = _Derivatives(self, "NFO", symbol, number, 0.05, lot_size)
        writer.futures(months)
        writer.options(months[:2], (), _strikes(close, _strike_step(close), 31))

    def _add_share(
        self, exchange: str, symbol: str, name: str, number: int, exchange_token: int | None = None
    ) -> None:
        self.add(
            symbol=symbol,
            name=name,
            segment=exchange,
            exchange=exchange,
            underlying=number,
            exchange_token=exchange_token,
            tick_size=_share_tick_size(self.underlyings[number].close),
            lot_size=1,
        )

    def _underlie(
        self, name: str, close: float, volatility: float, members: tuple[int, ...] = ()
    ) -> int:
        number = self._number_of[name] = len(self.underlyings)
        self.underlyings.append(Underlying(close, volatility, members))
        return number

    def add(
        self,
        *,
        symbol: str,
        name: str,
        segment: str,
        exchange: str,
        underlying: int,
        exchange_token: int | None = None,
        instrument_type: str = "EQ",
        expiry: date | None = None,
        strike: float = 0.0,
        tick_size: float = 0.0,
        lot_size: int = 0,
    ) -> None:
        """Add a row; the default exchange token is the next unused one."""
        family = segment if segment in _SEGMENT_CODE else exchange
        if exchange_token is None:
            exchange_token = self._next_token(family)
        self.rows.append(
            ListedInstrument(
                exchange_token << 8 | _SEGMENT_CODE[family],
                exchange_token,
                symbol,
                name,
                expiry,
                strike,
                tick_size,
                lot_size,
                instrument_type,
                segment,
                exchange,
                underlying,
            )
        )

    def _next_token(self, family: str) -> int:
        first = _FIRST_TOKEN.get(family, _FIRST_TOKEN_ELSEWHERE)
        return next(self._tokens.setdefault(family, itertools.count(first)))

    def _generated_names(self) -> Iterator[str]:
        parts = itertools.product(
            listings.NAME_ENDS, listings.NAME_MIDDLES, *listings.NAME_SYLLABLE
        )
        return (f"{a}{b}{c}{middle}{end}" for end, middle, a, b, c in parts)


@dataclass(frozen=True)
class _Derivatives:
    """Adds the futures and options of one underlying, with symbols like those of Kite."""

    builder: _Builder
    exchange: str
    root: str
    underlying: int
    tick_size: float
    lot_size: int

    def futures(self, expiries: Iterable[date]) -> None:
        for expiry in expiries:
            symbol = f"{self.root}{_month_code(expiry)}FUT"
            self._add(symbol, expiry, 0.0, "FUT")

    def options(
        self, months: Sequence[date], weeks: Sequence[date], strikes: Sequence[float]
    ) -> None:
        for expiry in sorted({*months, *weeks}):
            code = _month_code(expiry) if expiry in months else _week_code(expiry)
            for strike, kind in itertools.product(strikes, ("CE", "PE")):
                self._add(f"{self.root}{code}{strike:g}{kind}", expiry, strike, kind)

    def _add(self, symbol: str, expiry: date, strike: float, kind: str) -> None:
        segment = f"{self.exchange}-{'FUT' if kind == 'FUT' else 'OPT'}"
        tick_size = self.tick_size if kind == "FUT" else min(self.tick_size, 0.05)
        self.builder.add(
            symbol=symbol,
            name=self.root,
            segment=segment,
            exchange=self.exchange,
            underlying=self.underlying,
            instrument_type=kind,
            expiry=expiry,
            strike=strike,
            tick_size=tick_size,
            lot_size=self.lot_size,
        )


def _month_code(expiry: date) -> str:
    return f"{expiry:%y%b}".upper()


def _week_code(expiry: date) -> str:
    """NIFTY 26-Nov-2026 weekly is ``26N26``: the months after September are letters."""
    month = "123456789OND"[expiry.month - 1]
    return f"{expiry:%y}{month}{expiry:%d}"


def _share_tick_size(close: float) -> float:
    """Return the tick size of a share by its price (NSE and BSE, since April 2025)."""
    bands = ((250, 0.01), (1_000, 0.05), (5_000, 0.10), (10_000, 0.50), (20_000, 1.0))
    return next((tick for limit, tick in bands if close < limit), 5.0)


def _strike_step(close: float) -> float:
    steps = (1.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    return next((step for step in steps if step >= close * 0.012), 500.0)


def _strikes(close: float, step: float, count: int) -> list[float]:
    """Return ``count`` positive strikes around a price."""
    middle = round(close / step)
    return [step * n for n in range(middle - count // 2, middle + count // 2 + 1) if n > 0]
