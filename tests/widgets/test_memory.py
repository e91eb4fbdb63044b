"""Resident memory over twenty runs of the same cells: it stays where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

ROUNDS: Final = 20
SETTLED: Final = 5
"""Rounds after which the allocators hold the memory that they reuse."""
ALLOWED: Final = 60.0
"""Megabytes that memory may grow by from then on; one kept ticker a round was 35 a round."""

CELLS: Final = """
import gc, json
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
cells = [
    "import kitepolars as kp; ticker = kp.demo(rate=20)",
    "ticker.wait(rows=200, timeout=60)",
    "table, chart = ticker.watch(), ticker.chart('NSE:INFY'); ticker.on_batch(print.__class__)",
    "board = ticker.dashboard('NSE:INFY')",
    "[each.close() for each in (table, chart, board)]",
    "del table, chart, board",
]
resident = []
for _ in range(%d):
    for cell in cells:
        shell.run_cell(cell, silent=True).raise_error()
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident.append(pages * 4096 / 1e6)
shell.run_cell("ticker.stop()")
print(json.dumps(resident))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_twenty_rounds() -> None:
    command = [sys.executable, "-W", "error", "-c", CELLS % ROUNDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    resident = json.loads(done.stdout.splitlines()[-1])
    print("MB after each round:", *map(round, resident))  # noqa: T201 - the figures, with -s
    assert max(resident[SETTLED:]) - resident[SETTLED - 1] < ALLOWED, resident
