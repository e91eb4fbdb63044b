"""Runs the tests on several Pythons, with the oldest and the newest dependencies.

``make test-matrix`` runs all of them, and prints a table at the end; ``ARGS="3.12 3.14"`` some of
them, ``TESTS="tests/wire -x"`` some of the tests. Each has an environment of its own in
``build/matrix``, with what it printed beside it. Warnings are errors, as always.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final, NamedTuple

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parents[1]
WORK: Final = ROOT / "build" / "matrix"
UV: Final = (sys.executable, "-m", "uv")
FROM_DEBIAN: Final = {"3.14": "sid"}
"""Pythons that Debian has, for machines without them: version → suite."""

SHOWN: Final = ("polars", "numpy", "websockets", "ipywidgets", "anywidget")
"""Dependencies whose versions are in the table."""


class Cell(NamedTuple):
    """One Python with the oldest or the newest dependencies."""

    python: str
    resolution: str  # as uv calls it

    @property
    def name(self) -> str:
        """How it is asked for."""
        return self.python if self.resolution == "highest" else f"{self.python}-oldest"


CELLS: Final = (
    # Old versions have no wheels for newer Pythons.
    Cell("3.11", "lowest-direct"),
    *(Cell(version, "highest") for version in ("3.11", "3.12", "3.13", "3.14")),
)


class Result(NamedTuple):
    """What came of one."""

    versions: str
    outcome: str
    seconds: float
    has_passed: bool


def interpreter(version: str) -> Path | None:
    """Return a Python of a version: one on the PATH, of pyenv, or unpacked from Debian."""
    name = f"python{version}"
    unpacked = ROOT / "build" / name
    ours = unpacked / "usr" / "bin" / name
    found = filter(None, (shutil.which(name),))
    pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}")
    for candidate in (*map(Path, found), *pyenv, ours):
        if not candidate.exists():
            continue
        works = subprocess.run([candidate, "-c", ""], capture_output=True, check=False)
        if not works.returncode:
            return candidate
    if version not in FROM_DEBIAN or not shutil.which("apt-get"):
        return None
    script = str(ROOT / "release" / "debian-python")
    command = [script, str(unpacked), "amd64", FROM_DEBIAN[version], version]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, env={**os.environ, "PATH": path}, check=True)
    return ours


def call(*command: str | Path, output: IO[str]) -> bool:
    """Run a command in the clone, and return whether it succeeded."""
    done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)
    return done.returncode == 0


def versions_in(python: Path) -> str:
    """Return the versions of some dependencies in an environment."""
    script = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    done = subprocess.run(
        [python, "-c", script, *SHOWN], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def tested(cell: Cell, tests: list[str]) -> Result:
    """Install the package and its dependencies, and run the tests."""
    base = interpreter(cell.python)
    if base is None:
        return Result("", "not on this machine", 0, has_passed=True)
    folder = WORK / cell.name
    python = folder / "bin" / "python"
    log = WORK / f"{cell.name}.log"
    WORK.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    install = ("pip", "install", "--quiet", f"--resolution={cell.resolution}", "--python", python)
    with log.open("w") as output:
        is_installed = call(
            *(*UV, "venv", "--quiet", "--clear", "--python", base, folder), output=output
        ) and call(*UV, *install, "--editable", f"{ROOT}[dev]", output=output)
        if not is_installed:
            return Result("", f"not installed: {log}", 0, has_passed=False)
        versions = versions_in(python)
        has_passed = call(python, "-P", "-m", "pytest", "-q", *tests, output=output)
    last = log.read_text("utf-8", errors="replace").splitlines()[-1]
    took = time.monotonic() - begin
    return Result(versions, last.strip("= "), took, has_passed)


def main() -> int:
    """Run the tests, and return 1 if some failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [cell.name for cell in CELLS]
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"of {', '.join(names)}")
    parser.add_argument("--tests", default="tests", help="arguments of pytest")
    options = parser.parse_args()
    if unknown := set(options.cells) - set(names):
        parser.error(f"no such cell: {', '.join(sorted(unknown))}")
    table = Table("Python", "dependencies", " ".join(SHOWN), "result", "seconds")
    has_passed = True
    for cell in CELLS:
        if options.cells and cell.name not in options.cells:
            continue
        print(f"== {cell.name}", flush=True)
        result = tested(cell, shlex.split(options.tests))
        has_passed &= result.has_passed
        dependencies = "newest" if cell.resolution == "highest" else "oldest"
        outcome = result.outcome if result.has_passed else f"[red]{result.outcome}[/red]"
        row = (cell.python, dependencies, result.versions, outcome, f"{result.seconds:.0f}")
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return not has_passed


if __name__ == "__main__":
    sys.exit(main())
