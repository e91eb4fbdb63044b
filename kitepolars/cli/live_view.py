"""What ``kitepolars demo`` shows in the terminal at one moment. Main thread.

`Meter` reads the ticker, and the functions below it draw what it read with `rich`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kitepolars import Stats, Ticker
from kitepolars.health import TONE_OF_STATE, Health, Rates, Sample, judge

WINDOW: Final = 2.0
"""Seconds over which rates are averaged."""

TREND: Final = 24
"""Refreshes that a trend shows."""

BARS: Final = "▁▂▃▄▅▆▇█"
UP, DOWN, QUIET = "green", "red", "bright_black"
STYLE_OF_TONE: Final = {"good": "green", "warn": "yellow", "bad": "bold red", "idle": QUIET}
NUMBERS_WIDTH: Final = 80
"""Columns that the watch list needs without its trends."""
SUMMARY_BARS: Final = 12
ABSENT: Final = Text("·", style=QUIET)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A ticker at one refresh.

    Parameters
    ----------
    elapsed
        Seconds since the meter was made.
    stats, health, rates
        The counters, the verdict on them, and their growth per second.
    connections
        The rows of ``connections()``.
    quotes
        The rows of ``latest()`` for the watch list, each with its latest prices as ``trend``.
    held_bytes
        Size of the rows held.
    ticks_trend
        Ticks per second at the latest refreshes.
    """

    elapsed: float
    stats: Stats
    health: Health
    rates: Rates
    connections: Sequence[Mapping[str, Any]]
    quotes: Sequence[Mapping[str, Any]]
    held_bytes: int
    ticks_trend: Sequence[float]


