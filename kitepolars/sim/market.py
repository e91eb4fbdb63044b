"""The market model: the latest values of every instrument, as integers of the wire.

It belongs to the exchange of the simulator and runs on its thread. It reads no clock: the time is
a parameter, so the same seed and the same steps always give the same market.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.options import price
from kitepolars.sim.master import InstrumentMaster, Kind
from kitepolars.sim.prices import (
    INTEREST_RATE,
    SECONDS_PER_YEAR,
    OrderBook,
    UnderlyingWalk,
)
from kitepolars.wire.layouts import (
    DEPTH_FIELDS,
    DEPTH_LEVELS,
    FULL,
    INDEX_FULL,
    LAYOUTS,
    SEGMENT_MASK,
    SEGMENTS,
    segment_divisors,
)

__all__ = ["MarketModel"]

_SHORTEST_YEARS: Final = 3_600 / SECONDS_PER_YEAR
_SKEW: Final = -0.12  # low strikes have the higher volatility
_SMILE: Final = 0.25
_DAY_PIECES: Final = 6  # prices sampled for open, high and low before the simulation begins
_DAY_PIECE_SECONDS: Final = 1_800.0
_DAY_SECONDS: Final = 86_400.0
_TRADE_PROBABILITY: Final = 0.7
_UINT32_MAX: Final = 0xFFFF_FFFF
_OLDEST_TRADE: Final = 300  # seconds

_MODELLED_FIELDS: Final = frozenset({*FULL.fields, *INDEX_FULL.fields})
_UNMODELLED_FIELDS: Final = sorted(
    {field for layout in LAYOUTS for field in layout.fields} - _MODELLED_FIELDS
)  # of kinds of packets that were added since: they count up at random


class MarketModel:
    """Prices, volumes, open interest and order books of all instruments.

    The day so far of an instrument is simulated when it is first asked for, because most of the
    14,000 instruments never are.

    Parameters
    ----------
    master
        The instruments listed.
    now
        The start of the simulation in UTC epoch seconds.
    seed
        The same master, seed and sequence of calls give the same values.
    """

    def __init__(self, master: InstrumentMaster, *, now: float, seed: int = 0) -> None:
        self._rng = np.random.default_rng((seed, 1))
        self._walk = UnderlyingWalk(master.underlyings, self._rng)
        self._underlying = master.underlying
        self._strike = master.strike
        self._kind = master.kind
        self._expires_at = master.expires_at
        self._divisor = segment_divisors()[master.instrument_token & SEGMENT_MASK]
        # All values are integers of the wire, so that nothing is rounded when they are sent.
        self._tick = np.maximum(np.rint(master.tick_size * self._divisor), 1).astype(np.int64)
        self._lot = np.maximum(master.lot_size, 1)
        segment = master.instrument_token & SEGMENT_MASK
        tradable = np.ones(SEGMENT_MASK + 1, np.bool_)
        tradable[[code for code, known in SEGMENTS.items() if not known.tradable]] = False
        self._tradable = tradable[segment]
        self._volatility = self._implied_volatility(now)
        self._columns = _empty_columns(len(master))
        self._columns["instrument_token"][:] = master.instrument_token
        self._book = OrderBook(self._columns, self._tick, self._lot, self._rng)
        self._traded_value = np.zeros(len(master))
        self._is_open = np.zeros(len(master), np.bool_)
        self._begin, self._day = now, self._walk_since_yesterday()

    @property
    def columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Field of the wire → integers, of all instruments.

        Their shape is ``(instruments,)`` or, for the depth, ``(instruments, 5)``;
        `wire.encode.encode_packets` takes them.
        """
        self._open(np.arange(len(self._tick)))
        return self._columns

    def values(
        self, rows: npt.NDArray[np.intp], fields: Sequence[str]
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Return some columns of some instruments."""
        self._open(rows)
        return {field: self._columns[field][rows] for field in fields}

    def advance(self, seconds: float) -> None:
        """Advance the underlyings by seconds of trading time."""
        self._walk.advance(seconds)

    def tick(self, rows: npt.NDArray[np.intp], now: float) -> None:
        """Update the values of some instruments from their underlyings.

        Parameters
        ----------
        rows
            Their rows, without duplicates.
        now
            The time of the exchange in UTC epoch seconds.
        """
        self._open(rows)
        fair = self._fair(rows, now, self._walk.level)
        self._columns["exchange_timestamp"][rows] = int(now)
        for field in _UNMODELLED_FIELDS:
            self._columns[field][rows] += self._rng.integers(0, 2, len(rows))
        tradable = self._tradable[rows]
        self._move_indices(rows[~tradable], fair[~tradable])
        self._trade(rows[tradable], fair[tradable], int(now))

    def last_values(self, row: int) -> dict[str, Any]:
        """Return the values of an instrument as they would be sent, by field of the wire."""
        self._open(np.array([row]))
        return {field: column[row].tolist() for field, column in self._columns.items()}

    def _fair(
        self, rows: npt.NDArray[np.intp], now: float, level: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the fair prices in units of the wire, at levels of the underlyings."""
        rupees = level[self._underlying[rows]]
        kind = self._kind[rows]
        years = np.maximum((self._expires_at[rows] - now) / SECONDS_PER_YEAR, _SHORTEST_YEARS)
        derived = kind != Kind.SPOT
        rupees[derived] *= np.exp(INTEREST_RATE * years[derived])
        options = kind >= Kind.PUT
        chosen = rows[options]
        rupees[options] = price(
            np.where(kind[options] == Kind.CALL, "CE", "PE"),
            forward=rupees[options],
            strike=self._strike[chosen],
            years=years[options],
            volatility=self._volatility[chosen],
            rate=INTEREST_RATE,
        )
        scaled: npt.NDArray[np.float64] = rupees * self._divisor[rows]
        return scaled

    def _implied_volatility(self, now: float) -> npt.NDArray[np.float64]:
        """Return the volatility of each strike, a skewed smile; it stays the same all day."""
        years = np.maximum((self._expires_at - now) / SECONDS_PER_YEAR, 7 / 365)
        level = self._walk.close[self._underlying]
        base = self._walk.volatility[self._underlying]
        with np.errstate(divide="ignore", invalid="ignore"):  # no strike, no option
            moneyness = np.log(self._strike / level) / (base * np.sqrt(np.minimum(years, 1.0)))
        moneyness = np.clip(np.nan_to_num(moneyness, neginf=0.0), -4.0, 4.0) / 4.0
        smile: npt.NDArray[np.float64] = base * (
            1.0 + _SKEW * moneyness + _SMILE * moneyness * moneyness
        )
        return smile

    def _walk_since_yesterday(self) -> list[npt.NDArray[np.float64]]:
        """Return the levels of the underlyings at the previous close, the opening, and since."""
        levels = [self._walk.level.copy()]
        self._walk.open_day()
        levels.append(self._walk.level.copy())
        for _ in range(_DAY_PIECES):
            self._walk.advance(_DAY_PIECE_SECONDS)
            levels.append(self._walk.level.copy())
        return levels

    def _open(self, rows: npt.NDArray[np.intp]) -> None:
        """Simulate the day so far of instruments where that has not been done."""
        rows = rows[~self._is_open[rows]]
        if len(rows):
            self._is_open[rows] = True
            self._open_day(rows, self._begin)

    def _open_day(self, rows: npt.NDArray[np.intp], now: float) -> None:
        """Simulate close, open, high, low, volumes, open interest and books."""
        columns, rng = self._columns, self._rng
        close, *path = self._day
        columns["close"][rows] = self._on_tick(rows, self._fair(rows, now - _DAY_SECONDS, close))
        fair = [self._fair(rows, now, level) for level in path]
        prices = np.stack([self._on_tick(rows, each) for each in fair])
        columns["open"][rows], columns["last_price"][rows] = prices[0], prices[-1]
        columns["high"][rows], columns["low"][rows] = prices.max(axis=0), prices.min(axis=0)
        columns["price_change"][rows] = prices[-1] - columns["close"][rows]
        self._start_trading(rows, prices.mean(axis=0))
        age = rng.integers(0, _OLDEST_TRADE, len(rows))
        columns["exchange_timestamp"][rows] = int(now) - age
        traded_before = rng.integers(0, _OLDEST_TRADE, len(rows))
        columns["last_trade_time"][rows] = int(now) - age - traded_before
        tradable = self._tradable[rows]
        self._book.requote(rows[tradable], fair[-1][tradable])

    def _start_trading(
        self, rows: npt.NDArray[np.intp], mean_price: npt.NDArray[np.float64]
    ) -> None:
        columns, rng, lot = self._columns, self._rng, self._lot[rows]
        is_share = self._kind[rows] == Kind.SPOT
        magnitude = np.where(is_share, rng.uniform(4, 6.5, len(rows)), 0.0)
        magnitude += np.where(is_share, 0.0, rng.uniform(0.5, 3.5, len(rows)))
        volume = lot * np.rint(10.0**magnitude)
        columns["volume_traded"][rows] = volume
        self._traded_value[rows] = volume * mean_price
        columns["average_traded_price"][rows] = np.rint(mean_price)
        columns["last_traded_quantity"][rows] = lot
        interest = lot * np.rint(10.0 ** rng.uniform(1, 4, len(rows))).astype(np.int64)
        interest[is_share] = 0
        columns["oi"][rows] = interest
        columns["oi_day_high"][rows] = interest * 11 // 10
        columns["oi_day_low"][rows] = interest * 9 // 10
        for side in ("total_buy_quantity", "total_sell_quantity"):
            columns[side][rows] = lot * rng.integers(500, 5_000, len(rows))

    def _move_indices(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64]) -> None:
        columns = self._columns
        self._print(rows, np.maximum(np.rint(fair), 1).astype(np.int64))
        columns["price_change"][rows] = columns["last_price"][rows] - columns["close"][rows]

    def _trade(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64], now: int) -> None:
        columns, rng = self._columns, self._rng
        self._book.requote(rows, fair)
        # A buyer takes the best ask, a seller the best bid; without bids everybody buys.
        buys = rng.random(len(rows)) < 0.5  # noqa: PLR2004
        bid, ask = columns["bid_price"][rows, 0], columns["ask_price"][rows, 0]
        price = np.where(buys | (bid <= 0), ask, bid)
        traded = rng.random(len(rows)) < _TRADE_PROBABILITY
        rows, price = rows[traded], price[traded]
        self._print(rows, price)
        columns["last_trade_time"][rows] = now
        # Two trades since the last packet: it shows the quantity of one, and the volume of both.
        lots = 1 + rng.exponential(1.0, (2, len(rows))).astype(np.int64)
        columns["last_traded_quantity"][rows] = lots[0] * self._lot[rows]
        self._add_volume(rows, price, lots.sum(axis=0) * self._lot[rows])
        self._change_interest(rows)

    def _print(self, rows: npt.NDArray[np.intp], price: npt.NDArray[np.int64]) -> None:
        """Set the last price, and high and low with it."""
        columns = self._columns
        columns["last_price"][rows] = price
        columns["high"][rows] = np.maximum(columns["high"][rows], price)
        columns["low"][rows] = np.minimum(columns["low"][rows], price)

    def _add_volume(
        self,
        rows: npt.NDArray[np.intp],
        price: npt.NDArray[np.int64],
        quantity: npt.NDArray[np.int64],
    ) -> None:
        columns = self._columns
        volume = columns["volume_traded"][rows] + quantity
        self._traded_value[rows] += price * quantity
        average = np.rint(self._traded_value[rows] / volume).astype(np.int64)
        columns["volume_traded"][rows] = np.minimum(volume, _UINT32_MAX)
        columns["average_traded_price"][rows] = np.clip(
            average, columns["low"][rows], columns["high"][rows]
        )

    def _change_interest(self, rows: npt.NDArray[np.intp]) -> None:
        columns = self._columns
        rows = rows[self._kind[rows] != Kind.SPOT]
        change = self._lot[rows] * self._rng.integers(-2, 4, len(rows))
        interest = np.clip(columns["oi"][rows] + change, 0, _UINT32_MAX)
        columns["oi"][rows] = interest
        columns["oi_day_high"][rows] = np.maximum(columns["oi_day_high"][rows], interest)
        columns["oi_day_low"][rows] = np.minimum(columns["oi_day_low"][rows], interest)

    def _on_tick(
        self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        tick = self._tick[rows]
        price: npt.NDArray[np.int64] = tick * np.maximum(np.rint(fair / tick), 1).astype(np.int64)
        return price


def _empty_columns(count: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return a column of zeros for every field that packets of any layout have."""
    columns = {field: np.zeros(count, np.int64) for layout in LAYOUTS for field in layout.fields}
    return columns | {field: np.zeros((count, DEPTH_LEVELS), np.int64) for field in DEPTH_FIELDS}
