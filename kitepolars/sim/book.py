"""Order books: five bids below five asks around a fair price, vectorised.

Owned by one `sim.market.Market`; runs on its thread.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.wire.layouts import DEPTH_LEVELS

__all__ = ["OrderBook"]

_SPREAD: Final = 2e-4  # of the price
_WIDEST_SPREAD: Final = 40  # ticks
_GAPS: Final = (1, 3)  # ticks between two levels
_SIDES: Final = {"bid": ("total_buy_quantity", -1), "ask": ("total_sell_quantity", 1)}


class OrderBook:
    """Writes the depth and the total quantities of the market's columns.

    Parameters
    ----------
    columns
        The market's columns, by field of the wire.
    tick
        The tick sizes in units of the wire.
    lot
        The lot sizes.
    rng
        The source of chance; used in a fixed order.
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

    @staticmethod
    def empty_columns(count: int) -> dict[str, npt.NDArray[np.int64]]:
        """Make the columns of an empty book."""
        return {
            f"{side}_{part}": np.zeros((count, DEPTH_LEVELS), np.int64)
            for side in _SIDES
            for part in ("price", "quantity", "orders")
        }

    def requote(self, rows: npt.NDArray[np.intp], fair: npt.NDArray[np.float64]) -> None:
        """Quote some instruments anew around their fair prices in units of the wire.

        The best bid is below the best ask by a tick at least. A level at or
        below zero is empty: price, quantity and orders are 0, as Kite sends it.
        """
        tick = self._tick[rows]
        below = np.maximum(np.floor(fair / tick), 0).astype(np.int64)
        spread = np.clip(fair * _SPREAD / tick, 1, _WIDEST_SPREAD)
        room = 1 + (spread * self._rng.random(len(rows))).astype(np.int64)
        lower = room // 2
        best = {"bid": below - lower, "ask": below + room - lower}
        for side, (total, direction) in _SIDES.items():
            self._quote(side, rows, best[side], direction)
            self._total(total, side, rows)

    def _quote(
        self, side: str, rows: npt.NDArray[np.intp], best: npt.NDArray[np.int64], direction: int
    ) -> None:
        shape = (len(rows), DEPTH_LEVELS)
        away = self._rng.integers(*_GAPS, shape).cumsum(axis=1)
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
        """Let the total quantity wander; it is never less than what the five levels show."""
        change = self._lot[rows] * self._rng.integers(-50, 51, len(rows))
        shown = self._columns[f"{side}_quantity"][rows].sum(axis=1)
        self._columns[total][rows] = np.maximum(self._columns[total][rows] + change, shown)
