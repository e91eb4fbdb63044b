"""The live table's columns: each is computed from `latest()`; NaN where a value is absent."""

from __future__ import annotations

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.widgets.columns import COLUMNS, checked_columns, expressions


def test_every_column_comes_from_the_latest_ticks() -> None:
    latest = kp.latest(pl.DataFrame(schema=SCHEMA))
    made = latest.select(expressions(list(COLUMNS)))
    assert made.schema == dict.fromkeys(COLUMNS, pl.Float64())


def test_what_is_absent_is_not_a_number() -> None:
    latest = kp.latest(pl.DataFrame(schema=SCHEMA).clear(n=1))
    made = latest.select(expressions(list(COLUMNS)))
    assert all(value != value for value in made.row(0))  # noqa: PLR0124 - NaN differs from itself


def test_an_unknown_column_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="last_price"):
        checked_columns(["last_prise"])


def test_known_columns_are_taken_in_their_order() -> None:
    assert checked_columns(["volume_traded", "change"]) == ("volume_traded", "change")
