"""Candles of ticks, of a whole frame or as ticks come in. One owner a builder; any thread.

The rules are those of the pass in `engine`; here bars become frames. Bars that
are finished stand in blocks that later frames share.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import polars as pl
from polars.io.plugins import register_io_source

from kitepolars.analytics.columns import Frame
from kitepolars.analytics.engine import (
    Clock,
    Engine,
    Hours,
    check,
    check_clock,
    check_hours,
    fields,
)
from kitepolars.calendar import DAY, IST_OFFSET, SECOND
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIMESTAMP

if TYPE_CHECKING:
    from typing import Self

    from kitepolars.frames.buffers import Rows

__all__ = ["CANDLES", "ArrivalTimeWarning", "CandleBuilder", "candles", "parse_interval"]

CANDLES: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "symbol": pl.Categorical(),
        "start": TIMESTAMP,
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.UInt64(),
        "ticks": pl.UInt32(),
        "oi": pl.UInt32(),
        "vwap": pl.Float64(),
        "is_partial": pl.Boolean(),
    }
)
"""Column → dtype of candles, in order. Prices in rupees, volume in shares or lots as traded."""

_ORDER: Final = ("start", "instrument_token")
_LARGEST_BLOCK: Final = 1 << 18
"""Rows above which blocks are not joined any more, so that no call copies a day of bars."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_KITE_UNITS: Final = {
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "sec": "s",
    "min": "m",
}
_INTERVAL: Final = re.compile(rf"(\d{{0,6}})({'|'.join((*_UNITS, *_KITE_UNITS))})")


class ArrivalTimeWarning(UserWarning):
    """Some bars are cut on arrival time, because their ticks have no exchange time."""


def parse_interval(every: str | dt.timedelta) -> int:
    """Return the length of a bar in microseconds.

    Parameters
    ----------
    every
        A number and a unit (``s``, ``m``, ``h``, ``d``), one of Kite's own names
        (``"minute"``, ``"15minute"``, ``"day"``; also ``"15min"``), or a timedelta; whole seconds,
        from one second to one day.

    Raises
    ------
    ConfigError
        If it is anything else.

    Examples
    --------
    >>> parse_interval("1m") == parse_interval("minute") == 60_000_000
    True
    """
    interval = _as_microseconds(every)
    if interval is None or not SECOND <= interval <= DAY or interval % SECOND:
        raise ConfigError(
            "every",
            every,
            "a bar's length in whole seconds from '1s' to '1d', such as '30s', '1m', '3m', '5m', "
            "'15m', '30m', '1h', '1d', or a timedelta",
        )
    return interval


def _as_microseconds(every: object) -> int | None:
    if isinstance(every, dt.timedelta):
        return every // dt.timedelta(microseconds=1)
    match = _INTERVAL.fullmatch(every) if isinstance(every, str) else None
    if match is None:
        return None
    unit = _KITE_UNITS.get(match[2], match[2])
    return int(match[1] or 1) * _UNITS[unit] * SECOND


def candles(
    frame: Frame,
    every: str | dt.timedelta,
    *,
    on: Clock = "exchange_timestamp",
    include_partial: bool = True,
    fill: bool = False,
    hours: Hours = "exchange",
) -> Frame:
    """Make open, high, low, close and volume bars of ticks.

    Parameters
    ----------
    frame
        Ticks, those of each instrument in arrival order; a LazyFrame is read batch by batch and
        never held: ``instrument_token``, ``last_price`` and a time. What else a
        tick may have (``volume_traded``, ``is_snapshot``, ``last_trade_time``, the day's
        ``open``, ``high`` and ``low``, …) is used where it is there.
    every
        The length of a bar, from ``"1s"`` to ``"1d"``, Kite's names (``"15minute"``,
        ``"day"``), or a timedelta. Bars are aligned to the session's open (IST): 09:15 for
        equity and indices, 09:00 for currency and commodities; a day's to midnight.
    on
        The time to cut on. Ticks without an exchange time (quote and ltp mode) are cut on
        ``received_at``, with an `ArrivalTimeWarning`.
    include_partial
        Whether to keep bars that are still forming.
    fill
        Whether to insert a flat bar without volume where an instrument did not tick, from
        its first bar of a day to the latest time seen of its market that day, inside the
        session.
    hours
        ``"exchange"``: bars are made in the hours of the trading calendar, and where trades
        are observed after them. ``"any"``: at any hour, for simulated markets.

    Returns
    -------
    DataFrame or LazyFrame
        `CANDLES`, sorted by ``start`` (IST) and ``instrument_token``. Prices in rupees. What
        counts as a trade, for how much, and when a bar is finished: see the guide "From ticks
        to answers".

    Raises
    ------
    ConfigError
        If the interval is impossible, columns are missing or times have no time zone.

    Examples
    --------
    >>> import datetime as dt
    >>> import polars as pl
    >>> time = dt.datetime(2026, 11, 20, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
    >>> ticks = pl.DataFrame(
    ...     {
    ...         "instrument_token": [408065, 408065, 408065],
    ...         "exchange_timestamp": [time + dt.timedelta(seconds=s) for s in (1, 40, 70)],
    ...         "last_price": [1500.0, 1502.5, 1501.0],
    ...         "volume_traded": [100, 150, 180],
    ...     }
    ... )
    >>> candles(ticks, "1m").select("open", "close", "volume").rows()
    [(1500.0, 1502.5, 50), (1501.0, 1501.0, 30)]

    Notes
    -----
    Source: Kite Connect v3, "WebSocket streaming" (cumulative volume, times in seconds) and
    "Historical candle data" (a candle's time is its start).
    """
    schema = check(frame, on)

    def made(batches: Iterable[pl.DataFrame]) -> pl.DataFrame:
        builder = CandleBuilder(every, on=on, hours=hours)
        for batch in batches:
            builder.update(batch)
        return builder.frame(include_partial=include_partial, fill=fill)

    if isinstance(frame, pl.DataFrame):
        return made([frame])
    CandleBuilder(
        every, on=on, hours=hours
    )  # what is wrong is raised now, not when it is collected
    needed = frame.select([name for name in fields(on) if name in schema])
    return _lazily(lambda: made(needed.collect_batches(maintain_order=True)), CANDLES)


def _lazily(make: Callable[[], pl.DataFrame], schema: pl.Schema) -> pl.LazyFrame:
    """Return a frame that is made when it is collected."""

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        made = make()
        made = made if predicate is None else made.filter(predicate)
        made = made if columns is None else made.select(columns)
        yield made if rows is None else made.head(rows)

    return register_io_source(source, schema=schema)


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
        check_clock(on)
        check_hours(hours)
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
        """Take bars that start before a moment as partial: ticks before it are missing."""
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
        """Append it, and join blocks of like size, so that there are never many."""
        while self._blocks and (
            self._blocks[-1].height <= block.height
            and self._blocks[-1].height + block.height <= _LARGEST_BLOCK
        ):
            block = pl.concat([self._blocks.pop(), block], rechunk=True)
        self._blocks.append(block)
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
            .explode("start")
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
