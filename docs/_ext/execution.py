"""Executes the cells of pages, several kernels beside each other: most pages wait for their market.

What a page shows depends on its cells and on the package; while neither changes, the outputs of an
earlier build are used. Pages that need an account have one on loopback.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

if TYPE_CHECKING:
    from pages import Page

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
AT_ONCE: Final = 4
TIMEOUT: Final = 300
"""Seconds for a cell, on a machine that is busy."""
STARTUP_TIMEOUT: Final = 120
RECORDED: Final = "6"
"""Seconds of each widget that a page plays."""


def run(pages: Sequence[Page], *, source: Path, cache: Path) -> list[str]:
    """Execute the pages of a folder in place; return what failed, in words.

    Parameters
    ----------
    pages
        Pages that are notebooks there.
    source
        The folder.
    cache
        Where outputs are kept between builds.
    """
    sys.path.insert(0, str(TESTS))
    from examples.account import StandIn  # noqa: PLC0415 - it is among the tests

    cache.mkdir(parents=True, exist_ok=True)
    package = _package()
    with (
        StandIn() as account,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        environment = os.environ | _environment(Path(folder)) | account.environment

        def executed(page: Page) -> str | None:
            path = source / f"{page.name}.ipynb"
            kept = cache / f"{_digest(path.read_bytes(), package)}.ipynb"
            if not kept.exists():
                notebook = nbformat.read(path, as_version=4)
                try:
                    _execute(notebook, Path(folder) / page.name, environment)
                except CellExecutionError as error:
                    return f"{page.name} ({page.source}):\n{error}"
                kept.write_text(nbformat.writes(notebook), "utf-8")
                print(f"executed {page.name}", flush=True)
            shutil.copyfile(kept, path)
            return None

        longest_first = sorted(pages, key=lambda page: page.source.suffix != ".ipynb")
        return [failure for failure in pool.map(executed, longest_first) if failure]


def _execute(notebook: NotebookNode, folder: Path, environment: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        startup_timeout=STARTUP_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=True,
        extra_arguments=["--log-level=ERROR"],
    )
    # Recorders claim an API key in the folder for temporary files: here, all pages have the same.
    client.execute(env=environment | {"TMPDIR": str(folder)})


def _environment(folder: Path) -> dict[str, str]:
    """Return what kernels need: the machine's own Python, a profile of ours, recorded widgets."""
    profile = folder / "ipython"
    shutil.copytree(ROOT / "docs" / "_kernel", profile)
    return {
        "IPYTHONDIR": str(profile),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "KITEPOLARS_RECORD_WIDGETS": RECORDED,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONPATH": str(TESTS),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def _package() -> bytes:
    """Return a digest of everything that outputs may depend on, besides the cells."""
    digest = hashlib.sha256(RECORDED.encode())
    files = [
        *(ROOT / "kitepolars").rglob("*.py"),
        *(ROOT / "kitepolars").glob("*.[ch]"),
        *(ROOT / "kitepolars" / "widgets" / "static").glob("*"),
        *(ROOT / "docs" / "_kernel").rglob("*.py"),
    ]
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _digest(cells: bytes, package: bytes) -> str:
    return hashlib.sha256(package + cells).hexdigest()[:24]
