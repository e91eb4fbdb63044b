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
BARE = Path(__file__).with_name("bare.c")
ZIG = (sys.executable, "-m", "ziglang")
FLAGS = ("-std=c11", "-O3", "-Wall", "-Wextra", "-Werror")


def needs(found: object, what: str) -> None:
    """Skip where something is missing, except where everything must be there."""
    if not found:
        assert not os.environ.get("CI"), f"{what} is missing"
        pytest.skip(f"{what} is missing")


def run(*command: object) -> list[str]:
    """Run a command; return the lines that it prints."""
    done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def test_every_way_of_this_processor(tmp_path: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    needs(shutil.which(compiler[0]), "a C compiler")
    run(*compiler, *FLAGS, "-o", tmp_path / "ways", SOURCE)
    lines = run(tmp_path / "ways")
    assert lines == [f"way {way} same" for way in range(len(lines))]
    assert lines


def test_zig_builds_the_ways_that_the_machine_s_compiler_builds(tmp_path: Path) -> None:
    needs(importlib.util.find_spec("ziglang"), "ziglang")
    needs(shutil.which("cc"), "a C compiler")
    # linked by `cc`, because Zig would first build its own runtime library
    run(*ZIG, "cc", *FLAGS, "-c", "-fPIC", "-o", tmp_path / "ways.o", SOURCE)
    run("cc", "-o", tmp_path / "zig", tmp_path / "ways.o")
    run("cc", *FLAGS, "-o", tmp_path / "cc", SOURCE)
    assert run(tmp_path / "zig") == run(tmp_path / "cc")


def test_the_vectors_of_arm(tmp_path: Path) -> None:
    needs(importlib.util.find_spec("ziglang"), "ziglang")
    needs(shutil.which("qemu-aarch64"), "qemu-aarch64")
    compiler = (*ZIG, "cc", "-target", "aarch64-linux-musl", *FLAGS, "-c")
    run(*compiler, "-o", tmp_path / "ways.o", SOURCE)
    run(*compiler, "-ffreestanding", "-o", tmp_path / "bare.o", BARE)
    run(*ZIG, "ld.lld", "-o", tmp_path / "arm", tmp_path / "ways.o", tmp_path / "bare.o")
    lines = run("qemu-aarch64", tmp_path / "arm")
    assert lines == [f"way {way} same" for way in range(3)]
