"""The command ``kitepolars``: one module per subcommand. Main thread."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from kitepolars._version import __version__
from kitepolars.cli import bench, days, demo, journal, lab, publish, record, relay, sim
from kitepolars.errors import KitePolarsError

__all__ = ["main"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as in shells: 128 + SIGINT."""


class Subcommand(Protocol):
    """The contents of the module of a subcommand."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the subcommand and return the exit code."""
        ...


SUBCOMMANDS: Final[Mapping[str, Subcommand]] = {
    "bench": bench,
    "days": days,
    "demo": demo,
    "journal": journal,
    "lab": lab,
    "publish": publish,
    "record": record,
    "relay": relay,
    "sim": sim,
}
"""Name → module. A new subcommand is one module and one entry."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kitepolars", description="The live ticks of Kite Connect as Polars DataFrames."
    )
    parser.add_argument("--version", action="version", version=f"kitepolars {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, command in SUBCOMMANDS.items():
        command.add_arguments(
            commands.add_parser(name, help=command.HELP, description=command.HELP)
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        The arguments after ``kitepolars``; by default those of the process.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        return SUBCOMMANDS[parsed.command].run(parsed)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (KitePolarsError, OSError) as error:
        print(f"kitepolars: {error}", file=sys.stderr)
        return 1
