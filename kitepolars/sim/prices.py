"""The levels of underlyings and the order books around fair prices, vectorised.

Underlyings walk at random, the market prices futures and options from them, and five bids
and five asks surround each fair price. Walks and books belong to one `sim.market.MarketModel`, on
its thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.sim.master import Underlying
from kitepolars.wire.layouts import DEPTH_LEVELS

__all__ = ["INTEREST_RATE", "SECONDS_PER_YEAR", "OrderBook", "UnderlyingWalk"]

INTEREST_RATE: Final = 0.06
"""Interest per year: futures are above their underlying by it, and premiums are discounted."""

SECONDS_PER_YEAR: Final = 365 * 86_400.0
"""Time to expiry is calendar time."""

TRADING_SECONDS_PER_YEAR: Final = 252 * 6.25 * 3_600
"""Volatility accrues while the market trades: 252 days of 6¼ hours."""

_SPREAD: Final = 2e-4  # of the price
_WIDEST_QUOTED_SPREAD: Final = 40  # in tick sizes
_LEVEL_GAPS: Final = (1, 3)  # tick sizes between two levels
_QUOTED_SIDES: Final = {"bid": ("total_buy_quantity", -1), "ask": ("total_sell_quantity", 1)}

_MARKET_CORRELATION: Final = 0.6
_OVERNIGHT: Final = 0.2 * 6.25 * 3_600  # a night moves prices like a fifth of a trading day


class UnderlyingWalk:
    """Levels in rupees that follow correlated geometric random walks.

    An index with members does not walk: it is its close times the mean return of the members.

    Parameters
    ----------
    underlyings
        Their closes and volatilities; the members of an index come before it.
    rng
        The generator; its numbers are used in a fixed order.
    """

    def __init__(self, underlyings: Sequence[Underlying], rng: np.random.Generator) -> None:
        self._rng = rng
        self.close = np.array([underlying.close for underlying in underlyings])
        self.volatility = np.array([underlying.volatility for underlying in underlyings])
        self.level = self.close.copy()
        self._indices = np.array(
            [n for n, underlying in enumerate(underlyings) if underlying.members], np.intp
        )
        self._weights = np.zeros((len(self._indices), len(underlyings)))
        for row, number in enumerate(self._indices):
            members = list(underlyings[number].members)
            self._weights[row, members] = 1.0 / len(members)

    def open_day(self) -> None:
        """Move from the previous close to the opening."""
        self.advance(_OVERNIGHT)

    def advance(self, seconds: float) -> None:
        """Advance by seconds of trading time."""
        count = len(self.level)
        together = self._rng.standard_normal()
        alone = self._rng.standard_normal(count)
        shock = _MARKET_CORRELATION * together + np.sqrt(1 - _MARKET_CORRELATION**2) * alone
        deviation = self.volatility * np.sqrt(seconds / TRADING_SECONDS_PER_YEAR)
        self.level *= np.exp(deviation * shock - 0.5 * deviation**2)
        self.level[self._indices] = self.close[self._indices] * (
            self._weights @ (self.level / self.close)
        )


class OrderBook:
    """Quotes five bids and five asks, in the columns of the market.

    Parameters
    ----------
    columns
        The columns of the market, by field of the wire.
    tick
        The tick sizes, in units of the wire.
    lot
        The lot sizes.
    rng
        The generator; its numbers are used in a fixed order.
    """

    def __init__(
        self,
        columns: dict[str, npt.NDArray[np.int64]],
        tick: npt.NDArray[np.int64],
        lot: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        self._columns = columns
        self._tick = tick
        self._lot = lot
        self._rng = rng

    def requote(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64]) -> None:
        """Replace the books of some instruments; fair prices are in units of the wire.

        The spread is at least one tick size. A level at or below a price of 0 is empty: price,
        quantity and orders are 0, as Kite sends it.
        """
        tick = self._tick[rows]
        below = np.maximum(np.floor(fair / tick), 0).astype(np.int64)
        spread = np.clip(fair * _SPREAD / tick, 1, _WIDEST_QUOTED_SPREAD)
        room = 1 + (spread * self._rng.random(len(rows))).astype(np.int64)
        lower = room // 2
        best = {"bid": below - lower, "ask": below + room - lower}
        for side, (total, direction) in _QUOTED_SIDES.items():
            self._quote(side, rows, best[side], direction)
            self._total(total, side, rows)

    def _quote(
        self, side: str, rows: npt.NDArray[np.intp], best: npt.NDArray[np.int64], direction: int
    ) -> None:
        shape = (len(rows), DEPTH_LEVELS)
        away = self._rng.integers(*_LEVEL_GAPS, shape).cumsum(axis=1)
        away -= away[:, :1]
        price = np.maximum(best[:, np.newaxis] + direction * away, 0)
        filled = price > 0
        orders = self._rng.integers(1, 25, shape) * filled
        lots = orders * self._rng.integers(1, 12, shape)
        columns = self._columns
        columns[f"{side}_price"][rows] = price * self._tick[rows, np.newaxis]
        columns[f"{side}_orders"][rows] = orders
        columns[f"{side}_quantity"][rows] = lots * self._lot[rows, np.newaxis]

    def _total(self, total: str, side: str, rows: npt.NDArray[np.intp]) -> None:
        """Change the total quantity at random; it is never less than that of the five levels."""
        change = self._lot[rows] * self._rng.integers(-50, 51, len(rows))
        shown = self._columns[f"{side}_quantity"][rows].sum(axis=1)
        self._columns[total][rows] = np.maximum(self._columns[total][rows] + change, shown)
