"""Publishing and tidying are killed again and again: no row is lost, none is there twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import polars as pl
from polars.testing import assert_frame_equal

from days.market import DAY
from kitepolars.days.manifest import Table
from kitepolars.days.selection import TickSelection
from patience import PATIENCE

CHILD: Final = """
import datetime as dt, os, signal, sys
from kitepolars.days import pieces, publish, tidy
from kitepolars.days.manifest import Table

journal, folder, action, moment = sys.argv[1:]
pieces.FILE_ROWS, tidy.MERGE_ROWS = 30, 50
table = Table(folder)
left = int(moment)

def die(event, arguments):
    # every file that is opened, renamed, listed, linked or removed is a moment to die at
    global left
    if event == "open" or event.startswith(("os.", "fcntl.")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
if action == "publish":
    publish.JournalPublisher(journal, table).publish()
else:
    tidy.tidy(table, today=dt.date(2026, 11, 21), grace=0)
print(int(moment) - left)
"""
KILLS: Final = int(os.environ.get("DAYS_KILLS", "5"))
"""``DAYS_KILLS=40 make test ARGS=tests/days/test_kills.py`` is the long form."""

KEYS: Final = ["sequence", "instrument_token", "received_at"]


def run(journal: Path, table: Path, action: str, moment: int = 0) -> int | None:
    """Return how many moments there were; None where it was killed at one."""
    finished = subprocess.run(
        [sys.executable, "-c", CHILD, str(journal), str(table), action, str(moment)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if finished.returncode == -signal.SIGKILL:
        return None
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout)


def beside(folder: Path, kind: str) -> pl.DataFrame:
    manifest = Table(folder).manifest(DAY)
    assert manifest is not None
    [file] = manifest.beside[kind].values()
    return Table(folder).read(file)


def content(folder: Path) -> pl.DataFrame:
    table = Table(folder)
    manifest = table.manifest(DAY)
    return (
        TickSelection(table=table, days=[] if manifest is None else [manifest])
        .ticks()
        .collect()
        .sort(KEYS)
    )


def test_whatever_is_killed_when_each_tick_is_there_once(
    journal: Path, ticks: pl.DataFrame, tmp_path: Path
) -> None:
    moments = {}
    for action in ("publish", "tidy"):
        moments[action] = run(journal, tmp_path / "days", action) or 0
        assert moments[action] > 50
    whole = content(tmp_path / "days")
    assert whole.height == ticks.height
    choose, killed, number = random.Random(KILLS), 0, 0
    while killed < KILLS:
        table = tmp_path / f"days{number // 4}"
        action = choose.choice(["publish", "publish", "tidy"])
        killed += run(journal, table, action, choose.randint(1, moments[action])) is None
        found = content(table)
        assert found.n_unique(KEYS) == found.height  # none twice
        assert_frame_equal(found, whole.head(found.height))  # a beginning, without a hole
        number += 1
        if number % 4 == 0:
            for action in ("publish", "tidy"):
                run(journal, table, action)
            assert_frame_equal(content(table), whole)
            for kind in ("last", "symbols", "gaps", "orders"):
                assert_frame_equal(beside(table, kind), beside(tmp_path / "days", kind))
    print(f"{killed} of {number} processes were killed")  # noqa: T201 - shown with -s
