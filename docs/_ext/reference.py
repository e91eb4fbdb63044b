"""The reference: blocks of names in a page become a table and their descriptions.

A block looks like this in Markdown, and reads as a list of names where the page lies::

    ```{api} kitepolars.Ticker
    subscribe
    unsubscribe
    ```

What a call costs and which examples use it stand with each description: from the table of the page
"Costs", and from the first cells of the examples.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import defaultdict
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(
    r"^```\{api\} (?P<space>\S+)\n(?P<names>.*?)^```\n?", re.MULTILINE | re.DOTALL
)
COST: Final = re.compile(
    r"^\| `(?P<name>[^`]+)` \| (?P<copies>[^|]+) \| (?P<grows>[^|]+) \| "
    r"(?P<figure>[^|]+) \|$",
    re.MULTILINE,
)
USES: Final = re.compile(r"^# Uses: (?P<uses>(?:[^\n]+\n)+?)#$", re.MULTILINE)

SPACES: Final = {
    "df.kite": "kitepolars.analytics.KiteNamespace",
    "options": "kitepolars.options",
    "SimulatedKite": "kitepolars.sim.SimulatedKite",
}
"""How the examples call what is not in the package's own namespace."""

SUBPACKAGES: Final = (
    "kitepolars",
    "kitepolars.sim",
    "kitepolars.widgets",
    "kitepolars.options",
    "kitepolars.analytics",
)


def resolve(path: str) -> Any:
    """Return the object of a dotted name; members of classes as they are stored in them."""
    rest: list[str] = []
    module = path
    while True:
        try:
            thing: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
    for name in rest:
        thing = (
            inspect.getattr_static(thing, name) if inspect.isclass(thing) else getattr(thing, name)
        )
    return thing


def target(name: str) -> str:
    """Return the full name of what an example calls `name`.

    Raises
    ------
    LookupError
        If there is no such thing.
    """
    for short, full in SPACES.items():
        if name == short or name.startswith(f"{short}."):
            return full + name.removeprefix(short)
    first = name.partition(".")[0]
    for space in SUBPACKAGES:
        module = importlib.import_module(space)
        if first in module.__all__:
            return f"{space}.{name}"
    raise LookupError(f"an example uses {name!r}, which does not exist")


def expanded(text: str) -> str:
    """Return a page with its blocks of names written out."""
    return BLOCK.sub(lambda match: _entries(match["space"], match["names"].split()), text)


def _entries(space: str, names: list[str]) -> str:
    paths = [f"{space}.{name}" for name in names]
    short = space.rpartition(".")[2] if inspect.isclass(resolve(space)) else ""
    rows = "\n".join(
        f"| {{py:obj}}`{f'{short}.' if short else ''}{name} <{path}>` | {_summary(path)} |"
        for name, path in zip(names, paths, strict=True)
    )
    entries = "\n".join(_directive(path) for path in paths)
    return f"| name | what |\n|---|---|\n{rows}\n\n```{{eval-rst}}\n{entries}```\n"


def _summary(path: str) -> str:
    thing = resolve(path)
    has_own = callable(thing) or isinstance(thing, property | classmethod | cached_property)
    text = inspect.getdoc(thing) if has_own else _data_doc(path)
    if not text:
        raise LookupError(f"{path} is described nowhere")
    first = " ".join(text.partition("\n\n")[0].split())
    return re.sub(r"``?([^`]+)``?", r"`\1`", first).replace("|", "\\|")


def _directive(path: str) -> str:
    thing = resolve(path)
    inner = getattr(thing, "__func__", thing)
    parent = resolve(path.rpartition(".")[0])
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
    elif isinstance(thing, property | cached_property):
        kind = "autoproperty"
    elif inspect.isclass(parent):
        kind = "automethod" if callable(inner) else "autoattribute"
    else:
        kind = "autofunction" if callable(inner) else "autodata"
    options = "   :no-value:\n" if kind == "autodata" else ""
    return f".. {kind}:: {path}\n{options}\n"


def _data_doc(path: str) -> str:
    """Return the text below a module's constant, which its value does not have."""
    name = path.rpartition(".")[2]
    for file in sorted((ROOT / "kitepolars").rglob("*.py")):
        body = ast.parse(file.read_text("utf-8")).body
        for statement, after in pairwise(body):
            names = [getattr(each, "id", "") for each in getattr(statement, "targets", ())]
            names.append(getattr(getattr(statement, "target", None), "id", ""))
            match after:
                case ast.Expr(ast.Constant(str(text))) if name in names:
                    return text
    return ""


@cache
def costs() -> dict[str, str]:
    """Return full name → what it costs, in words, from the page that says so."""
    page = (ROOT / "docs" / "reference" / "costs.md").read_text("utf-8")
    return {
        target(match["name"].removesuffix("()").replace("ticker.", "Ticker.")): (
            f"copies: {match['copies'].strip()}; grows with: {match['grows'].strip()}; "
            f"measured: {match['figure'].strip()}"
        )
        for match in COST.finditer(page)
    }


@cache
def examples() -> dict[str, list[tuple[str, str]]]:
    """Return full name → title and page of the examples that use it."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "examples").glob("*/*.py")):
        text = path.read_text("utf-8")
        title = text.split("\n", 2)[1].removeprefix("# # ")
        match = USES.search(text)
        if match is None:
            raise LookupError(f"{path} does not say what it uses")
        page = path.relative_to(ROOT).with_suffix("").as_posix()
        for name in re.findall(r"`([^`]+)`", match["uses"]):
            found[target(name)].append((title, f"/{page}"))
    return found


SHOWN: Final = 5
"""Examples linked from one description; `Ticker` is in nearly all of them."""


def _append(
    _app: Sphinx, _what: str, name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    """Write costs and examples below a description."""
    if name in costs():
        lines += ["", f"**Cost**: {costs()[name]}.", ""]
    if used := examples().get(name):
        links = ", ".join(
            f":doc:`{title.replace(chr(96), '')} <{page}>`" for title, page in used[:SHOWN]
        )
        more = f", and {len(used) - SHOWN} more" if len(used) > SHOWN else ""
        lines += ["", f"**Examples**: {links}{more}.", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook, after that of numpydoc."""
    app.connect("autodoc-process-docstring", _append, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
