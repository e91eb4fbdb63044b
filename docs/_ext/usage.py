"""How the examples use a name: links to them, and the statement of one that shows the call.

An example lists in its first cell what it uses. The statement is found in its syntax tree; it ran
when the page was built.
"""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
USES: Final = re.compile(r"^# Uses: (?P<uses>(?:[^\n]+\n)+?)#$", re.MULTILINE)

PREFIXES: Final = {
    "IncrementalIndicators": "kitepolars.indicators.IncrementalIndicators",
    "indicators": "kitepolars.indicators",
    "df.kite": "kitepolars.analytics.KiteNamespace",
    "options": "kitepolars.options",
    "SimulatedKite": "kitepolars.sim.SimulatedKite",
}
"""How the examples call what is not in the package's own namespace."""

SUBPACKAGES: Final = (
    "kitepolars",
    "kitepolars.sim",
    "kitepolars.relay",
    "kitepolars.widgets",
    "kitepolars.options",
    "kitepolars.analytics",
)

MAKERS: Final = {
    "alert": "Alert",
    "demo": "Ticker",
    "attach": "Ticker",
    "replay": "ReplayTicker",
    "sample": "ReplayTicker",
    "generate_session": "Session",
    "instruments": "Instruments",
    "exchange": "SimulatedKite",
    "stats": "Stats",
}
"""What a call or an attribute returns, where its name is not that of the class."""

RETURN_SELF: Final = {"start", "play", "fetch", "read_csv"}
"""Methods that return their own class."""

MAX_LINES: Final = 15
"""Longer statements are not shown."""


@dataclass(frozen=True)
class Use:
    """An example that lists a name."""

    title: str
    page: str
    name: str
    source: str


def target(name: str) -> str:
    """Return the full name of what an example calls `name`.

    Raises
    ------
    LookupError
        If there is no such thing.
    """
    for short, full in PREFIXES.items():
        if name == short or name.startswith(f"{short}."):
            return full + name.removeprefix(short)
    first = name.partition(".")[0]
    for space in SUBPACKAGES:
        module = importlib.import_module(space)
        if first in module.__all__:
            return f"{space}.{name}"
    raise LookupError(f"an example uses {name!r}, which does not exist")


@cache
def examples() -> dict[str, list[Use]]:
    """Return the uses of each full name, in the order of the examples."""
    found: dict[str, list[Use]] = defaultdict(list)
    for path in sorted((ROOT / "examples").glob("*/*.py")):
        text = path.read_text("utf-8")
        title = text.split("\n", 2)[1].removeprefix("# # ").replace("`", "")
        match = USES.search(text)
        if match is None:
            raise LookupError(f"{path} does not list what it uses")
        page = path.relative_to(ROOT).with_suffix("").as_posix()
        for name in re.findall(r"`([^`]+)`", match["uses"]):
            found[target(name)].append(Use(title, f"/{page}", name, text))
    return found


@cache
def excerpt(full_name: str) -> tuple[Use, str] | None:
    """Return the shortest statement of an example that uses a name, or None."""
    found = [
        (use, code) for use in examples().get(full_name, ()) for code in _statements(use)
    ]  # those of the first example win where they are equally short
    return min(found, key=lambda each: (each[1].count("\n"), len(each[1])), default=None)


def _statements(use: Use) -> Iterator[str]:
    """Yield the statements of an example that use a name, if they are short."""
    tree = ast.parse(use.source)
    classes = _classes(tree)
    for statement in _simple(tree):
        if any(_is_use(node, use.name, classes) for node in ast.walk(statement)):
            lines = use.source.splitlines()[statement.lineno - 1 : statement.end_lineno]
            if len(lines) <= MAX_LINES:
                yield textwrap.dedent("\n".join(lines))


def _simple(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield statements without a body, and small ones with one, in a file's order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _is_use(node: ast.AST, name: str, classes: dict[str, str]) -> bool:
    """Say whether a node is a use of what an example calls `name`."""
    owner, _, member = name.rpartition(".")
    match node:
        case ast.Name(id=found):
            return (owner, member) == ("", found) and found[0].isupper()  # a class, imported
        case ast.keyword(arg=found):  # a setting that is an attribute, too
            return (owner, member) == ("Ticker", found)
        case ast.Attribute(attr=found, value=value):
            return member == found and owner in _owners(value, classes)
    return False


def _owners(node: ast.expr, classes: dict[str, str]) -> set[str]:
    """Return how the first cell may call what stands before a dot."""
    match node:
        case ast.Name(id="kp"):
            return {""}
        case ast.Name(id="options"):
            return {"options"}
        case ast.Attribute(attr="indicators") | ast.Name(id="ki"):
            return {"indicators"}
        case ast.Attribute(attr="kite"):
            return {"df.kite"}
    found = _class_of(node, classes)
    return {found, found.removeprefix("Replay").removeprefix("Demo")} - {""}


def _classes(tree: ast.AST) -> dict[str, str]:
    """Return variable → class, as far as assignments, `with` and annotations show it."""
    found = {"t": "Ticker", "e": "SimulatedKite"}  # parameters of lambdas
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = _class_of(value, found)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                found[name] = _class_of(annotation, found)
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                found[name] = _class_of(annotation, found)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                found[name] = _class_of(value, found)
    return found


def _class_of(node: ast.expr, classes: dict[str, str]) -> str:
    """Return the class of an expression, or an empty text."""
    match node:
        case ast.Call(func=function) | ast.Await(value=function):
            return _class_of(function, classes)
        case ast.Attribute(attr=attr, value=value):
            if attr in RETURN_SELF or attr.startswith("from_"):
                return _class_of(value, classes)
            return MAKERS.get(attr, attr if attr[0].isupper() else "")
        case ast.Name(id=name):
            return classes.get(name, name if name[0].isupper() else "")
    return ""
