"""``kitepolars lab``: the notebooks, in a folder of the user's, in JupyterLab. Main thread."""

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
        help=f"where to; what is there already stays as it is (default: {FOLDER})",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address instead")
    parser.add_argument("--allow-root", action="store_true", help="as root, in a container")
    parser.add_argument("--copy-only", action="store_true", help="do not start JupyterLab")


def run(arguments: argparse.Namespace) -> int:
    """Copy what is missing, say what was and was not, and run JupyterLab until it ends."""
    copied = copy_notebooks(arguments.folder)
    print(f"{len(copied)} notebooks copied to {arguments.folder}")
    for path in changed(arguments.folder):
        print(f"{path} is not as it comes with this version and was left alone;")
        print("    rename it to get that one beside it")
    if arguments.copy_only:
        return 0
    return launch(
        arguments.folder,
        open_browser=not arguments.no_browser,
        allow_root=arguments.allow_root,
    )
