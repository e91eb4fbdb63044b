"""``kitepolars demo``: live ticks of a simulated exchange in the terminal. Main thread."""

from __future__ import annotations

import argparse
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from kitepolars import Instruments, Limits, Mode, Ticker
from kitepolars.cli.live_view import Meter, Moment, live_view, plain_line
from kitepolars.demonstration import WATCH_LIST
from kitepolars.process import ServerProcess
from kitepolars.sim import SimulatedKite

HELP: Final = "subscribe the instruments of a simulated exchange and show them live"

MOST_INSTRUMENTS: Final = Limits().connections * Limits().instruments_per_connection

REFRESH: Final = 0.25
"""Seconds between two refreshes."""

PLAIN_EVERY: Final = 4
"""Refreshes per line where the output is not a terminal."""

PICTURE_WIDTH: Final = 104
"""Columns of the picture that ``--svg`` writes."""

NEAREST_FUTURES: Final = (("NFO", "NIFTY"), ("MCX", "CRUDEOIL"), ("CDS", "USDINR"))
"""Futures on the watch list: exchange and underlying. Their symbols change every month."""

NAMES_WIDTH: Final = 22
"""The longest name of a column of ``frame()``."""

SHORT_TIMES: Final = pl.col(pl.Datetime("us", "Asia/Kolkata")).dt.strftime("%d %b %H:%M:%S")
"""Times as text, short enough to stand side by side."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``demo``."""
    parser.add_argument("--seconds", type=_positive, default=10.0, help="duration (default: 10)")
    parser.add_argument(
        "--instruments",
        type=_instruments,
        default=MOST_INSTRUMENTS,
        help=f"how many, 1 to {MOST_INSTRUMENTS} (default: {MOST_INSTRUMENTS})",
    )
    parser.add_argument(
        "--rate", type=_positive, default=1.0, help="ticks per second and instrument (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the market (default: 0)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save the last view as a picture")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo. The exit code is 0 only if every instrument ticked and nothing was lost."""
    console = Console()
    listed = SimulatedKite(seed=arguments.seed)  # not started: only its list of instruments is used
    instruments = Instruments.read_csv(listed.instruments.dump_csv())
    options = ("--rate", str(arguments.rate), "--seed", str(arguments.seed))
    with (
        ServerProcess("kitepolars.sim", *options) as exchange,
        Ticker("demo", "demo", url=exchange.url, instruments=instruments) as ticker,
    ):
        return _demonstrate(arguments, console, ticker, instruments)


def _demonstrate(
    arguments: argparse.Namespace, console: Console, ticker: Ticker, instruments: Instruments
) -> int:
    watched = watch_list(instruments)[: arguments.instruments]
    by_mode = choose(instruments, watched, arguments.instruments)
    tokens = [token for some in by_mode.values() for token in some]
    console.print(f"Subscribing to {len(tokens):,} of a simulated exchange's instruments")
    for mode, some in by_mode.items():
        ticker.subscribe(some, mode=mode)
    moment, interrupted = _watch(Meter(ticker, watched), console, seconds=arguments.seconds)
    if arguments.svg is not None:
        _save_picture(moment, arguments.svg, seconds=arguments.seconds)
    ticker.stop()  # the rows stay; the frames and the totals below are of one moment
    _show_results(console, ticker, watched, connections=len(moment.connections))
    found = problems(ticker, tokens)
    if found:
        console.print(f"Problems: {', '.join(found)}.", style="bold red", highlight=False)
    else:
        console.print("Every instrument ticked; nothing was rejected, dropped or missed.")
    if interrupted:
        raise KeyboardInterrupt  # only now, after the results: it decides the exit code
    return int(bool(found))


def watch_list(instruments: Instruments) -> list[int]:
    """Return the tokens of the instruments shown: well-known names and the nearest futures."""
    futures = instruments.frame.filter(instrument_type="FUT").sort("expiry")
    nearest = [
        f"{exchange}:{futures.filter(exchange=exchange, name=name)['tradingsymbol'][0]}"
        for exchange, name in NEAREST_FUTURES
    ]
    return instruments.tokens([*WATCH_LIST, *nearest])


def choose(instruments: Instruments, watched: Sequence[int], count: int) -> dict[Mode, list[int]]:
    """Choose instruments from the whole list, and a mode for each.

    The watched ones come first, in full mode; the others are spread evenly over the three modes.
    """
    listed = instruments.frame["instrument_token"]
    others = listed.filter(~listed.is_in(list(watched)))
    wanted = max(count - len(watched), 0)
    # Every n-th row, so that all exchanges and kinds of instruments are among them.
    chosen = others.gather([row * len(others) // wanted for row in range(wanted)]).to_list()
    # Full mode first: the first rows then have every column.
    by_mode = {
        Mode.FULL: [*watched[:count], *chosen[0::3]],
        Mode.QUOTE: chosen[1::3],
        Mode.LTP: chosen[2::3],
    }
    return {mode: tokens for mode, tokens in by_mode.items() if tokens}


def _watch(meter: Meter, console: Console, *, seconds: float) -> tuple[Moment, bool]:
    """Refresh until the time is over or Ctrl-C; return the last moment, and if it was Ctrl-C."""
    with _display(console, seconds) as show:
        moment = meter.read()
        try:
            while moment.elapsed < seconds:
                show(moment)
                time.sleep(min(REFRESH, seconds - moment.elapsed))
                moment = meter.read()
        except KeyboardInterrupt:
            return moment, True
        show(moment)
        return moment, False


@contextmanager
def _display(console: Console, seconds: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that shows a moment: a live picture in a terminal, else a line at times."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda moment: live.update(
                live_view(moment, seconds=seconds, width=console.width), refresh=True
            )
        return
    shown = 0

    def show(moment: Moment) -> None:
        nonlocal shown
        if shown % PLAIN_EVERY == 0:
            console.print(plain_line(moment), soft_wrap=True, highlight=False)
        shown += 1

    yield show


def _save_picture(moment: Moment, path: Path, *, seconds: float) -> None:
    """Write the view of a moment as an SVG file without references to fonts on other servers."""
    console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(live_view(moment, seconds=seconds, width=PICTURE_WIDTH))
    svg = console.export_svg(title="kitepolars demo")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), "utf-8")


def problems(ticker: Ticker, tokens: Sequence[int]) -> list[str]:
    """Return what went wrong, in words.

    Parameters
    ----------
    ticker
        The ticker that ran.
    tokens
        The instruments subscribed; each must have ticked.
    """
    stats = ticker.stats()
    ticked = ticker.frame()["instrument_token"].unique()
    counts = {
        "instruments without a tick": len(set(tokens) - set(ticked)),
        "reconnects": stats.reconnects,
        **stats.losses,
    }
    return [f"{count:,} {name}" for name, count in counts.items() if count]


def _show_results(
    console: Console, ticker: Ticker, watched: Sequence[int], *, connections: int
) -> None:
    """Print the first rows, the latest values of the watch list, and the totals."""
    frame, stats = ticker.frame(), ticker.stats()
    head = frame.head(3).with_columns(SHORT_TIMES)
    console.print(Rule(f"ticker.frame().head(3): shape {head.shape}", align="left"))
    # A line per column, so that all of them fit.
    console.print(_table(([name, *head[name]] for name in head.columns), headings=()))
    latest = latest_values(ticker.latest(), watched)
    console.print(Rule("ticker.latest()", align="left"))
    console.print(_table(latest.iter_rows(), headings=latest.columns))
    console.print(
        f"{stats.ticks:,} ticks in {stats.messages:,} messages "
        f"over {connections} connection{'s' * (connections != 1)}; "
        f"{frame.height:,} rows held in {frame.estimated_size() / 1e6:,.1f} MB.",
        highlight=False,
    )


def latest_values(latest: pl.DataFrame, watched: Sequence[int]) -> pl.DataFrame:
    """Return the rows of the watch list in its order, with the best bid and ask."""
    order = pl.DataFrame({"instrument_token": pl.Series(list(watched), dtype=pl.UInt32)})
    rows = order.join(latest, on="instrument_token", how="inner", maintain_order="left")
    return rows.select(
        "symbol",
        "last_price",
        pl.col("bid_price").arr.first(),
        pl.col("ask_price").arr.first(),
        "volume_traded",
        "oi",
    )


def _table(rows: Iterable[Iterable[object]], *, headings: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=bool(headings))
    for heading in headings or ("",):
        table.add_column(heading, no_wrap=True, min_width=NAMES_WIDTH if not headings else None)
    for row in rows:
        table.add_row(*(Text(_shown(value), no_wrap=True, overflow="ellipsis") for value in row))
    return table


def _shown(value: object) -> str:
    if isinstance(value, pl.Series):
        return f"{value[0]}, …"
    return "null" if value is None else str(value)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be greater than 0, not {text}")
    return number


def _instruments(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_INSTRUMENTS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_INSTRUMENTS}, not {text}")
    return number
