"""Tests mirror the source: `wire/decode.py` has `wire/test_decode.py`, or a row names another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

import kitepolars

PACKAGE: Final = Path(kitepolars.__file__).parent
TESTS: Final = Path(__file__).parent

ELSEWHERE: Final = {
    # what a whole process or the network does is tested where it is one
    "__main__.py": "cli/test_command_line.py",
    "sim/__main__.py": "sim/test_standalone.py",
    "recorder/__main__.py": "recorder/test_process.py",
    "days/__main__.py": "recorder/test_publishing.py",
    "sim/listings.py": "sim/test_instruments.py",
    "sim/prices.py": "sim/test_market.py",
    # compiled loops are tested with what calls them, each against plain Python
    "native.py": "wire/test_ways.py",
    "wire/scan.py": "wire/test_decode.py",
    "analytics/candle_input.py": "analytics/test_engine.py",
    "analytics/columns.py": "analytics/test_market.py",
    "analytics/technical/averages.py": "analytics/technical/test_talib.py",
    "analytics/technical/indicator.py": "analytics/technical/test_growing.py",
    "analytics/technical/oscillators.py": "analytics/technical/test_talib.py",
    "analytics/technical/profile.py": "analytics/technical/test_sessions.py",
    "analytics/technical/scan.py": "analytics/technical/test_growing.py",
    "analytics/technical/trend.py": "analytics/technical/test_talib.py",
    # parts of one machine, tested with it
    "alerting/sources.py": "alerting/test_rules.py",
    "days/beside.py": "days/test_publish.py",
    "days/journals.py": "days/test_publish.py",
    "days/pieces.py": "days/test_publish.py",
    "days/register.py": "days/test_tidy.py",
    "days/verify.py": "days/test_tidy.py",
    "days/manifest.py": "days/test_publish.py",
    "days/parquet.py": "days/test_publish.py",
    "days/scan.py": "days/test_selection.py",
    "demonstration.py": "cli/test_demo.py",
    "frames/schema.py": "test_cheap_changes.py",
    "frames/times.py": "test_pipeline.py",
    "journal/compression.py": "journal/test_segments.py",
    "journal/repair.py": "cli/test_journal.py",
    "playback.py": "recordings/test_replay.py",
    "recordings/frames.py": "recordings/test_replay.py",
    "source.py": "journal/test_codec.py",
    "ticker/kept_candles.py": "ticker/test_answers.py",
    "ticker/stats.py": "ticker/test_runtime.py",
    "widgets/reading.py": "widgets/test_view.py",
}
"""Modules without a test module of their name → the one that tests them."""

MODULES: Final = [
    str(path.relative_to(PACKAGE))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in {"__init__.py", "_version.py"}
]


def where_tested(module: str) -> Path:
    """Return the file with the tests of a module."""
    return TESTS / ELSEWHERE.get(module, "/".join(filter(None, named(module))))


def named(module: str) -> tuple[str, str]:
    """Return the folder and the name of a module's own tests."""
    folder, _, name = module.rpartition("/")
    return folder, f"test_{name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_tests_that_a_reader_finds(module: str) -> None:
    assert where_tested(module).is_file()


def test_the_table_names_only_what_needs_it() -> None:
    assert [module for module in ELSEWHERE if module not in MODULES] == []
    assert [module for module in ELSEWHERE if TESTS.joinpath(*named(module)).exists()] == []
