"""What may be asked of a row, and what is refused at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.alerting.conditions import (
    UNKNOWN,
    check_condition,
    codes,
    condition_text,
    price_condition,
)
from kitepolars.frames.schema import SCHEMA


@pytest.mark.parametrize(
    "condition",
    [
        kp.change() > 2,
        kp.imbalance() > 0.6,
        kp.spread().is_not_null() & (pl.col("volume_traded") > 1_000),
        pl.col("symbol") == "NSE:INFY",
        pl.col("last_price").is_between(10, 20),
        pl.col("last_price") > pl.col("average_traded_price"),
        kp.crosses("last_price", 1_500),
        kp.crosses(kp.mid(), "average_traded_price", "down"),
    ],
)
def test_conditions_on_a_tick_are_taken(condition: Any) -> None:
    assert check_condition(condition, SCHEMA) is condition


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("last_price > 3", "a Polars expression"),
        (lambda row: row, "a Polars expression"),
        (pl.col("lastprice") > 3, "it names lastprice"),
        (kp.crosses("last_price", "resistance"), "it names resistance"),
        (pl.col("last_price"), "it is Float64"),
        (kp.change() - 2, "it is Float64"),
        (pl.col("last_price").max() > 3, "on the row itself"),
        (pl.col("last_price").diff() > 3, "on the row itself"),
        (kp.returns().over("instrument_token") > 0.01, "on the row itself"),
        (kp.indicators.rsi(of="last_price") < 30, "on the row itself"),
        (pl.lit(value=True), "on the row itself"),
        (pl.col("symbol") + 1 > 2, "the condition fails"),
    ],
)
def test_what_cannot_be_watched_is_refused(condition: Any, said: str) -> None:
    with pytest.raises(kp.ConfigError, match=said):
        check_condition(condition, SCHEMA)


@given(
    st.lists(st.sampled_from([True, False, None]), max_size=40),
    st.data(),
)
def test_truth_becomes_a_code_and_what_is_ignored_is_unknown(
    found: list[bool | None], data: st.DataObject
) -> None:
    code = {True: 1, False: 0, None: UNKNOWN}
    series = pl.Series(found, dtype=pl.Boolean)
    assert codes(series).tolist() == [code[each] for each in found]
    skipped = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    some = codes(series, np.array(skipped, bool))
    expected = [UNKNOWN if skip else code[each] for each, skip in zip(found, skipped, strict=True)]
    assert some.tolist() == expected
    assert some.dtype == np.uint8


def test_a_direction_is_one_of_three() -> None:
    with pytest.raises(kp.ConfigError, match="'up'"):
        kp.crosses("last_price", 1, "sideways")  # type: ignore[arg-type]


def test_a_crossing_says_what_it_is() -> None:
    assert str(kp.crosses("last_price", 1_500, "up")) == "last_price crosses above 1500"


@pytest.mark.parametrize(
    ("condition", "level"),
    [
        (kp.crosses("last_price", 1_500, "up"), 1500.0),
        (kp.crosses("last_price", pl.lit(1499.5)), 1499.5),
        (kp.crosses("last_price", "average_traded_price"), None),
        (kp.crosses("volume_traded", 1_500), None),
        (kp.crosses("last_price", float("inf")), None),
        (pl.col("last_price") > 1_500, 1500.0),
        (pl.lit(3) < pl.col("last_price"), 3.0),
        (pl.col("last_price") * 2 > 3, None),
        (pl.col("last_price").is_between(1, 2), None),
        (pl.col("last_price").is_in([1.0]), None),
        (pl.col("last_price") > pl.lit(None), None),
        (kp.change() > 2, None),
    ],
)
def test_the_price_that_a_condition_is_about_is_known(condition: Any, level: float | None) -> None:
    found = price_condition(condition)
    assert (found and found.level) == level


@pytest.mark.parametrize(
    ("condition", "moved"),
    [
        (pl.col("last_price") >= 1_500, pl.col("last_price") >= 10.0),
        (pl.lit(1_500) < pl.col("last_price"), pl.lit(10.0) < pl.col("last_price")),
        (kp.crosses("last_price", 1_500, "up"), kp.crosses("last_price", 10.0, "up")),
        (kp.crosses(pl.lit(1_500), "last_price"), kp.crosses(pl.lit(10.0), "last_price")),
    ],
)
def test_the_same_condition_for_another_price(condition: Any, moved: Any) -> None:
    found = price_condition(condition)
    assert found is not None
    assert condition_text(found.at(10.0)) == condition_text(moved)
