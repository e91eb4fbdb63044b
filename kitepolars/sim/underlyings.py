"""The walk of everything that prices come from: shares, currencies, commodities, indices.

Owned by one `sim.market.Market`; runs on its thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.sim.master import Underlying

__all__ = ["UnderlyingWalk"]

TRADING_SECONDS_PER_YEAR: Final = 252 * 6.25 * 3_600
_MARKET_CORRELATION: Final = 0.6
_GAP: Final = 0.2  # how much of a day's deviation happens overnight
_DAY_SECONDS: Final = 6.25 * 3_600


class UnderlyingWalk:
    """Levels in rupees that move like a market: in part together, in part alone.

    An index with members stands at its close times the mean of its members'
    returns; everything else is a geometric random walk.

    Parameters
    ----------
    underlyings
        What there is; members of an index stand before it.
    rng
        The source of chance; used in a fixed order.
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
        """Move from the previous close to the opening, over night."""
        self.advance(_DAY_SECONDS * _GAP)

    def advance(self, seconds: float) -> None:
        """Let that much trading time pass."""
        count = len(self.level)
        together = self._rng.standard_normal()
        alone = self._rng.standard_normal(count)
        shock = _MARKET_CORRELATION * together + np.sqrt(1 - _MARKET_CORRELATION**2) * alone
        deviation = self.volatility * np.sqrt(seconds / TRADING_SECONDS_PER_YEAR)
        self.level *= np.exp(deviation * shock - 0.5 * deviation**2)
        self.level[self._indices] = self.close[self._indices] * (
            self._weights @ (self.level / self.close)
        )

    def at(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the levels of some underlyings."""
        levels: npt.NDArray[np.float64] = self.level[numbers]
        return levels
