"""Where the rows come from that alerts look at: ticks, candles, option chains. One owner.

Ticks are given to alerts as they come. Candles and chains are looked at once in each second in
which there were ticks, by the ticks' arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from kitepolars.alerting.rows import RowsToCheck
from kitepolars.calendar import SECOND
from kitepolars.frames.index import TokenIndex


class TickSource:
    """New ticks.

    Parameters
    ----------
    tokens
        Only those of these instruments; None for all.
    snapshots
        Whether cached values count.
    """

    def __init__(self, tokens: Sequence[int] | None, *, snapshots: bool = False) -> None:
        self.tokens = None if tokens is None else tuple(tokens)
        self.snapshots = snapshots

    def clear(self) -> None:
        """Forget what was looked at."""


class LookedAt(TickSource):
    """Rows that are looked at once a second.

    Parameters
    ----------
    tokens
        Only those of these instruments; None for all.
    """

    def __init__(self, tokens: Sequence[int] | None) -> None:
        super().__init__(tokens)
        self.index = TokenIndex()
        self.is_behind = False
        """Whether ticks have come since it was looked at."""
        self._second = -1

    def is_due(self, now: int) -> bool:
        """Whether a second has begun since the last time: microseconds since the epoch, UTC."""
        before, self._second = self._second, now // SECOND
        self.is_behind = self._second == before
        return not self.is_behind

    def look(self, now: int) -> RowsToCheck:
        """Return the rows to check at a time."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget what was looked at."""
        self.is_behind = False
        self._second = -1


class BarSource(LookedAt):
    """Candles, each when it is finished.

    Parameters
    ----------
    tokens
        Only these instruments; None for all.
    bars
        Returns the candles.
    length
        The length of one in microseconds.
    """

    def __init__(
        self, tokens: Sequence[int] | None, bars: Callable[[], pl.DataFrame], length: int
    ) -> None:
        super().__init__(tokens)
        self._bars = bars
        self._length = length
        self.clear()

    def clear(self) -> None:
        """Forget what was looked at."""
        super().clear()
        self._rows = 0
        self._newest = np.empty(0, np.int64)

    def look(self, now: int) -> RowsToCheck:  # noqa: ARG002 - a candle has its own time
        """Return the candles that were finished since the last time."""
        bars = self._bars()
        if self._rows > bars.height:
            self.clear()
        new = bars.slice(self._rows)
        is_finished = ~new["is_partial"].to_numpy()
        # Rows before the first that is still forming do not change any more.
        self._rows += new.height if is_finished.all() else int(is_finished.argmin())
        slots = self.index.slots(new["instrument_token"].to_numpy())
        starts = new["start"].to_numpy().view(np.int64)
        if len(self._newest) < len(self.index):
            room = np.full(len(self.index) - len(self._newest), np.iinfo(np.int64).min)
            self._newest = np.concatenate([self._newest, room])
        is_new = is_finished & (starts > self._newest[slots])
        if self.tokens is not None:
            is_new &= new["instrument_token"].is_in(self.tokens).to_numpy()
        np.maximum.at(self._newest, slots[is_finished], starts[is_finished])
        rows = np.flatnonzero(is_new)
        return RowsToCheck.of_frame(new[rows], slots[rows], starts[rows] + self._length)


class ChainSource(LookedAt):
    """The strikes of an option chain."""

    def __init__(self, chain: Callable[[], pl.DataFrame], underlying: str) -> None:
        super().__init__(None)
        self._chain = chain
        self._underlying = underlying

    def look(self, now: int) -> RowsToCheck:
        """Return all strikes."""
        chain = self._chain()
        strikes = (chain["strike"] * 100).round().cast(pl.UInt32).to_numpy()
        strike = pl.col("strike").cast(pl.String).str.strip_suffix(".0")
        named = chain.with_columns(
            pl.concat_str(pl.lit(f"{self._underlying} "), strike).alias("symbol")
        )
        times = np.full(chain.height, now, np.int64)
        return RowsToCheck.of_frame(named, self.index.slots(strikes), times)
