"""How errors show themselves in IPython: the message and the caller's line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import kitepolars as kp
from kitepolars.errors import KitePolarsError
from kitepolars.sim import SimulatedKite

REFUSED: tuple[Callable[[], object], ...] = (
    lambda: kp.Ticker("", "token"),
    lambda: kp.Ticker("key", "token", url="ws://192.0.2.1/"),
    lambda: kp.Ticker("key", "token").record("/dev/null/ticks"),
    lambda: kp.CandleBuilder("7q"),
    lambda: SimulatedKite(rate=-1),
)
"""Calls whose constructors raise when a part of the object has been made."""

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


@pytest.mark.parametrize("call", REFUSED)
def test_a_half_made_object_shows_itself_in_a_traceback(call: Callable[[], object]) -> None:
    with pytest.raises(KitePolarsError) as caught:
        call()
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    made = [frame.f_locals["self"] for frame in frames if "self" in frame.f_locals]
    assert made
    assert all(repr(one) for one in made)
