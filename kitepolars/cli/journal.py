"""``kitepolars journal``: shows, verifies, exports and repairs recordings."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kitepolars.calendar import in_india
from kitepolars.journal.format import TORN
from kitepolars.journal.reader import Verdict, between, verify
from kitepolars.journal.repair import repair
from kitepolars.journal.segments import SegmentFile
from kitepolars.recordings.export import FORMATS, export

HELP: Final = "show, verify, export or repair a recording"

_RIGHT: Final = ("records", "segments", "on disk")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``journal``."""
    commands = parser.add_subparsers(dest="action", metavar="action", required=True)
    for name, (action, text) in ACTIONS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(do=action)
        command.add_argument(
            "path", type=Path, help="a recording's folder, a day's folder in it, or a segment"
        )
        if action is _export:
            command.add_argument("out", type=Path, help=f"the file: {' or '.join(FORMATS)}")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    code: int = arguments.do(arguments, Console())
    return code


def _info(arguments: argparse.Namespace, console: Console) -> int:
    table = Table(box=None, header_style="bright_black")
    for name in ("day", "from", "to", *_RIGHT):
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=True)
    for day, some in groupby(between(arguments.path), key=lambda one: one.path.parent.name):
        table.add_row(day, *_summary(list(some)))
    console.print(table)
    return 0


def _summary(day: Sequence[SegmentFile]) -> tuple[str, ...]:
    """Describe the segments of a day; only the last one is read."""
    header = day[0].header()
    entries = deque(day[-1].read(), maxlen=1)
    last = entries[-1] if entries else None
    return (
        "damaged" if header is None else _clock(header.at),
        "none" if last is None else _clock(last.at),
        f"{0 if last is None else last.sequence + 1 - day[0].sequence:,}",
        f"{len(day):,}",
        decimal(sum(segment.size for segment in day)),
    )


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    found = between(arguments.path)
    verdicts = [verify(segment) for segment in _progress(found, "verifying", console)]
    wrong = _report(verdicts, console)
    records = sum(verdict.records for verdict in verdicts)
    console.print(
        f"{records:,} records in {len(found):,} segments are intact; {wrong:,} places are damaged"
    )
    return int(bool(wrong))


def _report(verdicts: Sequence[Verdict], console: Console) -> int:
    """Print what is wrong, and count it."""
    wrong = 0
    expected: int | None = None
    for verdict in verdicts:
        path = verdict.segment.path
        for damage in verdict.damages:
            is_growing = verdict is verdicts[-1] and damage.reason == TORN
            wrong += not is_growing
            note = " (a recorder may be writing it)" if is_growing else ""
            console.print(Text(f"{path}: {damage}{note}"), soft_wrap=True)
        if verdict.unreadable:
            console.print(Text(f"{path}: {verdict.unreadable:,} records of unknown content"))
        if expected is not None and verdict.first is not None and verdict.first != expected:
            console.print(
                Text(f"{path}: {verdict.first - expected:,} records before it are missing")
            )
        expected = expected if verdict.last is None else verdict.last + 1
    return wrong


def _repair(arguments: argparse.Namespace, console: Console) -> int:
    for segment in _progress(between(arguments.path), "repairing", console):
        for damage in repair(segment):
            console.print(Text(f"{segment.path}: taken out: {damage}"), soft_wrap=True)
    return 0


def _export(arguments: argparse.Namespace, console: Console) -> int:
    out: Path = arguments.out
    with console.status(f"writing {out}"):
        export(arguments.path, out)
    console.print(f"{out}: {decimal(out.stat().st_size)}")
    return 0


def _progress(found: Sequence[SegmentFile], what: str, console: Console) -> Iterator[SegmentFile]:
    """Yield segments, with a bar of the bytes that are done."""
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=sum(segment.size for segment in found))
        for segment in found:
            size = segment.size
            yield segment
            progress.advance(task, size)


def _clock(at: int) -> str:
    return in_india(at).strftime("%H:%M:%S")


Action = Callable[[argparse.Namespace, Console], int]

ACTIONS: Final[Mapping[str, tuple[Action, str]]] = {
    "info": (_info, "show the days of a recording"),
    "verify": (_verify, "check every record, and locate damage"),
    "export": (_export, "write the ticks of a recording as Parquet or CSV"),
    "repair": (_repair, "remove damaged bytes from a recording; the originals are kept"),
}
"""Action → what does it, and its help."""
