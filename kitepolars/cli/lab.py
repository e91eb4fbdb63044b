"""``kitepolars lab``: copies the notebooks to a folder and opens JupyterLab. Main thread."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from kitepolars.lab import changed, copy_notebooks, launch

HELP: Final = "copy the notebooks to a folder and open JupyterLab there"

FOLDER: Final = Path("kitepolars-notebooks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``lab``."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help=f"folder; existing files are not changed (default: {FOLDER})",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address instead of opening it"
    )
    parser.add_argument(
        "--allow-root", action="store_true", help="allow running as root, as in a container"
    )
    parser.add_argument("--copy-only", action="store_true", help="do not start JupyterLab")


def run(arguments: argparse.Namespace) -> int:
    """Copy the missing notebooks, report that, and run JupyterLab until it ends."""
    copied = copy_notebooks(arguments.folder)
    print(f"{len(copied)} notebooks copied to {arguments.folder}")
    for path in changed(arguments.folder):
        print(f"{path} differs from the notebook of this version and was not changed;")
        print("    rename it to get a fresh copy")
    if arguments.copy_only:
        return 0
    return launch(
        arguments.folder,
        open_browser=not arguments.no_browser,
        allow_root=arguments.allow_root,
    )
