from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kitepolars.days import order
from kitepolars.days.parquet import TABLE_SCHEMA

MINUTE = pl.col("received_at").dt.truncate("1m")
TOKENS = st.one_of(st.integers(1, 4), st.integers(2**16 - 2, 2**16 + 2), st.integers(0, 2**32 - 1))
SECONDS = st.integers(0, 200)


@st.composite
def ticks_of_recorders(draw: st.DrawFn) -> pl.DataFrame:
    """Return the ticks of one recorder or two, those of each in arrival order."""
    parts = []
    for recorder in ("one", "two")[: draw(st.integers(1, 2))]:
        seconds = sorted(draw(st.lists(SECONDS, min_size=1, max_size=40)))
        columns = {
            "received_at": [1_795_000_000_000_000 + 1_000_000 * second for second in seconds],
            "instrument_token": [draw(TOKENS) for _ in seconds],
            "bid_price": [[float(second)] * 5 for second in seconds],
            "recorder": [recorder] * len(seconds),
            "sequence": range(len(seconds)),
        }
        given_columns = pl.DataFrame(
            columns, schema={name: TABLE_SCHEMA[name] for name in columns}, strict=False
        )
        parts.append(pl.concat([TABLE_SCHEMA.to_frame(), given_columns], how="diagonal"))
    return pl.concat(parts)


@given(ticks=ticks_of_recorders(), size=st.integers(1, 30))
def test_row_groups_are_the_ticks_in_order_and_keep_an_instrument_together(
    ticks: pl.DataFrame, size: int
) -> None:
    keys = ["instrument_token", "received_at"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "ROW_GROUP", size)
        groups = list(order.in_instrument_order(ticks))
    assert_frame_equal(pl.concat(groups), ticks.sort(keys, maintain_order=True))
    assert all(0 < group.height <= size for group in groups)
    for token, rows in ticks["instrument_token"].value_counts().iter_rows():
        holding = sum(token in group["instrument_token"] for group in groups)
        assert holding == 1 or rows > size


@given(ticks=ticks_of_recorders())
def test_by_minute_each_row_group_has_one_minute(ticks: pl.DataFrame) -> None:
    groups = list(order.in_minute_order(ticks))
    keys = [MINUTE, "instrument_token", "received_at"]
    assert_frame_equal(pl.concat(groups), ticks.sort(keys, maintain_order=True))
    assert all(group.select(MINUTE.n_unique()).item() == 1 for group in groups)
