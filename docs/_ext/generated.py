"""Pages that are made from the code: columns of frames, settings, the command line."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import io
import re
from collections.abc import Callable
from typing import Final

import polars as pl
from numpydoc.docscrape import ClassDoc
from rich.console import Console

import kitepolars as kp
from kitepolars.cli import build_parser
from kitepolars.wire.layouts import DEPTH_FIELDS, LAYOUTS
from returned_frames import FRAMES, Frame

SETTINGS: Final = (kp.Limits, kp.ReconnectPolicy, kp.Retention, kp.Flush)
"""The settings of a `Ticker` that have classes of their own."""

BLOCK: Final = re.compile(r"^```\{generated\} (?P<what>\w+)\n```\n", re.MULTILINE)


def expanded(text: str) -> str:
    """Return a page with its blocks of generated content written out."""
    return BLOCK.sub(lambda match: CONTENT[match["what"]](), text)


def schemas() -> str:
    """Return a table of columns for each frame."""
    return "\n".join(map(_frame, FRAMES))


def _frame(frame: Frame) -> str:
    schema = frame.schema()
    has_modes = frame.has_modes
    head = "| column | dtype | meaning | null when |" + (" modes |" if has_modes else "")
    rule = "|---|---|---|---|" + ("---|" if has_modes else "")
    rows = [
        f"| `{name}` | `{shown(dtype)}` | {column.text} | {column.null} |"
        + (f" {modes(name)} |" if has_modes else "")
        for name, dtype in schema.items()
        for column in [frame.column(name)]
    ]
    anchor = f"({frame.anchor})=\n"
    return "\n".join([f"{anchor}## {frame.title}\n", f"{frame.text}\n", head, rule, *rows, ""])


def shown(dtype: object) -> str:
    """Return a dtype as a reader wants it."""
    match dtype:
        case pl.Datetime():
            return f"Datetime({dtype.time_unit}, {dtype.time_zone})"
        case pl.Enum():
            return f"Enum({', '.join(dtype.categories)})"
        case pl.Array():
            return f"Array({shown(dtype.inner)}, {dtype.size})"
        case pl.Duration():
            return f"Duration({dtype.time_unit})"
    return str(dtype)


def modes(name: str) -> str:
    """Return which packets carry a column of ticks: of shares and contracts, of indices."""
    carried = [
        layout.name
        for layout in LAYOUTS
        if name in layout.fields or (layout.depth and name in DEPTH_FIELDS)
    ]
    if not carried:
        return "all"
    return "all" if len(carried) == len(LAYOUTS) else ", ".join(carried).replace("_", " ")


def settings() -> str:
    """Return a table of settings for each class of them."""
    parts = []
    for thing in SETTINGS:
        described = {
            parameter.name: " ".join(parameter.desc) for parameter in ClassDoc(thing)["Parameters"]
        }
        rows = [
            f"| `{field.name}` | `{_default(field)}` | {_plain(described[field.name])} |"
            for field in dataclasses.fields(thing)
        ]
        name = thing.__name__
        first = (inspect.getdoc(thing) or "").partition("\n")[0]
        parts.append(
            f"### `{name}`\n\n{_plain(first)}\n\n"
            "| setting | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "\n".join(parts)


def _default(field: dataclasses.Field[object]) -> str:
    return repr(field.default)


def _plain(text: str) -> str:
    return re.sub(r"``?([^`]+)``?", r"`\1`", text).replace("|", "\\|")


def command_line() -> str:
    """Return the help of every command."""
    parser = build_parser()
    parts = [_help(parser)]
    parts += [f"## {command.prog}\n\n{_help(command)}" for command in _commands(parser)]
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers below a parser, depth first."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                found += [command, *_commands(command)]
    return found


def _help(parser: argparse.ArgumentParser) -> str:
    stream = io.StringIO()
    Console(file=stream, width=88, no_color=True).print(
        parser.format_help(), markup=False, highlight=False
    )
    return f"```text\n{stream.getvalue().strip()}\n```\n"


CONTENT: Final[dict[str, Callable[[], str]]] = {
    "schemas": schemas,
    "settings": settings,
    "command_line": command_line,
}
"""What stands in a block → what writes it."""
