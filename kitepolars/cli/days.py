"""``kitepolars days``: what is in a table of recorded days, and putting it in order."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table as Grid
from rich.text import Text

from kitepolars.calendar import in_india
from kitepolars.days.manifest import Manifest, Table
from kitepolars.days.register import copy_to_delta, register_delta
from kitepolars.days.scan import manifests
from kitepolars.days.tidy import FILE_GRACE, KEEP_BOTH, tidy
from kitepolars.days.verify import delete_published, faults
from kitepolars.errors import ConfigError

HELP: Final = "show, tidy, verify and export a table of recorded days"

_NUMBERS: Final = ("ticks", "instruments", "gaps", "size", "B/tick")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``days`` and their options."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    for name, (action, text) in DAY_ACTIONS.items():
        command = actions.add_parser(name, help=text, description=text)
        command.set_defaults(do=action)
        command.add_argument("table", help="the table: a folder, or an s3:// URL")
        if action is _tidy:
            command.add_argument(
                "--keep-both",
                type=int,
                default=KEEP_BOTH,
                metavar="DAYS",
                help="of the last days, keep a second copy by time, at twice the bytes "
                f"(default: {KEEP_BOTH})",
            )
            command.add_argument(
                "--grace",
                type=float,
                default=FILE_GRACE,
                metavar="SECONDS",
                help=f"keep replaced files so long for readers (default: {FILE_GRACE:.0f})",
            )
        if action is _register:
            command.add_argument(
                "--copy-to",
                metavar="FOLDER",
                help="copy the ticks into a new Delta table there, whose files have the log's "
                "dtypes: for Polars' scan_delta, and others that do not convert",
            )
        if action is _delete:
            command.add_argument(
                "--recording", required=True, metavar="FOLDER", help="whose segments to delete"
            )


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    code: int = arguments.do(Table(arguments.table), arguments, Console())
    return code


def _info(table: Table, _: argparse.Namespace, console: Console) -> int:
    grid = Grid(box=None, header_style="bright_black")
    for name in ("day", *_NUMBERS, "until", "order"):
        grid.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for manifest in manifests(table):
        grid.add_row(*_summary(table, manifest))
    console.print(grid)
    return 0


def _summary(table: Table, manifest: Manifest) -> tuple[str, ...]:
    """Describe a day; of the files, only the last ticks are read."""
    beside = manifest.beside
    last = [table.read(file)["instrument_token"] for file in beside.get("last", {}).values()]
    instruments = len({token for tokens in last for token in tokens})
    gaps = sum(file.rows for file in beside.get("gaps", {}).values())
    once = sum(file.bytes for file in manifest.files())
    size = once + sum(file.bytes for file in manifest.by_time)
    until = max((one.until for one in manifest.progress.values()), default=0)
    order = "published" if manifest.published else "instrument"
    return (
        manifest.day,
        f"{manifest.rows:,}",
        f"{instruments:,}",
        f"{gaps:,}",
        decimal(size),
        f"{once / max(1, manifest.rows):.1f}",
        in_india(until).strftime("%H:%M:%S"),
        "both" if manifest.by_time else order,
    )


def _tidy(table: Table, arguments: argparse.Namespace, console: Console) -> int:
    if arguments.keep_both < 0:
        raise ConfigError("keep_both", arguments.keep_both, "a number of days, 0 for none")
    with console.status("tidying"):
        done = tidy(table, keep_both=arguments.keep_both, grace=arguments.grace)
    console.print(
        f"{done.days:,} days with {done.rows:,} ticks are in their final order; "
        f"{done.removed:,} files ({decimal(done.freed)}) were removed"
    )
    return 0


def _verify(table: Table, _: argparse.Namespace, console: Console) -> int:
    found = [
        fault
        for manifest in manifests(table)
        for fault in faults(table, dt.date.fromisoformat(manifest.day))
    ]
    for fault in found:
        console.print(Text(fault), soft_wrap=True)
    console.print(f"{len(found):,} files are damaged" if found else "every page is intact")
    return int(bool(found))


def _register(table: Table, arguments: argparse.Namespace, console: Console) -> int:
    if arguments.copy_to is not None:
        rows = copy_to_delta(table, arguments.copy_to)
        console.print(f"{arguments.copy_to}: a Delta table of {rows:,} ticks")
        return 0
    added, removed = register_delta(table)
    console.print(
        f"{table.path}: a Delta table; {added:,} files were added to its log, {removed:,} removed"
    )
    return 0


def _delete(table: Table, arguments: argparse.Namespace, console: Console) -> int:
    with console.status("reading back what is published"):
        deleted = delete_published(arguments.recording, table)
    console.print(f"{len(deleted):,} segments were deleted")
    return 0


DayAction = Callable[[Table, argparse.Namespace, Console], int]

DAY_ACTIONS: Final[Mapping[str, tuple[DayAction, str]]] = {
    "info": (_info, "show the days of a table"),
    "tidy": (_tidy, "put days that are over in their final order, and remove old files"),
    "verify": (_verify, "read every file, and say which is damaged"),
    "register": (
        _register,
        (
            "make the table's own files a Delta table, for engines that read one; do it again "
            "after publishing or tidying. Delta has no unsigned integers, arrays, categories and "
            "time zones: its readers get wider integers, lists, text and UTC. Polars' scan_delta "
            "converts nothing, and so refuses such columns: it needs --copy-to"
        ),
    ),
    "delete-published": (
        _delete,
        "delete the segments of a recording that are published, after reading both and counting",
    ),
}
"""Action → what does it, and its help."""
