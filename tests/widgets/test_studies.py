"""The indicators of a chart: how they are written, and their values."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.widgets.studies import STUDY_KINDS, ChartStudy, studies_from, study_menu

BARS = 60
PRICES = 100 + np.cumsum(np.random.default_rng(3).normal(0, 1, BARS))
CANDLES = pl.DataFrame(
    {
        "instrument_token": np.full(BARS, 408065, np.uint32),
        "start": [
            dt.datetime(2026, 11, 26, 9, 15, tzinfo=IST) + dt.timedelta(minutes=k)
            for k in range(BARS)
        ],
        "open": PRICES,
        "high": PRICES + 1,
        "low": PRICES - 1,
        "close": PRICES + 0.5,
        "volume": np.full(BARS, 100, np.uint64),
        "is_partial": [False] * (BARS - 1) + [True],
    }
)


@pytest.mark.parametrize("name", STUDY_KINDS)
def test_every_kind_in_the_menu_can_be_drawn(name: str) -> None:
    study = ChartStudy({text.split("(")[0]: text for text, _ in study_menu()}[name])
    values = study.values(CANDLES)
    assert values.shape == (BARS, len(study.lines))
    assert np.isfinite(values[-1]).any()


def test_values_are_those_of_the_indicator_bar_by_bar() -> None:
    study = ChartStudy("ema(5)")
    for height in (10, 11, BARS):
        study.values(CANDLES.head(height))
    expected = CANDLES.select(kp.indicators.ema(5)).to_series().to_numpy()
    np.testing.assert_array_equal(study.values(CANDLES)[:, 0], expected)


def test_studies_are_written_in_one_way_and_drawn_once() -> None:
    texts = [study.text for study in studies_from(["ema", " ema( 20 ) ", "ema(50)"])]
    assert texts == ["ema(20)", "ema(50)"]


@pytest.mark.parametrize(
    "text", ["nosuch", "ema(x)", "ema(1, 2, 3)", "ema(20", "ema(0)", "__import__('os')"]
)
def test_what_is_no_study_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        ChartStudy(text)


def test_a_chart_has_room_for_a_few() -> None:
    with pytest.raises(ConfigError, match="at most"):
        studies_from([f"sma({period})" for period in range(2, 12)])
