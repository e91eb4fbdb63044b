"""The matrix: which Pythons are found, what is installed, and what is said when something fails."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import matrix
from matrix import CELLS, Cell, Result


def executable(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_oldest_and_the_newest_dependencies_are_covered() -> None:
    assert [cell.name for cell in CELLS] == ["3.11-oldest", "3.11", "3.12", "3.13", "3.14"]


def test_a_python_that_does_not_work_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin", "python3.99", "exit 1")
    works = executable(tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin", "python3.99", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert matrix.interpreter("3.99") == works
    assert matrix.interpreter("3.98") is None
    assert matrix.tested(Cell("3.98", "highest"), []).outcome == "not on this machine"


def test_versions_of_an_environment() -> None:
    said = matrix.versions_in(Path(sys.executable)).split()
    assert said == [version(name) for name in matrix.SHOWN]


def test_what_cannot_be_installed_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "WORK", tmp_path)
    monkeypatch.setattr(matrix, "UV", (sys.executable, "-c", "import sys; sys.exit('no network')"))
    monkeypatch.setattr(matrix, "interpreter", lambda _: Path(sys.executable))
    result = matrix.tested(CELLS[0], [])
    assert not result.has_passed
    assert "not installed" in result.outcome
    assert (tmp_path / "3.11-oldest.log").read_text() == "no network\n"


def test_one_failure_fails_the_matrix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {"3.12": Result("2.1.0", "9 passed", 1, has_passed=True)}
    outcomes["3.13"] = Result("2.1.0", "1 failed", 1, has_passed=False)
    asked: list[list[str]] = []

    def tested(cell: Cell, tests: list[str]) -> Result:
        asked.append(tests)
        return outcomes[cell.name]

    monkeypatch.setattr(matrix, "tested", tested)
    monkeypatch.setattr(sys, "argv", ["matrix.py", "3.12", "--tests", "tests/wire -x"])
    assert matrix.main() == 0
    monkeypatch.setattr(sys, "argv", ["matrix.py", "3.12", "3.13"])
    assert matrix.main() == 1
    assert "1 failed" in capsys.readouterr().out
    assert asked == [["tests/wire", "-x"], ["tests"], ["tests"]]
