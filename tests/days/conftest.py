"""What tests of days share: a recording, and what a live ticker would have shown of it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import kitepolars as kp
from days.market import record_market


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that crosses a quarter of an hour, in several segments."""
    folder = tmp_path_factory.mktemp("journal") / "ticks"
    record_market(folder)
    return folder


@pytest.fixture(scope="session")
def ticks(journal: Path) -> pl.DataFrame:
    """Return its ticks in arrival order."""
    return kp.read_journal(journal).collect()
