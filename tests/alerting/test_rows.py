"""New ticks where they lie in a buffer are those of the frame: values, nulls, times, symbols."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.alerting.rows import RowsToCheck
from kitepolars.calendar import IST
from kitepolars.frames.held import Held
from kitepolars.frames.index import TokenIndex
from kitepolars.frames.schema import SCHEMA
from kitepolars.playback import SAMPLE


@pytest.fixture(scope="module")
def held() -> Held:
    """Ticks of shares and an index, in chunks and a live tail."""
    begin = dt.datetime(2026, 11, 20, 10, tzinfo=IST)
    bound = kp.Retention(max_rows=800)
    ticker = kp.replay(SAMPLE, end=begin + dt.timedelta(seconds=20), speed=None, retention=bound)
    ticker.play(progress=False)
    ticker.stop()
    found = ticker._held()
    assert found.sealed_rows > 0
    assert found.length > 20
    return found


@pytest.mark.parametrize("back", [1, 7, 20])
def test_columns_in_place_are_those_of_the_frame(held: Held, back: int) -> None:
    begin = held.total - back
    rows = RowsToCheck.of_ticks(held, begin, TokenIndex())
    frame = held.since(begin)
    assert rows.columns is not None
    assert rows.times.tolist() == frame["received_at"].dt.epoch("us").to_list()
    assert rows.are("is_snapshot").tolist() == frame["is_snapshot"].to_list()
    for name, dtype in SCHEMA.items():
        if not dtype.is_numeric() and not isinstance(dtype, pl.Array):
            continue
        values, valid = rows.columns.column(name)
        there = np.full(back, fill_value=True) if valid is None else valid
        assert there.tolist() == frame[name].is_not_null().to_list()
        assert values[there].tolist() == frame[name].drop_nulls().to_list()


def test_sealed_rows_are_read_as_a_frame(held: Held) -> None:
    rows = RowsToCheck.of_ticks(held, held.first, TokenIndex())
    assert rows.columns is None
    assert len(rows) == held.height
    assert rows.are("is_snapshot").tolist() == held.frame()["is_snapshot"].to_list()
    assert rows.select(("symbol",))["symbol"].equals(held.frame()["symbol"])


@pytest.mark.parametrize("is_in_place", [True, False])
def test_some_rows_and_what_fired(held: Held, *, is_in_place: bool) -> None:
    begin = held.total - 20 if is_in_place else held.first
    some = np.array([2, 3, 11])
    rows = RowsToCheck.of_ticks(held, begin, TokenIndex()).only(some)
    frame = held.since(begin)[some]
    if rows.columns is not None:
        assert rows.columns.column("last_price")[0].tolist() == frame["last_price"].to_list()
    fired = rows.fired("here", np.array([0, 2]))
    want = frame[[0, 2]].select(
        fired_at="received_at",
        name=pl.lit("here"),
        instrument_token="instrument_token",
        symbol=pl.col("symbol").cast(pl.String),
        price="last_price",
    )
    assert fired.schema == kp.ALERTS
    assert_frame_equal(fired, want)
