"""``kitepolars demo``: the main job, live in the terminal, without an account. Main thread."""

from __future__ import annotations

import argparse
import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from kitepolars import Instruments, Limits, Ticker
from kitepolars.cli.live_view import live_view, plain_line
from kitepolars.cli.meter import Meter, Moment
from kitepolars.cli.results import problems, show_results, show_verdict
from kitepolars.cli.selection import by_mode, choose, watch_list
from kitepolars.process import ServerProcess
from kitepolars.sim import SimulatedKite

HELP: Final = "subscribe the instruments of a simulated exchange and show them live"

MOST_INSTRUMENTS: Final = Limits().connections * Limits().instruments_per_connection
REFRESH: Final = 0.25
"""Seconds between two pictures."""
PLAIN_EVERY: Final = 4
"""Where there is no terminal, one picture in so many becomes a line."""
PICTURE_WIDTH: Final = 104


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How the watching went: the last moment, and whether Ctrl-C ended it."""

    moment: Moment
    interrupted: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``demo``."""
    parser.add_argument("--seconds", type=_positive, default=10.0, help="how long (default: 10)")
    parser.add_argument(
        "--instruments",
        type=_instruments,
        default=MOST_INSTRUMENTS,
        help=f"how many, 1 to {MOST_INSTRUMENTS} (default: {MOST_INSTRUMENTS})",
    )
    parser.add_argument(
        "--rate", type=_positive, default=1.0, help="ticks per instrument and second (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the market (default: 0)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save the last view as a picture")


def run(arguments: argparse.Namespace) -> int:
    """Run it. The exit code is 0 only if every instrument ticked and nothing was lost."""
    console = Console()
    market = SimulatedKite(seed=arguments.seed)  # never started: it is asked for its instruments
    instruments = Instruments.read_csv(market.instruments.dump_csv())
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
    tokens = choose(instruments, watched, arguments.instruments)
    console.print(f"Subscribing to {len(tokens):,} of a simulated exchange's instruments")
    for mode, some in by_mode(watched, tokens[len(watched) :]).items():
        ticker.subscribe(some, mode=mode)
    ending = watch(Meter(ticker, watched), console, seconds=arguments.seconds)
    if arguments.svg is not None:
        save_picture(ending.moment, arguments.svg, seconds=arguments.seconds)
    ticker.stop()  # what was received stays; totals and frames are now of one moment
    show_results(console, ticker, watched, connections=len(ending.moment.connections))
    wrong = problems(ticker, tokens)
    show_verdict(console, wrong)
    if ending.interrupted:
        raise KeyboardInterrupt  # after the results; the exit code says so
    return int(bool(wrong))


def watch(meter: Meter, console: Console, *, seconds: float) -> Watched:
    """Show moment after moment until the time is over or Ctrl-C comes."""
    with _picture(console, seconds) as show:
        moment = meter.read()
        try:
            while moment.elapsed < seconds:
                show(moment)
                time.sleep(min(REFRESH, seconds - moment.elapsed))
                moment = meter.read()
        except KeyboardInterrupt:
            return Watched(moment=moment, interrupted=True)
        show(moment)
        return Watched(moment=moment, interrupted=False)


@contextmanager
def _picture(console: Console, seconds: float) -> Iterator[Callable[[Moment], None]]:
    """Yield what shows a moment: a live picture in a terminal, else now and then a line."""
    if not console.is_terminal:
        yield _line_printer(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda moment: live.update(
            live_view(moment, seconds=seconds, width=console.width), refresh=True
        )


def _line_printer(console: Console) -> Callable[[Moment], None]:
    seen = 0

    def show(moment: Moment) -> None:
        nonlocal seen
        if seen % PLAIN_EVERY == 0:
            console.print(plain_line(moment), soft_wrap=True, highlight=False)
        seen += 1

    return show


def save_picture(moment: Moment, path: Path, *, seconds: float) -> None:
    """Write the view of a moment as an SVG file that loads nothing from elsewhere."""
    console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(live_view(moment, seconds=seconds, width=PICTURE_WIDTH))
    svg = console.export_svg(title="kitepolars demo")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), "utf-8")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def _instruments(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_INSTRUMENTS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_INSTRUMENTS}, not {text}")
    return number
