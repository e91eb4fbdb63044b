"""Each way of storing packets gives the same to the last bit, on other processors, too."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("ways.c")
ZIG = (sys.executable, "-m", "ziglang", "cc")
FLAGS = ("-std=c11", "-O3", "-Wall", "-Wextra", "-Werror")


def needs(found: object, what: str) -> None:
    """Skip where something is missing, except where everything must be there."""
    if not found:
        assert not os.environ.get("CI"), f"{what} is missing"
        pytest.skip(f"{what} is missing")


def compared(compiler: tuple[str, ...], program: Path, runner: tuple[str, ...] = ()) -> list[str]:
    """Compile the comparison and run it; return what it prints."""
    subprocess.run([*compiler, *FLAGS, "-o", str(program), str(SOURCE)], check=True)
    done = subprocess.run([*runner, str(program)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_every_way_of_this_processor(tmp_path: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    needs(shutil.which(compiler[0]), "a C compiler")
    lines = compared(tuple(compiler), tmp_path / "ways")
    assert lines == [f"way {way} same" for way in range(len(lines))]
    assert lines


def test_zig_builds_the_ways_that_the_machine_s_compiler_builds(tmp_path: Path) -> None:
    needs(importlib.util.find_spec("ziglang"), "ziglang")
    needs(shutil.which("cc"), "a C compiler")
    with_zig = compared(ZIG, tmp_path / "zig")
    assert with_zig == compared(("cc",), tmp_path / "cc")


def test_the_vectors_of_arm(tmp_path: Path) -> None:
    needs(importlib.util.find_spec("ziglang"), "ziglang")
    needs(shutil.which("qemu-aarch64"), "qemu-aarch64")
    compiler = (*ZIG, "-target", "aarch64-linux-musl")
    lines = compared(compiler, tmp_path / "arm", ("qemu-aarch64",))
    assert lines == [f"way {way} same" for way in range(3)]
