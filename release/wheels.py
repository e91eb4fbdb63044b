"""Builds the wheels of a release and its source distribution, checks each, and runs what runs here.

``make wheels`` puts them into ``dist``; ``ARGS="musllinux win"`` builds those whose tags contain
one of the words. What a wheel is run on is the last column of the table that it prints: a machine
like its own, an emulated one, or none.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parents[1]
DIST: Final = ROOT / "dist"
WORK: Final = ROOT / "build"
ARM64: Final = WORK / "arm64"
MUSL: Final = Path("/lib/ld-musl-x86_64.so.1")
LARGEST: Final = 2_000_000
"""Bytes of a wheel; today it has 0.9 million."""

sys.path.append(str(ROOT))
from hatch_build import FLAGS, PLATFORMS, STATIC, ZIG, library_name  # noqa: E402

MAGIC: Final = {"linux": b"\x7fELF", "macos": b"\xcf\xfa\xed\xfe", "windows": b"MZ"}
PROCESSORS: Final = {  # numbers of the formats ELF, Mach-O and PE
    ("linux", "x86_64"): 0x3E,
    ("linux", "aarch64"): 0xB7,
    ("macos", "x86_64"): 0x01000007,
    ("macos", "aarch64"): 0x0100000C,
    ("windows", "x86_64"): 0x8664,
    ("windows", "aarch64"): 0xAA64,
}
TESTS: Final = ("tests/wire", "tests/journal/test_format.py", "tests/frames/test_index.py")
NEEDS_COMPILER: Final = ("--ignore=tests/wire/test_ways.py",)
TEST_TOOLS: Final = ("pytest", "pytest-asyncio", "hypothesis", "kiteconnect==5.2.2")
GLIBC: Final = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_28")


class Unfit(Exception):
    """A distribution must not be published."""


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a command; return its output, or say what it said."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unfit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(tag: str = "", into: Path = DIST) -> Path:
    """Build the wheel for a platform, or the source distribution."""
    target = "wheel" if tag else "sdist"
    command = (sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into)
    run(*command, env={"KITEPOLARS_PLATFORM": tag})
    (built,) = into.glob(f"*-{tag}.whl" if tag else "*.tar.gz")
    return built


def expected_files(tag: str) -> set[str]:
    """Return what a wheel has to contain, besides its metadata."""
    tracked = run("git", "ls-files", "kitepolars").split()
    code = {name for name in tracked if not name.endswith((".c", ".h"))}
    bundles = {path.relative_to(ROOT).as_posix() for path in STATIC.glob("*")}
    notebooks = {f"kitepolars/notebooks/{path.name}" for path in ROOT.glob("notebooks/*.ipynb")}
    return code | bundles | notebooks | {f"kitepolars/{library_name(tag)}"}


def machine(tag: str) -> tuple[str, str]:
    """Return the system and the processor of a platform, as Zig calls them."""
    processor, system, *_ = PLATFORMS[tag].split("-")
    return system.partition(".")[0], processor


def check_library(library: bytes, tag: str) -> None:
    """Check that a compiled library is for the processor and the system of a wheel."""
    system, processor = machine(tag)
    if not library.startswith(MAGIC[system]):
        raise Unfit(f"the library is not one of {system}")
    header = int.from_bytes(library[0x3C:0x40], "little") if system == "windows" else 0
    place, size = {"linux": (18, 2), "macos": (4, 4), "windows": (header + 4, 2)}[system]
    number = int.from_bytes(library[place : place + size], "little")
    if number != PROCESSORS[system, processor]:
        raise Unfit(f"the library is for processor {number:#x}, not {processor}")


def check(wheel: Path, tag: str) -> None:
    """Check the name, the size, the contents and the library of a wheel."""
    if not wheel.name.endswith(f"-py3-none-{tag}.whl"):
        raise Unfit(f"{wheel.name} is not tagged {tag}")
    if wheel.stat().st_size > LARGEST:
        raise Unfit(f"{wheel.name} has {wheel.stat().st_size:,} bytes, more than {LARGEST:,}")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        if difference := names ^ expected_files(tag):
            raise Unfit(f"{wheel.name} lacks, or has too many: {sorted(difference)}")
        check_library(archive.read(f"kitepolars/{library_name(tag)}"), tag)
    run(sys.executable, "-m", "twine", "check", "--strict", wheel)
    if "linux" in tag:
        said = run(sys.executable, "-m", "auditwheel", "show", wheel)
        if f'"{tag.partition(".")[0]}"' not in " ".join(said.split()):
            raise Unfit(f"auditwheel does not find {tag} for {wheel.name}:\n{said}")


@cache
def emulator() -> tuple[str, ...]:
    """Return the command that runs programs for 64-bit ARM, or nothing."""
    if not all(map(shutil.which, ("qemu-aarch64", "apt-get", "dpkg-deb"))):
        return ()
    if not (ARM64 / "usr").exists():
        run(ROOT / "release" / "debian-python", ARM64, "arm64", "bookworm", "3.11")
    return ("qemu-aarch64", "-L", str(ARM64))


def runner(tag: str) -> tuple[str, ...] | None:
    """Return the command before a program of a platform that runs it here, or None."""
    kind = machine(tag)
    if kind == ("linux", "aarch64"):
        return emulator() or None
    if kind == ("windows", "x86_64"):
        return ("wine",) if shutil.which("wine") else None
    has_libc = "musl" not in tag or MUSL.exists()
    return () if has_libc and kind == (sys.platform, platform.machine()) else None


def open_library(wheel: Path, tag: str, command: Sequence[str]) -> str:
    """Open the library of a wheel with a program for its platform; return what it answers."""
    folder = WORK / "opened" / tag
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(f"kitepolars/{library_name(tag)}", folder)
    program = folder / "opens.exe"
    flags = ["-dynamic"] if "musl" in tag else []
    source = ROOT / "release" / "opens.c"
    run(*ZIG, "-target", PLATFORMS[tag], *FLAGS[:2], *flags, "-o", program, source)
    env = {"WINEDEBUG": "-all", "WINEPREFIX": str(WORK / "wine")}
    return run(*command, program, Path(library).relative_to(folder), env=env, cwd=folder).strip()


def test_here(wheel: Path) -> str:
    """Run tests on a wheel in a fresh environment of this machine; return their last line."""
    folder = WORK / "fresh"
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, *TEST_TOOLS)
    return run(python, "-P", "-m", "pytest", "-q", *TESTS).splitlines()[-1].strip("= ")


def test_emulated(wheel: Path) -> str:
    """Run tests on a wheel on an emulated ARM processor; return their last line."""
    site = WORK / "arm64-site"
    shutil.rmtree(site, ignore_errors=True)
    platforms = [f"--platform={glibc}_aarch64" for glibc in GLIBC]
    choose = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:")
    run(*pip, f"--target={site}", *platforms, *choose, wheel, *TEST_TOOLS[:-1])
    # The official client depends on packages without wheels.
    left_out = (*NEEDS_COMPILER, "--ignore=tests/wire/test_official_client.py")
    python = (*emulator(), str(ARM64 / "usr" / "bin" / "python3.11"))
    command = (*python, "-P", "-m", "pytest", "-q", *TESTS, *left_out)
    return run(*command, env={"PYTHONPATH": str(site)}).splitlines()[-1].strip("= ")


def tried(wheel: Path, tag: str) -> str:
    """Run a wheel as far as it can be run here, and return how."""
    command = runner(tag)
    if command is None:
        return "built only"
    answer = open_library(wheel, tag, command)
    on = command[0] if command else "this machine"
    if tag.startswith("manylinux"):
        answer += f"; {test_emulated(wheel) if command else test_here(wheel)}"
    return f"{on}: {answer}"


def main(words: Sequence[str]) -> None:
    """Build, check and run the wheels whose tags contain one of the words, or all."""
    table = Table("distribution", "KB", "checked", "run on")
    shutil.rmtree(DIST, ignore_errors=True)
    source = build()
    run(sys.executable, "-m", "twine", "check", "--strict", source)
    table.add_row(source.name, f"{source.stat().st_size // 1000:,}", "yes", "")
    for tag in PLATFORMS:
        if words and not any(word in tag for word in words):
            continue
        print(f"== {tag}", flush=True)
        wheel = build(tag)
        check(wheel, tag)
        table.add_row(tag, f"{wheel.stat().st_size // 1000:,}", "yes", tried(wheel, tag))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Unfit as unfit:
        sys.exit(f"Not fit to be published: {unfit}")
