"""Every example runs as a script in a separate process, ends by itself, and warns of nothing.

Two run at a time; those that need an account have a stand-in on loopback. What an example says of
itself in its first cell is true.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import kitepolars as kp
import kitepolars.relay
import kitepolars.sim
import kitepolars.widgets
from examples.account import StandIn
from kitepolars import options
from kitepolars.analytics import KiteNamespace
from patience import PATIENCE

ROOT: Final = Path(__file__).parents[2]
LEVELS: Final = ("basic", "advanced", "performance")
SCRIPTS: Final = [
    path for level in LEVELS for path in sorted((ROOT / "examples" / level).glob("*.py"))
]
AT_ONCE: Final = 2
RUN: Final = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
from examples.account import redirect
redirect()
runpy.run_path(sys.argv[2], run_name="__main__")
"""
HEADER: Final = re.compile(
    r"# %% \[markdown\]\n# # (?P<title>[^\n]+[?.])\n#\n"
    r"# \*(?P<level>\w+) · (?P<seconds>\d+) seconds? · "
    r"(?P<where>simulated|account|no connection)\*\n"
    r"#\n# Uses: (?P<uses>(?:[^\n]+\n)+?)#\n"
)
"""How the first cell of an example begins."""


@dataclass(frozen=True)
class Header:
    """What an example says of itself."""

    title: str
    level: str
    seconds: int
    where: str
    uses: tuple[str, ...]


def header(path: Path) -> Header:
    match = HEADER.match(path.read_text("utf-8"))
    assert match, f"{path.name} does not begin as HEADER says"
    return Header(
        match["title"],
        match["level"].lower(),
        int(match["seconds"]),
        match["where"],
        tuple(re.findall(r"`([^`]+)`", match["uses"])),
    )


each_example = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[Path, Future[subprocess.CompletedProcess[str]]]]:
    """The runs of the examples that are tested, begun together; the longest first."""
    wanted = [
        path
        for path in SCRIPTS
        if any(f"runs_as_a_script[{path.stem}]" in item.name for item in request.session.items)
    ]
    folder = tmp_path_factory.mktemp("examples")
    with StandIn() as account, ThreadPoolExecutor(AT_ONCE) as pool:
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")} | account.environment

        def run(path: Path) -> subprocess.CompletedProcess[str]:
            own = folder / path.stem
            own.mkdir()
            command = [sys.executable, "-W", "error", "-c", RUN, str(ROOT / "tests"), str(path)]
            return subprocess.run(
                command,
                cwd=own,
                env=environment | {"TMPDIR": str(own)},  # a claim to record an API key is there
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )

        longest_first = sorted(wanted, key=lambda path: -header(path).seconds)
        futures = {path: pool.submit(run, path) for path in longest_first}
        yield futures
        for future in futures.values():
            future.cancel()


@each_example
def test_an_example_runs_as_a_script(
    path: Path, runs: dict[Path, Future[subprocess.CompletedProcess[str]]]
) -> None:
    done = runs[path].result()
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout.strip(), "it has nothing to say"


@each_example
def test_an_example_asserts_what_it_claims(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(tree)) >= 2


# -- what the first cell says ----------------------------------------------------------------

SPACES: Final[dict[str, Any]] = {
    "Ticker": kp.Ticker,
    "Instruments": kp.Instruments,
    "Session": kp.Session,
    "Stats": kp.Stats,
    "CandleBuilder": kp.CandleBuilder,
    "ReplayTicker": kp.ReplayTicker,
    "TickerManager": kp.TickerManager,
    "SimulatedKite": kitepolars.sim.SimulatedKite,
    "df.kite": KiteNamespace,
    "options": options,
    "indicators": kp.indicators,
    "Alert": kp.Alert,
    "IncrementalIndicators": kp.indicators.IncrementalIndicators,
}
"""What stands before a dot in a list of names used."""

OTHERS: Final = {
    **vars(kitepolars.relay),
    **vars(kitepolars.sim),
    **vars(kitepolars.widgets),
    "KiteNamespace": KiteNamespace,
}
"""Public names of subpackages, which are used without a dot."""


def exists(name: str) -> bool:
    space, _, member = name.rpartition(".")
    if space:
        return hasattr(SPACES[space], member) or member in inspect.get_annotations(SPACES[space])
    return name in kp.__all__ or name in OTHERS


def words(path: Path) -> set[str]:
    """Return every identifier, attribute and short text of a script: `getattr` takes names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def top_level(path: Path) -> set[str]:
    """Return the names that a script takes from the package itself: ``kp.Ticker``."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "kp"
    }


@each_example
def test_the_names_that_an_example_lists_are_those_that_it_uses(path: Path) -> None:
    listed = header(path).uses
    assert [name for name in listed if not exists(name)] == []
    present = words(path)
    assert [name for name in listed if name.rpartition(".")[2] not in present] == []
    assert top_level(path) - set(listed) == set()


@each_example
def test_an_example_is_where_it_says(path: Path) -> None:
    described = header(path)
    assert described.level == path.parent.name
    assert described.seconds <= 15


def test_titles_and_numbers_are_unique() -> None:
    titles = [header(path).title for path in SCRIPTS]
    assert len(set(titles)) == len(titles)
    numbers = [int(path.name.partition("_")[0]) for path in SCRIPTS]
    assert sorted(numbers) == list(range(1, len(SCRIPTS) + 1))


def test_the_list_of_examples_is_whole() -> None:
    text = (ROOT / "examples" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(.+?)\]\((\S+?)\) \| (\d+) \| (.+?) \|$", text, re.MULTILINE)
    expected = [
        (
            described.title,
            f"{path.parent.name}/{path.name}",
            str(described.seconds),
            described.where,
        )
        for path in SCRIPTS
        for described in [header(path)]
    ]
    assert rows == expected
