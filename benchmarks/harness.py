"""Shared by all benchmarks: arguments, description of the machine, results and their files.

Each benchmark is a script that writes ``artifacts/bench/<subject>.json``; `report` renders them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import psutil

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "artifacts" / "bench"
PACKAGES: Final = ("kitepolars", "polars", "numpy", "websockets", "kiteconnect")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a figure.

    Parameters
    ----------
    value
        The bound.
    kind
        Whether the figure must be at least or at most the bound.
    """

    value: float
    kind: Literal["at least", "at most"]

    def verdict(self, measured: float) -> str:
        """Return whether it is met, or by how much it is missed."""
        if measured >= self.value if self.kind == "at least" else measured <= self.value:
            return "met"
        miss = abs(measured - self.value) / self.value
        return f"short by {miss:.0%}" if self.kind == "at least" else f"over by {miss:.0%}"


def at_least(value: float) -> Target:
    """Return a lower bound."""
    return Target(value=value, kind="at least")


def at_most(value: float) -> Target:
    """Return an upper bound."""
    return Target(value=value, kind="at most")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the report's table.

    Parameters
    ----------
    what
        What was measured.
    against
        What it is compared with; empty for an absolute figure.
    measured
        The figure.
    form
        Format of the figure and its target, for `str.format`.
    target
        The target, if any.
    note
        Absolute figures and circumstances.
    """

    what: str
    against: str
    measured: float
    form: str = "{:,.2f}×"
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty without a target."""
        return self.target.verdict(self.measured) if self.target else ""

    def __str__(self) -> str:
        """Return the finding in one line."""
        against = f" against {self.against}" if self.against else ""
        target = ""
        if self.target:
            target = f" ({self.target.kind} {self.form.format(self.target.value)}: {self.verdict})"
        note = f" [{self.note}]" if self.note else ""
        return f"{self.what}{against}: {self.form.format(self.measured)}{target}{note}"


@dataclass(kw_only=True)
class Results:
    """The results of a benchmark.

    Parameters
    ----------
    subject
        The name of its file, and of its section in the report.
    quick
        Whether it was a short run, which is not reported.
    findings
        The rows of the table.
    series
        Data for the plot and for other tables.
    """

    subject: str
    quick: bool
    findings: list[Finding] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        what: str,
        measured: float,
        *,
        against: str = "",
        form: str = "{:,.2f}×",
        target: Target | None = None,
        note: str = "",
    ) -> None:
        """Add a finding and print it."""
        finding = Finding(
            what=what, against=against, measured=measured, form=form, target=target, note=note
        )
        self.findings.append(finding)
        print(f"  {finding}", flush=True)

    def save(self) -> None:
        """Write the file."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {"machine": machine(), **asdict(self)}
        path = RESULTS / f"{self.subject}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(subject: str, measure: Callable[[Results], None], doc: str | None) -> None:
    """Parse the arguments, measure, and write the results."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--quick", action="store_true", help="a short run, to try the script")
    results = Results(subject=subject, quick=parser.parse_args().quick)
    measure(results)
    results.save()


def machine() -> dict[str, Any]:
    """Return a description of machine and software."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "load": psutil.getloadavg()[0],
        "python": platform.python_version(),
        "commit": _commit(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.exists():
        fields = dict(
            line.split(":", 1) for line in names.read_text("utf-8").splitlines() if ":" in line
        )
        plain = {name.strip(): value.strip() for name, value in fields.items()}
        if "model name" in plain:
            numbers = "/".join(plain.get(name, "?") for name in ("cpu family", "model", "stepping"))
            return f"{plain['model name']} (family/model/stepping {numbers})"
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def in_process(
    script: Path, arguments: Mapping[str, object], environment: Mapping[str, str] | None = None
) -> Any:
    """Run a script in a separate process, and return the JSON in its last line of output.

    Its memory is freed when it ends, and its peak is not that of this process.
    """
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, str(script), *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return json.loads(done.stdout.splitlines()[-1])


def room_for(rows: int, row_bytes: float) -> int:
    """Return the number of rows to hold: at most those that fit into ¾ of the free memory."""
    fits = int(0.75 * psutil.virtual_memory().available / row_bytes)
    if fits < rows:
        print(f"  memory for {fits:,} rows only, of {rows:,}", flush=True)
    return min(rows, fits)


def add_growth(results: Results, what: str, resident: Sequence[int], note: str) -> None:
    """Add the growth of a resident set in percent, from a linear fit of its sizes."""
    slope, begin = np.polyfit(np.arange(len(resident)), np.array(resident), 1)
    first, last = resident[0] / 2**20, resident[-1] / 2**20
    results.add(
        f"Memory: {what}, fitted, of the resident set",
        float(100 * slope * (len(resident) - 1) / begin),
        form="{:+.2f} %",
        target=at_most(1.0),
        note=f"{note}; {first:,.0f} MiB, {last:,.0f} MiB in the end",
    )


def sizes(highest: int) -> Sequence[int]:
    """Return the numbers of rows that are measured: 10⁴ … 2·10⁷."""
    return [
        size for size in (10_000, 100_000, 1_000_000, 10_000_000, 20_000_000) if size <= highest
    ]
