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

import kitepolars

PACKAGE: Final = "kitepolars"
SOURCE: Final = Path(__file__).parents[1] / PACKAGE
MODULES: Final = sorted(SOURCE.rglob("*.py"))
STANDARD_LIBRARY: Final = sys.stdlib_module_names
FORBIDDEN_NAMES: Final = {"utils", "util", "helpers", "helper", "common", "misc"}
HEAVY: Final = (
    "IPython",
    "anywidget",
    "httpx",
    "ipywidgets",
    "kiteconnect",
    "kitepolars.cli",
    "kitepolars.sim",
    "kitepolars.widgets",
    "rich",
)
"""What no public name but `demo` may load; each is imported where it is used."""

LATE: Final = (*HEAVY, "asyncio", "ssl", "websockets", "kitepolars.feed", "kitepolars.ticker")
"""What importing the package must not load; the names that need it load it."""


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
    "secret": part(),
    "source": part("errors wire secret", "numpy"),
    "calendar": part("wire"),
    "listeners": part(),
    "ledger": part("wire source listeners"),
    "wire": part("errors native", "numpy"),
    "frames": part("errors native calendar wire", "numpy polars"),
    "feed": part("errors secret wire source ledger", "websockets", asyncio=True),
    "cluster": part("errors days journal recordings", "cloudpickle distributed polars rich"),
    "recorder": part("errors calendar feed journal secret source wire", asyncio=True),
    "journal": part("errors native calendar source wire", "backports compression numpy"),
    "recordings": part(
        "errors secret calendar frames instruments journal ledger pipeline recorder source wire",
        "numpy polars pyarrow",
        asyncio=True,
    ),
    "days": part(
        "errors calendar frames instruments journal ledger recordings source tables",
        "deltalake numpy obstore polars pyarrow",
    ),
    "playback": part(
        "errors calendar days feed frames instruments journal pipeline recordings source ticker "
        "widgets wire",
        "rich",
    ),
    "instruments": part("errors calendar", "numpy polars"),
    "analytics": part("errors native calendar wire frames", "numpy polars"),
    "alerting": part("errors secret native calendar frames analytics", "numpy polars"),
    "pipeline": part("errors wire frames source ledger listeners", "numpy", asyncio=True),
    "tables": part("wire frames source ledger", "polars"),
    "streams": part("frames", "polars"),
    "process": part(),
    "health": part("source", "polars"),
    "loop": part("errors", asyncio=True),
    "nesting": part("errors", "nest_asyncio nest_asyncio2", asyncio=True),
    "ticker": part(
        "errors secret calendar wire frames source listeners ledger feed instruments analytics "
        "alerting days options rest pipeline tables streams loop nesting journal recorder "
        "recordings widgets",
        "numpy polars",
        asyncio=True,
    ),
    "options": part("errors calendar wire instruments", "numpy polars"),
    "rest": part(
        "errors secret calendar wire frames feed instruments analytics", "dotenv httpx polars rich"
    ),
    "demonstration": part("wire feed instruments sim ticker"),
    "server": part("calendar wire", "websockets", asyncio=True),
    "relay": part(
        "errors secret calendar native frames journal ledger server source wire",
        "numpy websockets",
        asyncio=True,
    ),
    "sim": part("errors calendar loop options server wire", "numpy websockets", asyncio=True),
    "widgets": part(
        "errors calendar wire frames source feed health instruments analytics alerting options",
        "IPython anywidget ipywidgets marimo numpy polars traitlets",
        asyncio=True,
    ),
    "lab": part("errors"),
    "cli": part(
        "kitepolars _version calendar days demonstration errors feed frames health journal lab "
        "ledger pipeline process recorder recordings relay rest secret sim source wire",
        "kiteconnect polars rich",
        asyncio=True,
    ),
    "__main__": part("cli"),
    "__init__": part(
        "_version errors wire frames source ledger feed instruments analytics alerting nesting "
        "pipeline rest ticker demonstration recordings playback cluster days"
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


def loaded_by(statement: str) -> set[str]:
    return set(in_fresh_interpreter(f"{statement}\nimport sys; print(*sys.modules)").split())


def test_importing_the_package_loads_no_more_than_the_analytics() -> None:
    loaded = loaded_by("import kitepolars")
    assert "kitepolars.analytics.namespace" in loaded
    assert loaded & set(LATE) == set()


def test_a_ticker_loads_nothing_heavy() -> None:
    loaded = loaded_by("from kitepolars import Instruments, Ticker, TickerManager, packets, run")
    assert "kitepolars.ticker" in loaded
    assert loaded & set(HEAVY) == set()


def test_importing_every_name_starts_no_thread() -> None:
    threads = in_fresh_interpreter(
        "import threading; before = threading.active_count(); from kitepolars import *\n"
        "print(before, threading.active_count())"
    ).split()
    assert threads[0] == threads[1]


def test_importing_every_name_patches_no_event_loop() -> None:
    loaded = loaded_by("from kitepolars import *")
    assert "kitepolars.nesting" in loaded
    assert loaded & {"nest_asyncio", "nest_asyncio2"} == set()


def test_late_names_are_loaded_from_where_type_checkers_see_them() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text("utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == kitepolars._LOADED_LATE


def test_every_public_name_is_there_and_listed() -> None:
    assert [name for name in kitepolars.__all__ if not hasattr(kitepolars, name)] == []
    assert dir(kitepolars) == sorted(kitepolars.__all__)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'kitepolars' has no attribute 'Tickr'"):
        kitepolars.Tickr  # type: ignore[attr-defined]  # noqa: B018
