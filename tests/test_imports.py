"""The arrows of the house: who may import what, read from the source with ``ast``."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = "kitepolars"
SOURCE: Final = Path(__file__).parents[1] / "src" / PACKAGE
MODULES: Final = sorted(SOURCE.rglob("*.py"))
STANDARD_LIBRARY: Final = sys.stdlib_module_names
FORBIDDEN_NAMES: Final = {"utils", "util", "helpers", "helper", "common", "misc"}
HEAVY: Final = (
    "IPython",
    "anywidget",
    "httpx",
    "ipywidgets",
    "kiteconnect",
    "kitepolars.benchmark",
    "kitepolars.cli",
    "kitepolars.sim",
    "kitepolars.widgets",
    "rich",
    "scipy",
)
"""What importing the package must not load; each is imported where it is used."""


@dataclass(frozen=True)
class Part:
    """What one part of the package may import, besides itself and the standard library."""

    inside: frozenset[str]
    outside: frozenset[str] = frozenset()
    asyncio: bool = False


def part(inside: str = "", outside: str = "", *, asyncio: bool = False) -> Part:
    return Part(frozenset(inside.split()), frozenset(outside.split()), asyncio)


PARTS: Final = {
    "_version": part(),
    "errors": part(),
    "native": part("", "numpy"),
    "wire": part("errors native", "numpy"),
    "frames": part("errors native wire", "numpy polars"),
    "feed": part("errors wire", "websockets", asyncio=True),
    "instruments": part("errors", "numpy polars"),
    "analytics": part("errors wire frames", "polars"),
    "pipeline": part("errors wire frames feed", "numpy polars", asyncio=True),
    "tables": part("wire frames feed", "polars"),
    "streams": part("frames", "polars"),
    "loop": part("errors", asyncio=True),
    "nesting": part("errors", "nest_asyncio nest_asyncio2", asyncio=True),
    "ticker": part(
        "errors wire frames feed instruments analytics options rest pipeline tables streams loop "
        "nesting widgets",
        "numpy polars",
        asyncio=True,
    ),
    "options": part("errors frames instruments analytics", "numpy polars scipy"),
    "rest": part("errors frames feed instruments analytics", "dotenv httpx polars rich"),
    "demonstration": part("wire instruments sim ticker"),
    "sim": part("errors wire", "numpy websockets", asyncio=True),
    "widgets": part(
        "errors wire frames feed analytics",
        "IPython anywidget ipywidgets numpy polars traitlets",
        asyncio=True,
    ),
    "lab": part("errors"),
    "benchmark": part(
        "errors wire frames feed pipeline ticker sim", "kiteconnect numpy polars", asyncio=True
    ),
    "cli": part("kitepolars _version benchmark errors lab sim", "polars rich"),
    "__main__": part("cli"),
    "__init__": part(
        "_version errors wire frames feed instruments analytics nesting pipeline rest ticker "
        "demonstration"
    ),
}
"""A new part is a new row: think about its arrows first (docs/architecture.md)."""


def part_of(module: Path) -> str:
    """Return the first component below the package: ``wire`` for ``wire/decode.py``."""
    return module.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield each imported dotted name, deferred and type-checking imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offence(importer: str, name: str) -> str | None:
    """Say why the part ``importer`` may not import ``name``, if it may not."""
    allowed = PARTS[importer]
    top, _, rest = name.partition(".")
    inner = rest.partition(".")[0]
    if top == PACKAGE:
        target = inner if inner in PARTS else PACKAGE
        return None if target == importer or target in allowed.inside else f"{PACKAGE}.{target}"
    if top == "asyncio":
        return None if allowed.asyncio else top
    return None if top in STANDARD_LIBRARY or top in allowed.outside else top


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_part_may(module: Path) -> None:
    importer = part_of(module)
    assert importer in PARTS, f"{importer} has no row in the table of parts"
    names = imported_names(ast.parse(module.read_text("utf-8")))
    assert [found for name in names if (found := offence(importer, name))] == []


@pytest.mark.parametrize(
    ("importer", "name", "expected"),
    [
        ("wire", "polars", "polars"),
        ("wire", "asyncio", "asyncio"),
        ("wire", "kitepolars.frames.schema", "kitepolars.frames"),
        ("wire", "kitepolars.Ticker", "kitepolars.kitepolars"),
        ("wire", "kitepolars.wire.layouts.Mode", None),
        ("feed", "polars", "polars"),
        ("feed", "asyncio", None),
        ("frames", "kitepolars.feed.plan", "kitepolars.feed"),
        ("cli", "kitepolars.Ticker", None),
        ("errors", "json", None),
    ],
)
def test_the_table_tells_right_from_wrong(importer: str, name: str, expected: str | None) -> None:
    assert offence(importer, name) == expected


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {component.removesuffix(".py") for path in MODULES for component in path.parts}
    assert names & FORBIDDEN_NAMES == set()


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def in_fresh_interpreter(statement: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", statement],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = in_fresh_interpreter("import kitepolars, sys; print(*sorted(sys.modules))").split()
    assert "kitepolars" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_the_package_starts_no_thread() -> None:
    threads = in_fresh_interpreter(
        "import threading; before = threading.active_count(); import kitepolars\n"
        "print(before, threading.active_count())"
    ).split()
    assert threads[0] == threads[1]


def test_importing_the_package_patches_no_event_loop() -> None:
    loaded = in_fresh_interpreter("import kitepolars, sys; print(*sorted(sys.modules))").split()
    assert {"nest_asyncio", "nest_asyncio2"} & set(loaded) == set()
