"""A compiled condition gives what Polars gives: any of its operations, on any rows."""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.alerting.compiled import compile_condition
from kitepolars.alerting.conditions import codes
from kitepolars.frames.schema import SCHEMA

PRICES: Final = ("last_price", "close", "average_traded_price")
COUNTS: Final = ("volume_traded", "oi")
LEVELS: Final = ("bid_price", "bid_quantity", "ask_quantity", "ask_orders")

prices = st.one_of(
    st.none(), st.sampled_from([0.0, -1.5, 99.95, 100.0]), st.floats(width=32), st.floats()
)
counts = st.one_of(st.none(), st.integers(0, 3), st.integers(0, 2**32 - 1))
levels = st.one_of(st.none(), st.lists(st.integers(0, 2**16 - 1), min_size=5, max_size=5))
VALUES: Final = (
    dict.fromkeys(PRICES, prices)
    | dict.fromkeys(COUNTS, counts)
    | dict.fromkeys(LEVELS, levels)
    | {"is_snapshot": st.booleans()}
)


class InFrame:
    """The columns of a frame, as a buffer has them: anything where they are null."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def column(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        series = self._frame[name]
        if not series.null_count():
            return series.to_numpy(), None
        of_none = [0] * 5 if series.dtype == pl.Array else 0
        rows = [of_none if value is None else value for value in series.to_list()]
        return pl.Series(rows, dtype=series.dtype).to_numpy(), series.is_not_null().to_numpy()


def rows() -> st.SearchStrategy[pl.DataFrame]:
    schema = {name: SCHEMA[name] for name in VALUES}
    row = st.fixed_dictionaries(VALUES)
    return st.lists(row, min_size=1, max_size=6).map(lambda some: pl.DataFrame(some, schema))


def column(name: str) -> pl.Expr:  # hypothesis takes `pl.col.__name__` for a text
    return pl.col(name)


LEVEL: Final = st.integers(0, 4)
FLOAT: Final = st.one_of(st.integers(0, 1000), st.floats(-1e9, 1e9)).map(pl.lit)

leaves: st.SearchStrategy[pl.Expr] = st.one_of(
    st.sampled_from(PRICES).map(column),
    st.sampled_from(COUNTS).map(column),
    st.builds(lambda name, level: pl.col(name).arr.get(level), st.sampled_from(LEVELS), LEVEL),
    st.sampled_from(LEVELS).map(lambda name: pl.col(name).arr.first()),
    st.just(pl.col("ask_quantity").cast(pl.Array(pl.Float64, 5)).arr.sum()),
)
floats = leaves.map(lambda leaf: leaf.cast(pl.Float64))


def of_numbers(numbers: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    sign = st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv])
    return st.one_of(
        st.builds(lambda sign, a, b: sign(a, b), sign, numbers, st.one_of(numbers, FLOAT)),
        numbers.map(operator.neg),
        numbers.map(pl.Expr.abs),
        numbers.map(lambda a: a.alias("other")),
        st.builds(pl.Expr.fill_null, numbers, FLOAT),
        st.builds(lambda a, b: pl.when(a > b).then(a), numbers, numbers),
        st.builds(lambda a, b: pl.when(a.is_null()).then(b).otherwise(a), numbers, numbers),
    )


numbers = st.recursive(floats, of_numbers, max_leaves=4)
comparisons = st.sampled_from(
    [operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne]
)
truths = st.recursive(
    st.one_of(
        st.builds(lambda compare, a, b: compare(a, b), comparisons, numbers, numbers),
        st.builds(lambda compare, a, b: compare(a, b), comparisons, leaves, FLOAT),
        st.builds(pl.Expr.is_between, numbers, numbers, FLOAT),
        leaves.map(pl.Expr.is_null),
        leaves.map(pl.Expr.is_not_null),
        st.just(pl.col("is_snapshot")),
    ),
    lambda truths: st.one_of(
        st.builds(operator.and_, truths, truths),
        st.builds(operator.or_, truths, truths),
        truths.map(operator.invert),
        st.builds(lambda a, b: pl.when(a).then(b), truths, truths),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(truths, rows())
def test_it_gives_what_polars_gives(condition: pl.Expr, frame: pl.DataFrame) -> None:
    compiled = compile_condition(condition)
    assert compiled is not None, condition
    want = frame.select_seq(holds=condition)["holds"]
    assert codes(compiled.evaluate(InFrame(frame))).tolist() == codes(want).tolist()


@pytest.mark.parametrize(
    "condition",
    [
        kp.change() > 2,
        kp.imbalance() > 0.6,
        kp.imbalance(1) > 0.6,
        kp.spread() / kp.mid() > 0.001,
        kp.microprice() > pl.col("last_price"),
        kp.depth_weighted_price() > 100,
        (kp.change() > 2) & (pl.col("volume_traded") > 100_000),
        pl.col("last_price") >= pl.col("high"),
        pl.col("total_buy_quantity") > 2 * pl.col("total_sell_quantity"),
        pl.col("bid_price").arr.first() > 100,
    ],
)
def test_what_traders_watch_is_compiled(condition: pl.Expr) -> None:
    assert compile_condition(condition) is not None


@pytest.mark.parametrize(
    "condition",
    [
        pl.col("symbol") == "NSE:INFY",
        pl.col("last_trade_time") > pl.col("received_at"),
        pl.col("last_price").is_between(1, 2, closed="left"),
        pl.col("last_price") % 5 == 0,
        pl.col("bid_price").arr.sum() > 1,  # Polars has its own order of adding
        pl.col("volume_traded") > pl.lit(3, pl.Int64),
        pl.col("last_price").map_elements(float.is_integer, pl.Boolean),
        pl.col("volume_traded") // 2 > 3,
        pl.col("last_price") < pl.lit(math.nan),
        pl.col("last_price") < pl.lit(0.0) / pl.lit(0.0),
        pl.lit(1) > pl.lit(0),
        pl.col("last_price") > pl.lit(1500).cast(pl.Float64),
        (pl.col("bid_price") - pl.col("last_price")).arr.get(0) > 1,
        pl.col("instrument_token") - 5_000_000_000 > 0,
        pl.col("volume_traded") + (-1) > 0,
        pl.col("volume_traded") * 10**30 > 0,
    ],
)
def test_the_rest_is_left_to_polars(condition: pl.Expr) -> None:
    assert compile_condition(condition) is None
