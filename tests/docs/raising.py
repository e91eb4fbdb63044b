"""Which errors a function raises, as far as its source and that of what it calls show."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "kitepolars"
MAKING: Final = ("__init__", "__post_init__")
"""The methods that run when an object is made."""


def errors(called: Any, owner: type | None = None) -> set[str]:
    """Return the names of what is raised by a function, a method or the making of an object.

    Calls are followed inside the package: of functions and classes by name, of modules'
    functions, and of methods of `self` and `cls`.

    Parameters
    ----------
    called
        A function or a class.
    owner
        The class whose method it is.
    """
    found: set[str] = set()
    _follow(called, owner, found, set())
    return found


def _follow(
    called: Any, owner: type | None, found: set[str], seen: set[tuple[object, ...]]
) -> None:
    if inspect.isclass(called):
        for name in MAKING:
            _follow(getattr(called, name, None), called, found, seen)
        return
    function = inspect.unwrap(getattr(called, "__func__", called))
    if not inspect.isfunction(function) or not function.__module__.startswith(PACKAGE):
        return
    key = (function.__module__, function.__qualname__, owner)
    body = _functions(function.__module__).get(function.__qualname__)
    if key in seen or body is None:
        return
    seen.add(key)
    names = vars(sys.modules[function.__module__]) | _imported(body)
    for node in ast.walk(body):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) | ast.Raise(exc=ast.Name(id=name)):
                found.add(name)
            case ast.Call(func=ast.Name(id=name)):
                _follow(names.get(name), None, found, seen)
            case ast.Call(func=ast.Attribute(ast.Name(id="self" | "cls"), attr)):
                _follow(getattr(owner, attr, None), owner, found, seen)
            case ast.Call(func=ast.Attribute(ast.Name(id=name), attr)) if name in names:
                thing = names[name]
                _follow(
                    getattr(thing, attr, None),
                    thing if inspect.isclass(thing) else None,
                    found,
                    seen,
                )


def _imported(body: ast.AST) -> dict[str, Any]:
    """Return what a function imports from the package when it runs."""
    return {
        alias.name: getattr(importlib.import_module(module), alias.name)
        for node in ast.walk(body)
        if isinstance(node, ast.ImportFrom) and (module := node.module or "").startswith(PACKAGE)
        for alias in node.names
    }


@cache
def _functions(module: str) -> dict[str, ast.AST]:
    """Return qualified name → the functions and methods of a module."""
    source = sys.modules[module].__file__
    assert source is not None
    return dict(_named(ast.parse(Path(source).read_text("utf-8")), ""))


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name):
                yield from _named(child, f"{prefix}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield f"{prefix}{name}", child
