"""The reference: blocks of names in a page become a table and their descriptions.

A block looks like this in Markdown, and reads as a list of names where the page lies::

    ```{api} kitepolars.Ticker
    subscribe
    unsubscribe
    ```

Below each description stand the columns of what it returns (`returned_frames.py`), its cost (the
table of the page "What a call costs"), and how examples use it (`usage.py`).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import returned_frames
import usage

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(
    r"^```\{api\} (?P<space>\S+)\n(?P<names>.*?)^```\n?", re.MULTILINE | re.DOTALL
)
COST: Final = re.compile(
    r"^\| (?P<names>`[^|]+) \| (?P<copies>[^|]+) \| (?P<grows>[^|]+) \| (?P<figure>[^|]+) \|$",
    re.MULTILINE,
)


FIGURE: Final = re.compile(
    r"\[(?P<row>[^\]]+)\]\(\.\./performance\.md#(?P<shown>figures?|numbers)\)"
)
"""A link to a row of the page "How fast it is".

It becomes the figure of that row: `figures` with what was measured, `figure` alone, `numbers` the
numbers behind it.
"""
NUMBERS: Final = 5
"""Its column of absolute numbers."""


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


def expanded(text: str) -> str:
    """Return a page with its blocks of names, and links to figures, written out."""
    text = BLOCK.sub(lambda match: _entries(match["space"], match["names"].split()), text)
    return FIGURE.sub(_linked, text)


def _linked(match: re.Match[str]) -> str:
    """Return what a link to a figure becomes."""
    row = match["row"]
    if match["shown"] == "numbers":
        return figure(row, NUMBERS)
    link = f"[{figure(row)}](../performance.md#figures)"
    return link if match["shown"] == "figure" else f"{link} ({row.partition(': ')[2] or row})"


def figure(row: str, column: int = 3) -> str:
    """Return a cell of the first row of "How fast it is" that begins with a text."""
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for line in page.splitlines():
        if line.startswith(f"| {row}"):
            return line.removesuffix(" |").split(" | ")[column]
    raise LookupError(f"docs/performance.md has no row {row!r}")


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


def _plain_figure(match: re.Match[str]) -> str:
    return f"{figure(match['row'])} ({match['row'].partition(': ')[2]})"


@cache
def costs() -> dict[str, str]:
    """Return full name → what it costs, in words, from the page that says so."""
    page = (ROOT / "docs" / "reference" / "costs.md").read_text("utf-8")
    found: dict[str, str] = {}
    for match in COST.finditer(page):
        copies, grows = match["copies"].strip(), match["grows"].strip()
        text = f"copies {copies}; grows with {grows}"
        if copies == grows == "nothing":
            text = "constant, no copy"
        if (shown := match["figure"].strip()) != "–":
            text += f"; {FIGURE.sub(_plain_figure, shown)}"
        for name in re.findall(r"`([^`]+)`", match["names"]):
            found[usage.target(name)] = re.sub(r"`([^`]+)`", r"``\1``", text)
    return found


SHOWN: Final = 5
"""Examples linked from one description; `Ticker` is in nearly all of them."""


def _append(
    _app: Sphinx, what: str, name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    """Write columns, cost and examples below a description."""
    if frame := returned_frames.returned().get(name):
        lines += ["", f"**Columns**: :ref:`{frame.anchor}`.", ""]
    if name in costs() and what != "exception":
        lines += ["", f"**Cost**: {costs()[name]}.", ""]
    used = usage.examples().get(name, [])
    if not used:
        return
    if (found := usage.excerpt(name)) and not any(line.startswith(">>>") for line in lines):
        use, code = found
        lines += ["", f"From :doc:`{use.title} <{use.page}>`:", "", ".. code-block:: python", ""]
        lines += [f"   {line}" for line in code.split("\n")] + [""]
    links = ", ".join(f":doc:`{use.title} <{use.page}>`" for use in used[:SHOWN])
    more = f", and {len(used) - SHOWN} more" if len(used) > SHOWN else ""
    lines += ["", f"**Examples**: {links}{more}.", ""]


ALIAS: Final = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
"""How autodoc writes an alias within a union: ``TypeAliasForwardRef('Clock') | None``."""


def _with_aliases(
    _app: Sphinx,
    _what: str,
    _name: str,
    _thing: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Return a signature with the names of aliases."""
    return signature and ALIAS.sub(r"\1", signature), returned and ALIAS.sub(r"\1", returned)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hooks, after those of numpydoc."""
    app.connect("autodoc-process-docstring", _append, priority=900)
    app.connect("autodoc-process-signature", _with_aliases, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
