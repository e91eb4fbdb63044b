"""Candles that grow: a minute more of ticks costs that minute. One owner, any thread.

The state is what the rows so far leave behind: one row per instrument ahead of
those to come, the pieces of bars that may still change, and blocks of bars that
are done. A tick for a bar that was done takes its block apart again, so that
the result is always that of `candles` over all rows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from kitepolars.analytics import bars
from kitepolars.analytics.bars import TOKEN, Clock
from kitepolars.analytics.candles import finish, shaped, warn_of_arrival
from kitepolars.analytics.columns import schema_of
from kitepolars.analytics.schema import CANDLES
from kitepolars.analytics.sessions import SECOND, bar_end, parse_interval

if TYPE_CHECKING:
    from typing import Self

__all__ = ["CandleBuilder"]

_SETTLE: Final = 5 * SECOND
"""How long after its end a bar is still kept open: other instruments' last ticks come late."""


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Bars that are done: what they were made of, and what they came to."""

    main: pl.DataFrame
    late: pl.DataFrame
    bars: pl.DataFrame
    last_start: int


class CandleBuilder:
    """Build `candles` from ticks as they come.

    Parameters
    ----------
    every, on
        As for `candles`.

    Raises
    ------
    ConfigError
        If the interval or the clock is impossible.

    Examples
    --------
    >>> builder = CandleBuilder("1m")
    >>> builder.every
    '1m'
    """

    def __init__(self, every: str | dt.timedelta, *, on: Clock = "exchange_timestamp") -> None:
        self._interval = parse_interval(every)
        bars.check_clock(on)
        self.every = every
        self.on: Clock = on
        self.clear()

    def clear(self) -> None:
        """Forget all ticks."""
        self._rows = 0
        self._carried: pl.DataFrame | None = None
        self._main: list[pl.DataFrame] = []
        self._late: list[pl.DataFrame] = []
        self._horizon: list[pl.DataFrame] = []
        self._blocks: list[_Block] = []
        self._on_arrival: list[pl.DataFrame] = []

    def __repr__(self) -> str:
        """Say what it builds and how far it is."""
        return f"CandleBuilder({self.every!r}, on={self.on!r}, rows={self._rows})"

    @property
    def rows(self) -> int:
        """How many ticks it has taken in; the next `update` begins with this row of the frame."""
        return self._rows

    def update(self, ticks: pl.DataFrame) -> Self:
        """Take in the ticks that came since the last time, in arrival order.

        Parameters
        ----------
        ticks
            New rows only, with the columns that `candles` needs.

        Raises
        ------
        ConfigError
            If columns are missing; nothing is taken in.
        """
        schema_of(ticks)
        if ticks.is_empty():
            return self
        rows = bars.rows(ticks.lazy(), self._interval, self.on).collect()
        if self._carried is not None:
            rows = pl.concat([self._carried.select(rows.columns), rows])
        measured = bars.measured(rows.lazy()).collect()
        lazy = measured.lazy()
        main, late, horizon, carried = pl.collect_all(
            [
                bars.main_pieces(lazy).filter(pl.col("start").is_not_null()),
                bars.late_pieces(lazy),
                bars.horizons(lazy),
                bars.carried(lazy),
            ]
        )
        self._rows += ticks.height
        self._carried = carried
        self._horizon.append(horizon)
        self._reopen(main, late)
        self._main.append(main)
        self._late.append(late)
        self._note_arrival(main)
        return self

    def frame(self, *, include_partial: bool = True, fill: bool = False) -> pl.DataFrame:
        """Return the bars of all ticks so far.

        Parameters
        ----------
        include_partial, fill
            As for `candles`. Filling costs as much as there are bars.

        Returns
        -------
        DataFrame
            Exactly what `candles` makes of all the ticks together.
        """
        if not self._main:
            return CANDLES.to_frame()
        self._main = [_combined(self._main)]
        self._late = [pl.concat(self._late)]
        self._horizon = [pl.concat(self._horizon).group_by("day").agg(pl.col("time").max())]
        horizon = self._horizon[0]
        growing = finish(self._main[0], self._late[0], horizon, self._interval)
        result = pl.concat([*(block.bars for block in self._blocks), growing])
        self._settle(growing, horizon)
        if self._on_arrival:
            warn_of_arrival(self._on_arrival[0])
        return shaped(result, horizon, self._interval, include_partial=include_partial, fill=fill)

    def _note_arrival(self, main: pl.DataFrame) -> None:
        if self.on == "exchange_timestamp" and main["on_arrival"].any():
            new = main.filter("on_arrival").select(TOKEN, "symbol")
            self._on_arrival = [pl.concat([*self._on_arrival, new]).unique(TOKEN, keep="last")]

    def _reopen(self, main: pl.DataFrame, late: pl.DataFrame) -> None:
        """Take blocks apart until no new piece belongs to a bar that is done."""
        first = cast("int | None", pl.concat([main["start"], late["start"]]).min())
        while first is not None and self._blocks and self._blocks[-1].last_start >= first:
            block = self._blocks.pop()
            self._main.insert(0, block.main)
            self._late.insert(0, block.late)

    def _settle(self, growing: pl.DataFrame, horizon: pl.DataFrame) -> None:
        """Put the bars aside that ended long enough ago."""
        latest = horizon["time"].max()
        start = pl.col("start").to_physical()
        open_bars = growing.filter(bar_end(start, pl.col(TOKEN), self._interval) + _SETTLE > latest)
        first_open = open_bars["start"].to_physical().min()
        done = pl.lit(value=True) if first_open is None else start < first_open
        settled = growing.filter(done)
        if settled.is_empty():
            return
        main, late = self._main[0], self._late[0]
        self._add_block(
            _Block(
                main=main.filter(done),
                late=late.filter(done),
                bars=settled,
                last_start=settled["start"].to_physical()[-1],
            )
        )
        self._main, self._late = [main.filter(~done)], [late.filter(~done)]

    def _add_block(self, block: _Block) -> None:
        """Append it, and join blocks of like size, so that there are never many."""
        while self._blocks and self._blocks[-1].bars.height <= block.bars.height:
            before = self._blocks.pop()
            block = _Block(
                main=pl.concat([before.main, block.main]),
                late=pl.concat([before.late, block.late]),
                bars=pl.concat([before.bars, block.bars], rechunk=True),
                last_start=block.last_start,
            )
        self._blocks.append(block)


def _combined(pieces: list[pl.DataFrame]) -> pl.DataFrame:
    """Return one main piece for each bar; the pieces come in order of arrival."""
    if len(pieces) == 1:
        return pieces[0]
    return (
        pl.concat(pieces)
        .group_by(TOKEN, "start", maintain_order=True)
        .agg(
            pl.col("symbol").last(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume", "turnover", "priced", "priced_turnover").sum(),
            pl.col("height").max(),
            pl.col("ticks").sum(),
            pl.col("oi").last(),
            pl.col("opened_at").first(),
            pl.col("closed_at").last(),
            pl.col("on_arrival").any(),
        )
    )
