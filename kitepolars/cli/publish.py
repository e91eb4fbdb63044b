"""``kitepolars publish``: the closed segments of a recording → a table of days."""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Final

from kitepolars.days.manifest import Table
from kitepolars.days.publish import JournalPublisher, Published

HELP: Final = "publish a recording as Parquet files, a day a folder, each tick exactly once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``publish``."""
    parser.add_argument("recording", metavar="FOLDER", help="the recording")
    parser.add_argument(
        "--to", required=True, metavar="TABLE", help="the table: a folder, or an s3:// URL"
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="keep publishing until Ctrl-C, while a recorder writes",
    )
    parser.add_argument(
        "--accept-overlap",
        action="store_true",
        help="publish although the clock was set back between two recorders",
    )


def run(arguments: argparse.Namespace) -> int:
    """Publish."""
    table = Table(arguments.to)
    publisher = JournalPublisher(
        arguments.recording, table, accept_overlap=arguments.accept_overlap
    )
    if not arguments.follow:
        _report(publisher.publish(), arguments.to)
        return 0
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    for added in publisher.follow(stopping.wait):
        if added.files:
            _report(added, arguments.to)
    return 0


def _report(added: Published, where: str) -> None:
    print(f"{added.rows:,} ticks in {added.files:,} new files are in {where}", flush=True)
