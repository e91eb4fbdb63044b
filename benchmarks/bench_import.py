"""Compares the time of ``import kitepolars`` with that of its dependencies, in new interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

OURS = "import kitepolars"
WITH_TICKER = "from kitepolars import Ticker"
THEIRS = "import polars, numpy, websockets"
TIMED = "import time; begin = time.perf_counter(); {}; print(time.perf_counter() - begin)"


def measure(results: harness.Results) -> None:
    """Time all in turn, without the start of the interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(results, Path(folder))


def _measure(results: harness.Results, cache: Path) -> None:
    times: dict[str, list[float]] = {OURS: [], WITH_TICKER: [], THEIRS: []}
    for number in range((3 if results.quick else 15) + 1):
        for statement, taken in times.items():
            seconds = _seconds(statement, cache)
            if number:  # the first one compiles
                taken.append(seconds)
    best = {statement: min(taken) for statement, taken in times.items()}
    for statement, target in ((OURS, harness.at_most(1.3)), (WITH_TICKER, None)):
        results.add(
            f"Import: `{statement}`",
            best[statement] / best[THEIRS],
            against=f"`{THEIRS}`",
            target=target,
            note=f"{1e3 * best[statement]:.0f} ms against {1e3 * best[THEIRS]:.0f} ms, "
            f"best of {len(times[statement])}",
        )


def _seconds(statement: str, cache: Path) -> float:
    """Time one import from byte-compiled files.

    They are in a folder of their own, because some environments do not let Python write them, and
    then only the packages compiled by pip would have them.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", TIMED.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


if __name__ == "__main__":
    harness.main("import", measure, __doc__)
