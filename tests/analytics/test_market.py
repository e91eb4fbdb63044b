"""The last row of each instrument, and who moves, with every value stated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars.analytics as ka
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA

TicksOf = Callable[..., pl.DataFrame]


def watch(ticks_of: TicksOf) -> pl.DataFrame:
    names = "close high low"
    return pl.concat(
        [
            ticks_of(("10:00:00", 100.0, 1, 98.0, 110.0, 90.0), token=257, names=names),
            ticks_of(("10:00:01", 50.0, 1, 60.0, 50.0, 50.0), token=513, names=names),
            ticks_of(("10:00:10", 105.0, 2, 98.0, 110.0, 90.0), token=257, names=names),
            ticks_of(("10:00:12", 7.0, 2, None, None, None), token=769, names=names),
        ]
    )


def test_latest(ticks_of: TicksOf) -> None:
    rows = ka.latest(watch(ticks_of))
    assert rows.columns[:6] == [
        "instrument_token",
        "symbol",
        "last_price",
        "change",
        "range_position",
        "staleness",
    ]
    seconds = [dt.timedelta(seconds=s) for s in (2, 11, 0)]
    assert rows["instrument_token"].to_list() == [257, 513, 769]
    assert rows["last_price"].to_list() == [105.0, 50.0, 7.0]
    assert rows["change"].to_list() == [pytest.approx(700 / 98), pytest.approx(-1000 / 60), None]
    assert rows["range_position"].to_list() == [0.75, None, None]
    assert rows["staleness"].to_list() == seconds
    assert_frame_equal(ka.latest(watch(ticks_of).lazy()).collect(), rows)


def test_latest_at_a_time(ticks_of: TicksOf) -> None:
    now = dt.datetime(2026, 11, 20, 4, 31, 12, tzinfo=dt.UTC)  # 10:01:12 IST
    rows = ka.latest(watch(ticks_of), now=now)
    assert rows["staleness"].to_list() == [dt.timedelta(seconds=s) for s in (62, 71, 60)]
    for wrong in (now.replace(tzinfo=None), 5):
        with pytest.raises(ConfigError, match="time zone"):
            ka.latest(watch(ticks_of), now=wrong)  # type: ignore[arg-type]


def test_latest_keeps_all_columns(random_ticks: Callable[..., pl.DataFrame]) -> None:
    ticks = random_ticks(0, days=1)
    rows = ka.latest(ticks)
    assert set(rows.columns) == {*SCHEMA, "change", "range_position", "staleness"}
    assert rows.height == ticks["instrument_token"].n_unique()
    assert ka.latest(ticks.clear()).height == 0


def test_movers(ticks_of: TicksOf) -> None:
    rows = pl.DataFrame(
        {
            "instrument_token": [1, 2, 3, 4, 5, 6],
            "symbol": list("abcdef"),
            "last_price": [1.0] * 6,
            "change": [1.5, -2.0, 3.0, None, 0.0, -5.0],
        }
    )
    want = [("gainer", 1, 3), ("gainer", 2, 1), ("loser", 1, 6), ("loser", 2, 2)]
    got = ka.movers(rows, 5)
    assert got.select("mover", "rank", "instrument_token").rows() == want
    assert ka.movers(rows, 1)["symbol"].to_list() == ["c", "f"]
    assert_frame_equal(ka.movers(rows.lazy(), 5).collect(), got)
    ticks = watch(ticks_of)
    assert ka.movers(ticks)["instrument_token"].to_list() == [257, 513]
    assert_frame_equal(ka.movers(ka.latest(ticks)), ka.movers(ticks))


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_movers_are_a_positive_number(ticks_of: TicksOf, n: Any) -> None:
    with pytest.raises(ConfigError, match="n must be a whole number from 1"):
        ka.movers(watch(ticks_of), n)


def test_missing_columns_are_named(ticks_of: TicksOf) -> None:
    ticks = watch(ticks_of)
    with pytest.raises(ConfigError, match="latest: last_price"):
        ka.latest(ticks.drop("last_price"))
    with pytest.raises(ConfigError, match="movers of ticks: close"):
        ka.movers(ticks.drop("close"))


def test_a_contract_that_has_not_traded_moves_nothing() -> None:
    ticks = pl.DataFrame(
        {
            "instrument_token": [1, 2],
            "last_price": [0.0, 9.0],
            "close": [10.0, 10.0],
            "high": [12.0, 12.0],
            "low": [8.0, 8.0],
        }
    )
    assert ka.movers(ticks)["instrument_token"].to_list() == [2]
    assert ka.latest(ticks)["range_position"].to_list() == [None, 0.25]
