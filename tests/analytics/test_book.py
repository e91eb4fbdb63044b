"""The order book, with every value stated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from kitepolars.analytics import (
    DEPTH,
    depth,
    depth_weighted_price,
    imbalance,
    microprice,
    mid,
    spread,
)
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.frames.schema import SCHEMA

Book = list[tuple[float, int, int]]
EMPTY: Book = [(0.0, 0, 0)] * 5
BIDS: Book = [(99.0, 10, 1), (98.0, 20, 2), (97.0, 30, 3), (96.0, 40, 4), (95.0, 50, 5)]
ASKS: Book = [(101.0, 30, 6), (102.0, 10, 1), (0.0, 0, 0), (0.0, 0, 0), (0.0, 0, 0)]


def tick(
    bids: Book | None, asks: Book | None, *, token: int = 408065, mode: str = "full", **more: Any
) -> pl.DataFrame:
    row: dict[str, Any] = {
        "instrument_token": token,
        "symbol": more.get("symbol", "NSE:INFY"),
        "mode": mode,
        "last_price": 100.0,
    }
    for side, book in (("bid", bids), ("ask", asks)):
        for place, what in enumerate(("price", "quantity", "orders")):
            row[f"{side}_{what}"] = None if book is None else [level[place] for level in book]
    return pl.DataFrame([row], schema={name: SCHEMA[name] for name in row})


def values(frame: pl.DataFrame, *exprs: pl.Expr) -> tuple[Any, ...]:
    return frame.select(*exprs).row(0)


ALL = (spread, mid, microprice, imbalance, depth_weighted_price)


def test_the_numbers_of_a_book() -> None:
    frame = tick(BIDS, ASKS)
    assert values(frame, spread(), mid()) == (2.0, 100.0)
    # (99 × 30 + 101 × 10) / 40
    assert values(frame, microprice()) == (99.5,)
    assert values(frame, imbalance(1), imbalance(2).alias("two")) == (-0.5, -10 / 70)
    assert values(frame, imbalance()) == (pytest.approx((150 - 40) / 190),)
    worth = 99 * 10 + 98 * 20 + 97 * 30 + 96 * 40 + 95 * 50 + 101 * 30 + 102 * 10
    assert values(frame, depth_weighted_price()) == (pytest.approx(worth / 190),)
    assert values(frame, depth_weighted_price(levels=1)) == (pytest.approx((990 + 3030) / 40),)


def test_the_columns_have_the_names_of_the_functions() -> None:
    assert tick(BIDS, ASKS).select(make() for make in ALL).columns == [
        make.__name__ for make in ALL
    ]


def test_without_a_book_there_are_no_numbers() -> None:
    for mode in ("quote", "ltp"):
        assert values(tick(None, None, mode=mode), *(make() for make in ALL)) == (None,) * 5
    assert values(tick(EMPTY, EMPTY), *(make() for make in ALL)) == (None,) * 5


def test_an_empty_side_takes_part_in_nothing() -> None:
    frame = tick(BIDS, EMPTY)
    assert values(frame, spread(), mid(), microprice()) == (None, None, None)
    assert values(frame, imbalance(), depth_weighted_price(1)) == (1.0, 99.0)


def test_negative_prices_and_large_quantities_are_real() -> None:
    bids: Book = [(-2884.0, 4_000_000_000, 1)] * 5
    asks: Book = [(-2883.0, 4_000_000_000, 1)] * 5
    frame = tick(bids, asks)
    assert values(frame, spread(), mid(), imbalance()) == (1.0, -2883.5, 0.0)


def test_expressions_work_over_many_rows_and_lazily() -> None:
    frame = pl.concat([tick(BIDS, ASKS), tick(None, None, mode="ltp"), tick(BIDS, EMPTY)])
    assert frame.lazy().select(spread()).collect()["spread"].to_list() == [2.0, None, None]


@pytest.mark.parametrize("levels", [0, 6, -1, 2.5, True, None])
@pytest.mark.parametrize("make", [imbalance, depth_weighted_price])
def test_levels_are_one_to_five(make: Callable[..., pl.Expr], levels: Any) -> None:
    with pytest.raises(ConfigError, match="levels must be a whole number from 1 to 5"):
        make(levels)


def test_depth_is_ten_rows() -> None:
    rows = depth(tick(BIDS, ASKS))
    assert rows.schema == DEPTH
    assert rows.rows() == [
        ("bid", 1, 99.0, 10, 1),
        ("bid", 2, 98.0, 20, 2),
        ("bid", 3, 97.0, 30, 3),
        ("bid", 4, 96.0, 40, 4),
        ("bid", 5, 95.0, 50, 5),
        ("ask", 1, 101.0, 30, 6),
        ("ask", 2, 102.0, 10, 1),
        ("ask", 3, None, 0, 0),
        ("ask", 4, None, 0, 0),
        ("ask", 5, None, 0, 0),
    ]


def test_depth_is_that_of_the_instruments_last_tick() -> None:
    other = tick(ASKS, EMPTY, token=884737, symbol="NSE:TATAMOTORS")
    frame = pl.concat([tick(EMPTY, EMPTY), tick(BIDS, ASKS), other])
    for name in (408065, "NSE:INFY"):
        assert depth(frame, name)["price"][0] == 99.0
        assert depth(frame.lazy(), name)["price"][0] == 99.0
    with pytest.raises(ConfigError, match="2 instruments"):
        depth(frame)


def test_depth_says_what_would_work() -> None:
    frame = tick(BIDS, ASKS)
    with pytest.raises(UnknownInstrument, match="did you mean NSE:INFY"):
        depth(frame, "NSE:INFI")
    with pytest.raises(UnknownInstrument, match="no tick of it"):
        depth(frame.drop("symbol"), 5)
    with pytest.raises(ConfigError, match="a token"):
        depth(frame.drop("symbol"), "NSE:INFY")
    later = pl.concat([frame, tick(None, None, mode="ltp")])
    with pytest.raises(ConfigError, match=r"mode must be \"full\".*set_mode.*not 'ltp'"):
        depth(later, "NSE:INFY")
    with pytest.raises(ConfigError, match="is an index: it has no order book"):
        depth(tick(None, None, token=256265, symbol="NSE:NIFTY 50"))
    with pytest.raises(ConfigError, match="depth: bid_price"):
        depth(frame.drop("bid_price"))
