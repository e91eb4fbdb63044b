"""The market model: the last values of every instrument, as integers of the wire.

Owned by the simulator's exchange, on its thread. Nothing here knows sockets
or reads a clock: time is handed in, so a seed and a sequence of steps give the
same market every time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.sim.book import OrderBook
from kitepolars.sim.master import InstrumentMaster, Kind
from kitepolars.sim.pricing import INTEREST_RATE, SECONDS_PER_YEAR, black_76
from kitepolars.sim.underlyings import UnderlyingWalk
from kitepolars.wire.layouts import FULL, INDEX_FULL, SEGMENT_MASK, SEGMENTS, segment_divisors

__all__ = ["Market"]

_SHORTEST_YEARS: Final = 3_600 / SECONDS_PER_YEAR
_SKEW: Final = -0.12  # low strikes are dearer
_SMILE: Final = 0.25
_DAY_PIECES: Final = 6  # how many times prices are looked at before the simulation begins
_DAY_PIECE_SECONDS: Final = 1_800.0
_DAY_SECONDS: Final = 86_400.0
_TRADE_PROBABILITY: Final = 0.7
_BIGGEST: Final = 0xFFFF_FFFF
_OLDEST_TRADE: Final = 300  # seconds


class Market:
    """Prices, volumes, open interest and order books of all instruments.

    Parameters
    ----------
    master
        What is listed.
    now
        When the simulation begins, in UTC epoch seconds.
    seed
        The same master, seed and sequence of calls give the same values.

    Attributes
    ----------
    columns
        Field of the wire → integers of shape ``(instruments,)`` or, for
        the depth, ``(instruments, 5)``; what `wire.encode.encode_packets` takes.
    """

    def __init__(self, master: InstrumentMaster, *, now: float, seed: int = 0) -> None:
        self._rng = np.random.default_rng((seed, 1))
        self._walk = UnderlyingWalk(master.underlyings, self._rng)
        self._underlying = np.array([row.underlying for row in master.listings], np.intp)
        self._strike = np.array([row.strike for row in master.listings])
        self._kind = master.kind
        self._expires_at = master.expires_at
        self._divisor = segment_divisors()[master.instrument_token & SEGMENT_MASK]
        tick_size = np.array([row.tick_size for row in master.listings])
        self._tick = np.maximum(np.rint(tick_size * self._divisor), 1).astype(np.int64)
        self._lot = np.maximum([row.lot_size for row in master.listings], 1).astype(np.int64)
        segment = master.instrument_token & SEGMENT_MASK
        tradable = np.ones(SEGMENT_MASK + 1, np.bool_)
        tradable[[code for code, known in SEGMENTS.items() if not known.tradable]] = False
        self._tradable = tradable[segment]
        self._volatility = self._implied_volatility(now)
        self.columns = _empty_columns(len(master))
        self.columns["instrument_token"][:] = master.instrument_token
        self._book = OrderBook(self.columns, self._tick, self._lot, self._rng)
        self._traded_value = np.zeros(len(master))
        self._open_day(now)

    def advance(self, seconds: float) -> None:
        """Let trading time pass: what prices come from moves on."""
        self._walk.advance(seconds)

    def tick(self, rows: npt.NDArray[np.intp], now: float) -> None:
        """Bring some instruments up to date with what they are priced from.

        Parameters
        ----------
        rows
            Their rows, without repetition.
        now
            The exchange's time in UTC epoch seconds.
        """
        fair = self._fair(rows, now)
        self.columns["exchange_timestamp"][rows] = int(now)
        tradable = self._tradable[rows]
        self._move_indices(rows[~tradable], fair[~tradable])
        self._trade(rows[tradable], fair[tradable], int(now))

    def last_values(self, row: int) -> dict[str, Any]:
        """Return the values of one instrument as they would be sent, by field of the wire."""
        return {field: column[row].tolist() for field, column in self.columns.items()}

    def _fair(self, rows: npt.NDArray[np.intp], now: float) -> npt.NDArray[np.float64]:
        """Return the fair prices in units of the wire."""
        rupees = self._walk.at(self._underlying[rows])
        kind = self._kind[rows]
        years = np.maximum((self._expires_at[rows] - now) / SECONDS_PER_YEAR, _SHORTEST_YEARS)
        derived = kind != Kind.SPOT
        rupees[derived] *= np.exp(INTEREST_RATE * years[derived])
        options = kind >= Kind.PUT
        chosen = rows[options]
        rupees[options] = black_76(
            rupees[options],
            self._strike[chosen],
            years[options],
            self._volatility[chosen],
            kind[options] == Kind.CALL,
        )
        scaled: npt.NDArray[np.float64] = rupees * self._divisor[rows]
        return scaled

    def _implied_volatility(self, now: float) -> npt.NDArray[np.float64]:
        """Give each strike its volatility once and for all: a skewed smile."""
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

    def _open_day(self, now: float) -> None:
        """Live through the day so far: close, open, high, low and what was traded."""
        rows = np.arange(len(self._tick))
        columns, rng = self.columns, self._rng
        columns["close"][:] = self._on_tick(rows, self._fair(rows, now - _DAY_SECONDS))
        self._walk.open_day()
        prices = [self._on_tick(rows, self._fair(rows, now))]
        for _ in range(_DAY_PIECES):
            self._walk.advance(_DAY_PIECE_SECONDS)
            prices.append(self._on_tick(rows, self._fair(rows, now)))
        path = np.stack(prices)
        columns["open"][:], columns["last_price"][:] = path[0], path[-1]
        columns["high"][:], columns["low"][:] = path.max(axis=0), path.min(axis=0)
        columns["price_change"][:] = columns["last_price"] - columns["close"]
        self._start_trading(path.mean(axis=0))
        age = rng.integers(0, _OLDEST_TRADE, len(rows))
        columns["exchange_timestamp"][:] = int(now) - age
        columns["last_trade_time"][:] = int(now) - age - rng.integers(0, _OLDEST_TRADE, len(rows))
        self._book.requote(rows[self._tradable], self._fair(rows, now)[self._tradable])

    def _start_trading(self, mean_price: npt.NDArray[np.float64]) -> None:
        columns, rng = self.columns, self._rng
        is_share = self._kind == Kind.SPOT
        magnitude = np.where(is_share, rng.uniform(4, 6.5, len(is_share)), 0.0)
        magnitude += np.where(is_share, 0.0, rng.uniform(0.5, 3.5, len(is_share)))
        columns["volume_traded"][:] = self._lot * np.rint(10.0**magnitude)
        self._traded_value[:] = columns["volume_traded"] * mean_price
        columns["average_traded_price"][:] = np.rint(mean_price)
        columns["last_traded_quantity"][:] = self._lot
        interest = self._lot * np.rint(10.0 ** rng.uniform(1, 4, len(is_share)))
        columns["oi"][:] = np.where(is_share, 0, interest)
        columns["oi_day_high"][:] = columns["oi"] * 11 // 10
        columns["oi_day_low"][:] = columns["oi"] * 9 // 10
        for side in ("total_buy_quantity", "total_sell_quantity"):
            columns[side][:] = self._lot * rng.integers(500, 5_000, len(is_share))

    def _move_indices(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64]) -> None:
        columns = self.columns
        self._print(rows, np.maximum(np.rint(fair), 1).astype(np.int64))
        columns["price_change"][rows] = columns["last_price"][rows] - columns["close"][rows]

    def _trade(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64], now: int) -> None:
        columns, rng = self.columns, self._rng
        self._book.requote(rows, fair)
        buys = rng.random(len(rows)) < 0.5  # noqa: PLR2004
        bid, ask = columns["bid_price"][rows, 0], columns["ask_price"][rows, 0]
        price = np.where(buys | (bid <= 0), ask, bid)
        traded = rng.random(len(rows)) < _TRADE_PROBABILITY
        rows, price = rows[traded], price[traded]
        self._print(rows, price)
        columns["last_trade_time"][rows] = now
        lots = 1 + rng.exponential(1.0, (2, len(rows))).astype(np.int64)
        columns["last_traded_quantity"][rows] = lots[0] * self._lot[rows]
        self._add_volume(rows, price, lots.sum(axis=0) * self._lot[rows])
        self._change_interest(rows)

    def _print(self, rows: npt.NDArray[np.intp], price: npt.NDArray[np.int64]) -> None:
        """Put a price on the tape; high and low follow."""
        columns = self.columns
        columns["last_price"][rows] = price
        columns["high"][rows] = np.maximum(columns["high"][rows], price)
        columns["low"][rows] = np.minimum(columns["low"][rows], price)

    def _add_volume(
        self,
        rows: npt.NDArray[np.intp],
        price: npt.NDArray[np.int64],
        quantity: npt.NDArray[np.int64],
    ) -> None:
        columns = self.columns
        volume = columns["volume_traded"][rows] + quantity
        self._traded_value[rows] += price * quantity
        average = np.rint(self._traded_value[rows] / volume).astype(np.int64)
        columns["volume_traded"][rows] = np.minimum(volume, _BIGGEST)
        columns["average_traded_price"][rows] = np.clip(
            average, columns["low"][rows], columns["high"][rows]
        )

    def _change_interest(self, rows: npt.NDArray[np.intp]) -> None:
        columns = self.columns
        rows = rows[self._kind[rows] != Kind.SPOT]
        change = self._lot[rows] * self._rng.integers(-2, 4, len(rows))
        interest = np.clip(columns["oi"][rows] + change, 0, _BIGGEST)
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
    """Make a column for every field that some packet has."""
    scalars = dict.fromkeys((*FULL.fields, *INDEX_FULL.fields))
    columns = {field: np.zeros(count, np.int64) for field in scalars}
    return columns | OrderBook.empty_columns(count)
