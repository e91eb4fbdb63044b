"""What the documentation shows is run: Python blocks of the pages, examples of the docstrings.

A block is run unless the line before it says why not: ``<!-- not run: needs an account -->``.
The blocks of one page share their names, as a reader would type them one after another.
"""

from __future__ import annotations

import doctest
import importlib
import re
import threading
import tomllib
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from kitepolars import Instruments, Ticker
from kitepolars.sim import SimulatedKite

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "kitepolars"
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    ROOT / "examples" / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not any(part.startswith("_") for part in path.relative_to(ROOT).parts)
    ),
]
BLOCK: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?```python\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
TREE: Final = re.compile(r"^```{toctree}\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)")
OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_name(path: Path) -> str:
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


MODULES: Final = [module_name(path) for path in sorted(PACKAGE.rglob("*.py"))]


def blocks(page: Path, reason: str | None = None) -> list[tuple[int, str]]:
    """Return the blocks of a page that are run, or those that for a reason are not.

    Each comes with the line where its code starts.
    """
    text = page.read_text("utf-8")
    return [
        (text.count("\n", 0, match.start("code")), match["code"])
        for match in BLOCK.finditer(text)
        if match["reason"] == reason
    ]


def run(page: Path, line: int, code: str, names: dict[str, Any]) -> None:
    # Leading newlines give a traceback the line of the page.
    exec(compile("\n" * line + code, str(page), "exec"), names)  # noqa: S102


RUNNABLE: Final = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(threading.enumerate())
    names: dict[str, Any] = {"__name__": "__page__"}
    for line, code in blocks(page):
        run(page, line, code, names)
    begun = set(threading.enumerate()) - before
    left = [thread.name for thread in begun if "kitepolars" in thread.name]
    assert not left, "the page leaves a ticker or an exchange running"


def test_the_readme_has_a_block_that_runs() -> None:
    assert ROOT / "README.md" in RUNNABLE


def test_the_lines_for_an_account_run_on_a_simulated_kite(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedKite() as kite:
        instruments = Instruments.read_csv(kite.instruments_csv())
        monkeypatch.setenv("KITE_API_KEY", "key")
        monkeypatch.setenv("KITE_ACCESS_TOKEN", "token")
        defaults = Ticker.from_env.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "url", kite.url)
        monkeypatch.setattr(Instruments, "fetch", lambda: instruments)
        names: dict[str, Any] = {}
        for line, code in blocks(ROOT / "README.md", "needs an account"):
            run(ROOT / "README.md", line, code, names)
    frame = names["ticker"].frame()
    assert set(frame["instrument_token"]) == {408065, 256265, 738561}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    with pl.Config(set_tbl_width_chars=100):
        failed, _ = doctest.testmod(module, optionflags=OPTIONS)
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    docs = ROOT / "docs"
    pages = [page for page in PAGES if docs in page.parents]
    listed = {docs / "index.md"}
    for page in pages:
        for tree in TREE.findall(page.read_text("utf-8")):
            entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert [str(page.relative_to(docs)) for page in pages if page not in listed] == []


def test_the_house_as_drawn_has_every_room() -> None:
    drawing = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("```")[1]
    drawn = set(re.findall(r"^ +(\S+?)(?:\.py|/) ", drawing, flags=re.MULTILINE))
    folders = [
        PACKAGE,
        *(
            PACKAGE / name
            for name in ("wire", "frames", "feed", "ticker", "analytics", "cli", "days")
        ),
    ]
    built = {
        path.stem
        for folder in folders
        for path in folder.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert drawn == built - {"_version", "__main__"}


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    table = project["project"]
    declared = [*table["dependencies"], *project["build-system"]["requires"]]
    for requirements in table["optional-dependencies"].values():
        declared += requirements
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in declared}
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE))
    assert listed == names - {"kitepolars"}