class Meter:
    """Reads a running ticker, one `Moment` per refresh.

    Parameters
    ----------
    ticker
        The ticker.
    watched
        The instrument tokens of the watch list, in the order shown.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        ticker: Ticker,
        watched: Sequence[int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ticker = ticker
        self._clock = clock
        self._started = clock()
        self._watched = pl.DataFrame({"instrument_token": pl.Series(watched, dtype=pl.UInt32)})
        self._prices: dict[int, deque[float]] = {token: deque(maxlen=TREND) for token in watched}
        self._samples: deque[Sample] = deque()
        self._ticks_trend: deque[float] = deque(maxlen=TREND)

    def read(self) -> Moment:
        """Read the ticker now."""
        now, stats, connections = self._clock(), self._ticker.stats(), self._ticker.connections()
        self._samples.append(Sample.read(now, stats.ticks, connections))
        # The oldest one kept is the last that is at least a window old.
        while len(self._samples) > 1 and now - self._samples[1].at >= WINDOW:
            self._samples.popleft()
        rates = Rates.between(self._samples[0], self._samples[-1])
        self._ticks_trend.append(rates.ticks)
        return Moment(
            elapsed=now - self._started,
            stats=stats,
            health=judge(
                connections,
                self._ticker.gaps(),
                running=self._ticker.is_running,
                now=time.time(),
                rejected=stats.rejected_packets + stats.rejected_messages,
                dropped=stats.dropped,
                memory=stats.history.warning,
            ),
            rates=rates,
            connections=connections.to_dicts(),
            quotes=[self._quote(row) for row in self._latest().iter_rows(named=True)],
            held_bytes=int(self._ticker.frame().estimated_size()),
            ticks_trend=tuple(self._ticks_trend),
        )

    def _latest(self) -> pl.DataFrame:
        return self._watched.join(
            self._ticker.latest(), on="instrument_token", how="inner", maintain_order="left"
        )

    def _quote(self, row: dict[str, Any]) -> dict[str, Any]:
        prices = self._prices[row["instrument_token"]]
        prices.append(row["last_price"])
        return {**row, "trend": tuple(prices)}


def plain_line(moment: Moment) -> str:
    """Return a moment as one line of text, for output that is not a terminal."""
    return (
        f"{moment.elapsed:5.1f} s  {moment.stats.connected} connections  "
        f"{moment.stats.ticks:>9,} ticks  {moment.rates.ticks:>8,.0f} ticks/s  "
        f"{sum(moment.rates.messages.values()):>6,.0f} messages/s  "
        f"{moment.stats.rows:>9,} rows held  {sum(moment.stats.losses.values())} lost"
    )


def live_view(moment: Moment, *, seconds: float, width: int) -> RenderableType:
    """Draw a moment.

    Parameters
    ----------
    moment
        What to draw.
    seconds
        The duration of the demo, for the progress bar.
    width
        Columns of the terminal. Trends take whatever the numbers leave.
    """
    return Panel(
        Group(
            _summary(moment, seconds),
            _side_by_side(_connections(moment), _health(moment)),
            _watch_list(moment.quotes, bars=max(width - NUMBERS_WIDTH, 0)),
        ),
        title=Text("kitepolars demo", style="bold"),
        title_align="left",
        border_style="blue",
        padding=(0, 1),
    )


def sparkline(values: Sequence[float], *, low: float | None = None) -> str:
    """Return values as bars, scaled from the lowest of them (or `low`) to the highest.

    Examples
    --------
    >>> sparkline([1, 2, 4, 8])
    '▁▂▄█'
    >>> sparkline([7, 8, 8], low=0)
    '▇██'
    >>> sparkline([5, 5])
    '▄▄'
    """
    bottom = min(values, default=0.0) if low is None else low
    top = max(values, default=0.0)
    if top == bottom:
        return BARS[3] * len(values)
    scale = (len(BARS) - 1) / (top - bottom)
    return "".join(BARS[round((value - bottom) * scale)] for value in values)


def _summary(moment: Moment, seconds: float) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column()
    grid.add_column(justify="right")
    rates = Text.assemble(
        (f"{moment.rates.ticks:,.0f}", "bold"),
        " ticks/s ",
        (sparkline(moment.ticks_trend[-SUMMARY_BARS:], low=0), "cyan"),
        (f"  {moment.stats.ticks:,} ticks", QUIET),
    )
    bar = ProgressBar(
        total=seconds,
        completed=min(moment.elapsed, seconds),
        width=16,
        complete_style="blue",
        finished_style="blue",
    )
    grid.add_row(rates, bar, Text(f"{moment.elapsed:.0f} of {seconds:.0f} s", style=QUIET))
    return grid


def _side_by_side(left: RenderableType, right: RenderableType) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=3)
    grid.add_column(ratio=2)
    grid.add_row(left, right)
    return grid


def _table(title: str, style: str = "bold blue") -> Table:
    return Table(
        title=Text(title, style=style),
        title_justify="left",
        box=None,
        expand=True,
        padding=(0, 1, 0, 0),
        header_style=QUIET,
    )


def _connections(moment: Moment) -> Table:
    table = _table("Connections")
    table.add_column("#")
    table.add_column("state")
    for name in ("instruments", "messages/s", "kB/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in moment.connections:
        index = row["connection"]
        table.add_row(
            str(index),
            Text(f"● {row['state']}", style=STYLE_OF_TONE[TONE_OF_STATE[row["state"]]]),
            f"{row['instruments']:,}",
            f"{moment.rates.messages[index]:,.0f}",
            f"{moment.rates.bytes[index] / 1e3:,.0f}",
        )
    return table


def _health(moment: Moment) -> Table:
    health, losses = moment.health, moment.stats.losses
    table = _table(f"{health.word}: {health.why}", STYLE_OF_TONE[health.tone])
    table.show_header = False
    table.add_column(style=QUIET)
    table.add_column(justify="right", no_wrap=True)
    for name, count in losses.items():
        table.add_row(name, Text(f"{count:,}", style="bold red" if count else UP))
    table.add_row("memory held", f"{moment.held_bytes / 1e6:,.1f} MB")
    return table


def _watch_list(quotes: Sequence[Mapping[str, Any]], *, bars: int) -> Table:
    table = _table("Watch list")
    table.add_column("instrument", no_wrap=True)
    for name in ("last", "change", "bid", "ask", "volume"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("trend" if bars else "", no_wrap=True)
    for quote in quotes:
        trend, volume = quote["trend"], quote["volume_traded"]
        table.add_row(
            Text(quote["symbol"] or str(quote["instrument_token"])),
            _last_price(trend),
            _change(quote["last_price"], quote["close"]),
            _best(quote["bid_price"]),
            _best(quote["ask_price"]),
            ABSENT if volume is None else Text(f"{volume:,}"),
            Text(sparkline(trend[-bars:]), style=_tint(trend[-1] - trend[-bars:][0]))
            if bars
            else "",
        )
    return table


def _last_price(trend: Sequence[float]) -> Text:
    move = trend[-1] - trend[-2] if len(trend) > 1 else 0.0
    return Text(_rupees(trend[-1]), style=f"bold {_tint(move)}" if move else "bold")


def _change(last_price: float, close: float | None) -> Text:
    if not close:
        return ABSENT
    percent = 100 * (last_price - close) / close
    return Text(f"{percent:+.2f} %", style=_tint(percent))


def _best(prices: Sequence[float] | None) -> Text:
    return Text(_rupees(prices[0])) if prices else ABSENT


def _rupees(price: float) -> str:
    # Currencies are quoted in steps of a quarter paisa.
    return f"{price:,.2f}" if round(price, 2) == price else f"{price:,.4f}"


def _tint(move: float) -> str:
    return UP if move > 0 else DOWN if move < 0 else QUIET
