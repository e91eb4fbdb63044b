"""What ``import kitepolars`` takes, against what it stands on. Interpreters of their own."""

from __future__ import annotations

import subprocess
import sys

import harness

OURS = "import kitepolars"
THEIRS = "import polars, numpy, websockets"
TIMED = "import time; begin = time.perf_counter(); {}; print(time.perf_counter() - begin)"


def measure(results: harness.Results) -> None:
    """Time both in turn, without the interpreter's own start."""
    times: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for number in range((3 if results.quick else 15) + 1):
        for statement, taken in times.items():
            seconds = _seconds(statement)
            if number:  # the first one reads the files
                taken.append(seconds)
    ours, theirs = min(times[OURS]), min(times[THEIRS])
    results.add(
        f"Import: `{OURS}`",
        ours / theirs,
        against=f"`{THEIRS}`",
        target=harness.at_most(1.3),
        note=f"{1e3 * ours:.0f} ms against {1e3 * theirs:.0f} ms, best of {len(times[OURS])}",
    )


def _seconds(statement: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    harness.main("import", measure, __doc__)
