"""Copies the notebooks to a folder and runs JupyterLab there, for ``kitepolars lab``. Main thread.

An existing file belongs to the user and is never overwritten.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from kitepolars.errors import KitePolarsError

PACKAGED: Final = Path(__file__).parent / "notebooks"
"""Their folder in an installed package."""

CLONED: Final = Path(__file__).parents[1] / "notebooks"
"""Their folder in a clone, where the package has none of its own."""


def notebooks() -> list[Path]:
    """Return the notebooks of kitepolars, in order.

    Raises
    ------
    KitePolarsError
        If there are none.
    """
    found = sorted(PACKAGED.glob("*.ipynb")) or sorted(CLONED.glob("*.ipynb"))
    if not found:
        raise KitePolarsError(f"no notebooks in {PACKAGED} or {CLONED}: reinstall the package")
    return found


def copy_notebooks(folder: str | Path) -> list[Path]:
    """Copy the notebooks into a folder, creating it if necessary.

    Parameters
    ----------
    folder
        The folder. Existing files are not changed.

    Returns
    -------
    list of pathlib.Path
        The notebooks that were copied.

    Raises
    ------
    KitePolarsError
        If the package has no notebooks.
    OSError
        If the folder cannot be written to.
    """
    target = Path(folder).expanduser()
    sources = notebooks()
    target.mkdir(parents=True, exist_ok=True)
    fresh = [source for source in sources if not (target / source.name).exists()]
    return [_copied(source, target / source.name) for source in fresh]


def _copied(source: Path, target: Path) -> Path:
    with target.open("xb") as file:  # fails rather than overwriting a file created meanwhile
        file.write(source.read_bytes())
    return target


def changed(folder: str | Path) -> list[Path]:
    """Return the notebooks in a folder whose cells differ from those of this version.

    The user has changed them, or they are from another version. Outputs are ignored.
    """
    pairs = ((Path(folder).expanduser() / source.name, source) for source in notebooks())
    return [copy for copy, source in pairs if copy.exists() and _cells(copy) != _cells(source)]


def _cells(notebook: Path) -> list[tuple[str, str]] | None:
    """Return kind and source of each cell; None if the file is not a valid notebook."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError):
        return None


def launch(folder: str | Path, *, open_browser: bool = True, allow_root: bool = False) -> int:
    """Copy the notebooks into a folder and run JupyterLab there until it ends.

    Parameters
    ----------
    folder
        The folder.
    open_browser
        Whether JupyterLab opens a browser.
    allow_root
        Whether JupyterLab may run as root, as in a container; by default it refuses.

    Returns
    -------
    int
        JupyterLab's exit status.

    Raises
    ------
    KitePolarsError
        If JupyterLab is not installed, or there are no notebooks.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise KitePolarsError("JupyterLab is not installed: pip install 'kitepolars[lab]'")
    copy_notebooks(folder)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.open_browser={open_browser}"]
    command += ["--allow-root"] * allow_root
    return _run(command, Path(folder).expanduser())


def _run(command: list[str], folder: Path) -> int:
    """Run a command until it ends. Ctrl-C is left to it; SIGTERM is passed on to it."""
    sys.stdout.flush()  # so that our output precedes its output, also in a file
    interrupted = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, cwd=folder) as process:  # noqa: S603 - our own interpreter
            ended = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            try:
                while process.poll() is None:
                    with suppress(
                        subprocess.TimeoutExpired
                    ):  # handles a signal that arrived just before
                        process.wait(1.0)
                return process.returncode
            finally:
                signal.signal(signal.SIGTERM, ended)
    finally:
        signal.signal(signal.SIGINT, interrupted)
