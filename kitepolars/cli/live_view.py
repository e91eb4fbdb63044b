"""Draws a `Moment` for the terminal, as `rich` renderables or as one plain line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kitepolars.cli.meter import ConnectionMoment, Moment, Quote

BARS: Final = "▁▂▃▄▅▆▇█"
UP: Final = "green"
DOWN: Final = "red"
QUIET: Final = "bright_black"
NUMBERS_WIDTH: Final = 80
"""Columns that the watch list takes without its trends."""
SUMMARY_BARS: Final = 12
ABSENT: Final = Text("·", style=QUIET)
STATE_STYLES: Final = {"open": "green", "connecting": "yellow", "waiting": "yellow", "idle": QUIET}
"""How a connection's state is shown; every other state is bad news."""


def plain_line(moment: Moment) -> str:
    """Return a moment as one line, for where there is no terminal."""
    return (
        f"{moment.elapsed:5.1f} s  {moment.stats.connected} connections  "
        f"{moment.stats.ticks:>9,} ticks  {moment.ticks_per_second:>8,.0f} ticks/s  "
        f"{moment.messages_per_second:>6,.0f} messages/s  {moment.rows:>9,} rows held  "
        f"{moment.lost} lost"
    )


def live_view(moment: Moment, *, seconds: float, width: int) -> RenderableType:
    """Return a moment as the whole picture.

    Parameters
    ----------
    moment
        What is shown.
    seconds
        How long it will go on, for the progress bar.
    width
        Columns of the terminal. Trends take what the numbers leave.
    """
    return Panel(
        Group(
            _summary(moment, seconds),
            _side_by_side(_connections(moment.connections), _losses(moment)),
            _watch_list(moment.quotes, bars=max(width - NUMBERS_WIDTH, 0)),
        ),
        title=Text("kitepolars demo", style="bold"),
        title_align="left",
        border_style="blue",
        padding=(0, 1),
    )


def sparkline(values: Sequence[float], *, low: float | None = None) -> str:
    """Return values as bars, from the lowest of them (or `low`) to the highest.

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
        (f"{moment.ticks_per_second:,.0f}", "bold"),
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


def _connections(connections: Sequence[ConnectionMoment]) -> Table:
    table = _table("Connections")
    table.add_column("#")
    table.add_column("state")
    for name in ("instruments", "messages/s", "ticks/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for connection in connections:
        table.add_row(
            str(connection.index),
            Text(f"● {connection.state}", style=STATE_STYLES.get(connection.state, "bold red")),
            f"{connection.instruments:,}",
            f"{connection.messages_per_second:,.0f}",
            f"{connection.ticks_per_second:,.0f}",
        )
    return table


def _losses(moment: Moment) -> Table:
    stats = moment.stats
    table = _table("Nothing lost", style="bold green") if moment.lost == 0 else _table("Losses")
    table.show_header = False
    table.add_column(style=QUIET)
    table.add_column(justify="right", no_wrap=True)
    counts = {
        "rejected": stats.rejected_packets + stats.rejected_messages,
        "dropped": stats.dropped,
        "gaps": moment.gaps,
    }
    for name, count in counts.items():
        table.add_row(name, Text(f"{count:,}", style="bold red" if count else UP))
    table.add_row("memory held", f"{moment.held_bytes / 1e6:,.1f} MB")
    return table


def _watch_list(quotes: Sequence[Quote], *, bars: int) -> Table:
    table = _table("Watch list")
    table.add_column("instrument", no_wrap=True)
    for name in ("last", "change", "bid", "ask", "volume"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("trend" if bars else "", no_wrap=True)
    for quote in quotes:
        table.add_row(
            Text(quote.symbol),
            _last_price(quote),
            _change(quote.change_percent),
            _price(quote.bid),
            _price(quote.ask),
            ABSENT if quote.volume is None else Text(f"{quote.volume:,}"),
            _trend(quote.trend[-bars:] if bars else ()),
        )
    return table


def _last_price(quote: Quote) -> Text:
    move = quote.last_price - quote.previous_price
    style = f"bold {_tint(move)}" if move else "bold"
    return Text(_rupees(quote.last_price), style=style)


def _trend(prices: Sequence[float]) -> Text:
    return Text(sparkline(prices), style=_tint(prices[-1] - prices[0]) if prices else "")


def _price(price: float | None) -> Text:
    return ABSENT if price is None else Text(_rupees(price))


def _rupees(price: float) -> str:
    # Currencies are quoted to a hundredth of a paisa.
    return f"{price:,.2f}" if round(price, 2) == price else f"{price:,.4f}"


def _change(percent: float | None) -> Text:
    if percent is None:
        return ABSENT
    return Text(f"{percent:+.2f} %", style=_tint(percent))


def _tint(move: float) -> str:
    return UP if move > 0 else DOWN if move < 0 else QUIET
