"""How long bars can be, what they can be cut on, and which hours have them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from kitepolars.analytics import candles
from kitepolars.analytics.bars import parse_interval
from kitepolars.errors import ConfigError

TicksOf = Callable[..., pl.DataFrame]


@pytest.mark.parametrize(
    "every",
    [
        *("0s", "500ms", "2d", "1w", "", "m1", "1.5m", "-1m", "25h", None, 60),
        *(dt.timedelta(0), dt.timedelta(seconds=1.5), dt.timedelta(days=1, seconds=1)),
    ],
)
def test_an_impossible_interval_says_what_works(ticks_of: TicksOf, every: Any) -> None:
    with pytest.raises(ConfigError, match=r"every must be .*'30s'.*'15m'.*'1d'") as info:
        candles(ticks_of(("10:00:30", 1.0, 10)), every)
    assert info.value.field == "every"


@pytest.mark.parametrize(
    "every", ["90s", "minute", "10minute", "15min", "30sec", "2h", dt.timedelta(minutes=3)]
)
def test_other_intervals_work(ticks_of: TicksOf, every: Any) -> None:
    assert candles(ticks_of(("10:00:30", 1.0, 10)), every).height == 1


@pytest.mark.parametrize(("said", "meant"), [("1min", "1m"), ("5minute", "5m"), ("30sec", "30s")])
def test_the_words_of_others_for_an_interval(said: str, meant: str) -> None:
    assert parse_interval(said) == parse_interval(meant)
