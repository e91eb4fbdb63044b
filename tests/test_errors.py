"""How errors show themselves in IPython: the message and the caller's line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

CALL = "tokens = kp.Instruments.from_records([]).resolve('NSE:INFY')"


@pytest.fixture
def shell() -> Iterator[Any]:
    InteractiveShell.clear_instance()
    shell: Any = InteractiveShell.instance()
    shell.run_cell("import kitepolars as kp", store_history=True)
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def shown(shell: Any, capsys: pytest.CaptureFixture[str], cell: str) -> str:
    """Return what IPython prints for a cell, without colours."""
    shell.run_cell(cell, store_history=True)
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


def test_an_error_is_its_message_and_the_line_of_the_caller(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    message, place, hint = shown(shell, capsys, f"x = 1\n{CALL}").strip().splitlines()
    assert message.startswith("UnknownInstrument: unknown instrument 'NSE:INFY'")
    assert re.fullmatch(rf"  Cell In\[\d+\], line 2: {re.escape(CALL)}", place)
    assert hint == "  (%tb Verbose shows the whole traceback)"


def test_the_line_is_that_of_the_users_function(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = f"def mine():\n    {CALL}\n\nmine()"
    assert "line 2: tokens = " in shown(shell, capsys, cell)


def test_the_whole_traceback_is_there_on_request(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    short = shown(shell, capsys, CALL)
    whole = shown(shell, capsys, "%tb Verbose")
    assert "names.py" in whole
    assert whole.count("\n") > 4 * short.count("\n")
    assert shown(shell, capsys, "%tb").count("\n") == short.count("\n")


def test_other_errors_are_shown_as_ever(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" in shown(shell, capsys, "1 / 0")
