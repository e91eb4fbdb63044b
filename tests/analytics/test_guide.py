"""The guide runs, shows each function, and what it shows is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import kitepolars.analytics as ka

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "analysis.md"
TEXT = GUIDE.read_text("utf-8")


def test_the_blocks_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(
        r"^(<!-- not run[^\n]*\n)?```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL
    )
    for code in (code for reason, code in blocks if not reason):
        exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - our own page
    assert names["bars"].height == 24
    assert names["five_minutes"].height == 4
    assert names["watch"]["range_position"].is_between(0, 1).all()
    first = names["bars"].filter(instrument_token=408065).row(0, named=True)
    assert (first["volume"], first["ticks"]) == (59 * 25, 60)
    assert names["live_chain"].height == 7
    assert set(names["batch"]["symbol"]) == {"NSE:INFY"}
    said = capsys.readouterr().out.splitlines()[-3:]
    assert "'15m'" in said[0]
    assert "lacks columns for depth: bid_price" in said[1]
    assert "did you mean NSE:INFY" in said[2]


@pytest.mark.parametrize("name", [n for n in ka.__all__ if inspect.isfunction(getattr(ka, n))])
def test_each_function_is_shown(name: str) -> None:
    assert re.search(rf"\b(ka|kp)\.{name}\(", TEXT)


def test_the_page_makes_ticks_of_the_contracts_columns() -> None:
    names: dict[str, Any] = {}
    exec(TEXT.split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own page
    ticks: pl.DataFrame = names["ticks"]
    assert ticks["received_at"].is_sorted()
    assert ticks.schema["exchange_timestamp"] == pl.Datetime("us", "Asia/Kolkata")
