"""Candles of ticks as they come in. One owner a builder; any thread.

Bars that are finished stand in blocks that later frames share.
"""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING, Final

import polars as pl

from kitepolars.analytics.bars import (
    CANDLES,
    Clock,
    Hours,
    parse_interval,
)
from kitepolars.analytics.engine import Engine
from kitepolars.calendar import DAY, IST_OFFSET
from kitepolars.errors import check_choice
from kitepolars.frames.schema import TIMESTAMP

if TYPE_CHECKING:
    from typing import Self

    from kitepolars.frames.buffers import Rows

_ORDER: Final = ("start", "instrument_token")
_LARGEST_BLOCK: Final = 1 << 18
"""Rows above which blocks are not joined any more, so that no call copies a day of bars."""


def append_block(blocks: list[pl.DataFrame], block: pl.DataFrame) -> None:
    """Append a block to others, and join blocks of like size, so that there are never many."""
    while blocks and (
        blocks[-1].height <= block.height and blocks[-1].height + block.height <= _LARGEST_BLOCK
    ):
        block = pl.concat([blocks.pop(), block], rechunk=True)
    blocks.append(block)


class ArrivalTimeWarning(UserWarning):
    """Some bars are cut on arrival time, because their ticks have no exchange time."""


class CandleBuilder:
    """Build `candles` from ticks as they come.

    Parameters
    ----------
    every, on, hours
        As for `candles`.

    Raises
    ------
    ConfigError
        If the interval, the clock or the hours are impossible.

    Examples
    --------
    >>> builder = CandleBuilder("1m")
    >>> builder.every
    '1m'
    """

    def __init__(
        self,
        every: str | dt.timedelta,
        *,
        on: Clock = "exchange_timestamp",
        hours: Hours = "exchange",
    ) -> None:
        self.every = every
        self.on: Clock = on
        self.hours: Hours = hours
        self._rows = 0  # so far it can show itself, should a traceback show a refused setting
        self._interval = parse_interval(every)
        check_choice("on", on, Clock)
        check_choice("hours", hours, Hours)
        self.clear()

    def clear(self) -> None:
        """Forget all ticks."""
        self._engine = Engine(self._interval, self.on, self.hours)
        self._rows = 0
        self._is_cut = False
        self._blocks: list[pl.DataFrame] = []
        self._done = CANDLES.to_frame()  # all blocks
        self._unsure = CANDLES.to_frame()  # rows of the blocks that may still change

    def begin_at(self, moment: dt.datetime) -> None:
        """Mark bars that start before a moment as partial: ticks before it are missing.

        Parameters
        ----------
        moment
            The time of the first tick, with a time zone.

        Examples
        --------
        >>> import datetime as dt
        >>> builder = CandleBuilder("1m")
        >>> builder.begin_at(dt.datetime(2026, 11, 20, 10, 7, 30, tzinfo=dt.UTC))
        """
        self._engine.begin_at(moment)
        self._is_cut = True

    def __repr__(self) -> str:
        """Say what it builds and how far it is."""
        return f"CandleBuilder({self.every!r}, on={self.on!r}, rows={self._rows})"

    @property
    def rows(self) -> int:
        """How many ticks it has taken in; the next `update` begins with this row of the frame."""
        return self._rows

    def update(self, ticks: pl.DataFrame | Rows) -> Self:
        """Take in the ticks that came since the last time, in arrival order.

        Parameters
        ----------
        ticks
            New rows only, with the columns that `candles` needs. Rows of a ticker's buffer are
            read in place.

        Raises
        ------
        ConfigError
            If columns are missing; nothing is taken in.
        """
        self._engine.take(ticks)
        self._rows += ticks.height
        return self

    def frame(self, *, include_partial: bool = True, fill: bool = False) -> pl.DataFrame:
        """Return the bars of all ticks so far.

        A bar that was once returned as finished never changes: a tick that comes for it later
        is left out of the bars, and its volume is in the instrument's next bar.

        Parameters
        ----------
        include_partial, fill
            As for `candles`. Filling costs as much as there are bars.

        Returns
        -------
        DataFrame
            What `candles` makes of all the ticks together. It shares the memory of finished
            bars with frames that were returned before.
        """
        self._refresh()
        places, settled = self._engine.order()
        live = self._engine.columns(places)
        if settled:
            self._settle(live[:settled])
            self._engine.settle(places[:settled])
            self._note_unsure()
        self._warn_of_arrival()
        growing = live[settled:]
        if include_partial or fill or self._unsure.height or self._is_cut:
            result = self._done.vstack(growing)
            if fill and self._interval < DAY:
                result = self._filled(result)
            return result if include_partial else result.filter(~pl.col("is_partial"))
        return self._done.vstack(growing.filter(~pl.col("is_partial")))

    def _settle(self, bars: pl.DataFrame) -> None:
        """Put bars into blocks, in order."""
        before = self._take_blocks(bars["start"][0])
        self._add_block(pl.concat([*before, bars]).sort(_ORDER) if before else bars)

    def _note_unsure(self) -> None:
        """Remember how those bars of the blocks look that may still change."""
        self._unsure = self._engine.columns(self._engine.unsure()).sort(_ORDER)

    def _take_blocks(self, first: dt.datetime) -> list[pl.DataFrame]:
        """Take out the blocks that end at or after a start."""
        taken = []
        while self._blocks and self._blocks[-1]["start"][-1] >= first:
            taken.append(self._blocks.pop())
        return taken[::-1]

    def _add_block(self, block: pl.DataFrame) -> None:
        append_block(self._blocks, block)
        self._done = pl.concat(self._blocks)

    def _refresh(self) -> None:
        """Bring those bars of the blocks up to date that were not finished when they settled.

        Such are the last bars of a market whose clock stands still while others advance.
        """
        if self._unsure.is_empty():
            return
        now = self._engine.columns(self._engine.unsure()).sort(_ORDER)
        if not now.equals(self._unsure):
            blocks = self._take_blocks(now["start"][0])
            others = pl.concat(blocks).join(self._unsure, on=_ORDER, how="anti")
            self._add_block(pl.concat([others, now]).sort(_ORDER))
            self._note_unsure()

    def _warn_of_arrival(self) -> None:
        """Say which instruments had no exchange time."""
        names = self._engine.cut_on_arrival()
        if names:
            shown = ", ".join([*names[:3], *["…"] * (len(names) > 3)])  # noqa: PLR2004
            warnings.warn(
                f"{len(names)} instrument(s) have ticks without an exchange time ({shown}); their "
                'bars are cut on arrival time. Subscribe in mode "full" for exchange time.',
                ArrivalTimeWarning,
                stacklevel=3,
            )

    def _filled(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Insert flat bars where an instrument was silent inside its session."""
        start, token = pl.col("start").to_physical(), pl.col("instrument_token")
        # Bars outside the session are kept, and nothing is put between them.
        grid = (
            bars.group_by("instrument_token", (start + IST_OFFSET).floordiv(DAY).alias("day"))
            .agg(start.min().alias("first"))
            .join(self._engine.markets(), on="instrument_token")
            .join(self._engine.sessions(), on=["market", "day"])
            .with_columns(pl.max_horizontal("first", "opens").alias("first"))
            .filter(pl.col("first") < pl.col("until"))
            .select(
                "instrument_token",
                "market",
                pl.col("closes").alias("close_of_day"),
                pl.int_ranges("first", "until", self._interval).alias("start"),
            )
            .explode("start", empty_as_null=False)
        )
        ends = pl.min_horizontal(pl.col("start") + self._interval, "close_of_day")
        return (
            bars.join(
                grid.with_columns(
                    self._engine.is_forming(ends, pl.col("market")).alias("is_forming")
                ).select("instrument_token", pl.col("start").cast(TIMESTAMP), "is_forming"),
                on=list(_ORDER),
                how="full",
                coalesce=True,
            )
            .sort(_ORDER)
            .with_columns(pl.col("symbol", "close", "oi").forward_fill().over(token))
            .with_columns(
                pl.col("open", "high", "low").fill_null(pl.col("close")),
                pl.col("volume", "ticks").fill_null(0),
                pl.coalesce("is_partial", "is_forming").alias("is_partial"),
            )
            .select(CANDLES.names())
        )
