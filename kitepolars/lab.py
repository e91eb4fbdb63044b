"""``kitepolars lab``: copies the notebooks to a folder and opens JupyterLab there. Main thread.

The notebooks come with the package, or from the clone that it runs from. A
copy that is there already is the user's, and is never overwritten.
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
    """Return the notebooks that come with kitepolars, in their order.

    Raises
    ------
    KitePolarsError
        If there are none beside the package.
    """
    found = sorted(PACKAGED.glob("*.ipynb")) or sorted(CLONED.glob("*.ipynb"))
    if not found:
        raise KitePolarsError(f"no notebooks in {PACKAGED} or {CLONED}: install the package again")
    return found


def copy_notebooks(folder: str | Path) -> list[Path]:
    """Copy the notebooks into a folder, which is made if need be.

    Parameters
    ----------
    folder
        Where to. Files that are there are left as they are.

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
    with target.open("xb") as file:  # never over a file that has just appeared
        file.write(source.read_bytes())
    return target


def changed(folder: str | Path) -> list[Path]:
    """Return the copies in a folder whose cells are not those of the notebooks here.

    The user changed them, or they came with another version. Outputs do not count.
    """
    pairs = ((Path(folder).expanduser() / source.name, source) for source in notebooks())
    return [copy for copy, source in pairs if copy.exists() and _cells(copy) != _cells(source)]


def _cells(notebook: Path) -> list[tuple[str, str]] | None:
    """Return kind and text of each cell; None if the file is no notebook (any more)."""
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
        Where to work.
    open_browser
        Whether JupyterLab opens a browser.
    allow_root
        Whether it may run as root, as in a container. It refuses otherwise.

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
    """Run a command until it ends. A terminal's Ctrl-C is its own to answer; our end is its end."""
    sys.stdout.flush()  # into a file, too, what was said before it stands before it
    interrupted = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, cwd=folder) as process:  # noqa: S603 - our own interpreter
            ended = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):  # a signal just before is seen then
                        process.wait(1.0)
                return process.returncode
            finally:
                signal.signal(signal.SIGTERM, ended)
    finally:
        signal.signal(signal.SIGINT, interrupted)
