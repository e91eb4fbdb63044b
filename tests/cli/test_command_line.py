from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from kitepolars import cli
from kitepolars._version import __version__
from kitepolars.errors import NotRunning
from patience import PATIENCE


def substitute(monkeypatch: pytest.MonkeyPatch, run: Callable[[object], int]) -> None:
    """Put a command ``stub`` in the place of all others."""
    stub = SimpleNamespace(HELP="nothing", add_arguments=lambda _: None, run=run)
    monkeypatch.setattr(cli, "SUBCOMMANDS", {"stub": stub})


def test_as_a_module_it_says_its_version() -> None:
    command = [sys.executable, "-m", "kitepolars", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert finished.stdout == f"kitepolars {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["unheard-of"], ["demo", "--unheard-of"]])
def test_a_wrong_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(arguments)
    assert refusal.value.code == 2
    assert "usage: kitepolars" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(cli.SUBCOMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        cli.main([name, "--help"])
    assert leave.value.code == 0
    assert f"usage: kitepolars {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--instruments", "0"),
        ("--instruments", "9001"),
        ("--instruments", "many"),
        ("--seconds", "0"),
        ("--seconds", "-1"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--rate", "0"),
    ],
)
def test_the_demonstration_refuses_what_is_out_of_range(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(["demo", option, value])
    assert refusal.value.code == 2
    assert option in capsys.readouterr().err


def test_the_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, lambda _: 7)
    assert cli.main(["stub"]) == 7


def test_an_error_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise NotRunning("start it first")

    substitute(monkeypatch, fail)
    assert cli.main(["stub"]) == 1
    assert capsys.readouterr().err == "kitepolars: start it first\n"


def test_any_other_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise LookupError("a fault of the program")

    substitute(monkeypatch, fail)
    with pytest.raises(LookupError):
        cli.main(["stub"])


def test_control_c_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    substitute(monkeypatch, interrupt)
    assert cli.main(["stub"]) == 130
