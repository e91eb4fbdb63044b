"""One name, one thing: over the whole package, a name stands for one class or one constant."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import kitepolars

PACKAGE: Final = Path(kitepolars.__file__).parent
MODULES: Final = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
ARCHITECTURE: Final = Path(__file__).parents[1] / "docs" / "architecture.md"

SHARED: Final = {"HELP", "log"}
"""What several modules have on purpose: the help of a subcommand, a logger."""


def classes(tree: ast.Module) -> Iterator[str]:
    """Yield the names of all classes; a leading underscore does not tell two things apart."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")


def constants(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the constants that a module defines, without a leading underscore."""
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            for element in elements:
                # A single capital letter is a type variable.
                if isinstance(element, ast.Name) and re.fullmatch(r"_?[A-Za-z]\w+", element.id):
                    yield element.id.lstrip("_")


def repeated(definitions: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names that more than one module defines, with these modules."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, name in definitions:
        places[name].append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def test_a_class_name_stands_for_one_class() -> None:
    found = ((module, name) for module, tree in MODULES.items() for name in classes(tree))
    assert repeated(found) == {}


def test_the_name_of_a_constant_stands_for_one_constant() -> None:
    found = ((module, name) for module, tree in MODULES.items() for name in set(constants(tree)))
    assert {name: places for name, places in repeated(found).items() if name not in SHARED} == {}


def test_a_repeated_name_is_found() -> None:
    first = ast.parse("_LIMIT: int = 1\nclass _Thing: ...")
    second = ast.parse("LIMIT, OTHER = 2, 3\nT = 1\nclass Thing: ...")
    for names, expected in ((classes, "Thing"), (constants, "LIMIT")):
        found = [
            (place, name) for place, tree in (("a", first), ("b", second)) for name in names(tree)
        ]
        assert repeated(found) == {expected: ["a", "b"]}


RESERVED: Final = {
    "Message": "pipeline.py",
    "Packet": None,
    "Tick": None,
    "Chunk": "frames/held.py",
    "Frame": None,
    "Mode": "wire/layouts.py",
    "Depth": None,
    "Level": None,
    "Segment": "wire/layouts.py",
    "Slot": None,
}
"""Words that docs/architecture.md defines → the only module that may have a class of that name."""


def test_reserved_words_name_classes_only_where_they_are_meant() -> None:
    found = {
        f"{name} in {module}"
        for module, tree in MODULES.items()
        for name in classes(tree)
        if name in RESERVED and module != RESERVED[name]
    }
    assert found == set()


def test_the_reserved_words_are_those_of_the_architecture() -> None:
    table = ARCHITECTURE.read_text("utf-8").split("## Terms")[1].split("\n## ")[0]
    defined = {
        word.strip().strip("`").capitalize()
        for row in re.findall(r"^\| ([^|]+) \|", table, flags=re.MULTILINE)
        for word in row.split(",")
        if word.strip() not in ("term", "---", "`instrument_token`")
    }
    assert defined == set(RESERVED)
