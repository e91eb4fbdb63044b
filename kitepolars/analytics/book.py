"""The order book: ten rows of one tick, and expressions over every tick. Pure; any thread.

A level without an order has price 0 and quantity 0 on the wire. It takes part
in nothing here. Prices may be negative (crude oil in 2020), so that the
quantity tells. Ticks in quote and ltp mode, and indices, have no book: every
expression is null there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Final

import polars as pl

from kitepolars.analytics.columns import require
from kitepolars.analytics.indicators import indicator
from kitepolars.errors import ConfigError, UnknownInstrument, check_whole_number
from kitepolars.frames.schema import SCHEMA
from kitepolars.wire.layouts import BOOK_SIDES, DEPTH_LEVELS, SEGMENT_MASK, SEGMENTS

__all__ = [
    "DEPTH",
    "depth",
    "depth_weighted_price",
    "imbalance",
    "microprice",
    "mid",
    "spread",
]


DEPTH: Final = pl.Schema(
    {
        "side": pl.Enum(BOOK_SIDES),
        "level": pl.UInt8(),
        "price": pl.Float64(),
        "quantity": pl.UInt32(),
        "orders": pl.UInt16(),
    }
)
"""The columns of `depth`: bids, best first, then asks, best first."""

_DEPTH_COLUMNS: Final = tuple(f"{side}_{what}" for side in BOOK_SIDES for what in tuple(DEPTH)[2:])


def _quantity(side: str, level: int) -> pl.Expr:
    return pl.col(f"{side}_quantity").arr.get(level).cast(pl.Float64)


def _price(side: str, level: int = 0) -> pl.Expr:
    """Return the price of a level; null where it is empty."""
    price = pl.col(f"{side}_price").arr.get(level)
    return pl.when(_quantity(side, level) > 0).then(price)


def _total(side: str, levels: int, of: Callable[[str, int], pl.Expr] = _quantity) -> pl.Expr:
    """Sum over the levels of a side; null where the tick has no book."""
    if of is _quantity and levels == DEPTH_LEVELS:  # one sum takes a sixth of the time of five
        return pl.col(f"{side}_quantity").cast(pl.Array(pl.Float64, DEPTH_LEVELS)).arr.sum()
    return reduce(add, (of(side, level) for level in range(levels)))


def _worth(side: str, level: int) -> pl.Expr:
    return pl.col(f"{side}_price").arr.get(level) * _quantity(side, level)


@indicator()
def spread() -> pl.Expr:
    """Return the best ask less the best bid, in rupees.

    Null where a side is empty or the tick has no book.

    Returns
    -------
    polars.Expr
        Float64, named ``spread``.

    Examples
    --------
    >>> import polars as pl
    >>> book = pl.Array(pl.Float64, 5)
    >>> ticks = pl.DataFrame(
    ...     {
    ...         "bid_price": [[99.5, 99.0, 98.5, 98.0, 97.5]],
    ...         "bid_quantity": [[10.0, 20.0, 30.0, 40.0, 50.0]],
    ...         "ask_price": [[100.0, 100.5, 101.0, 0.0, 0.0]],
    ...         "ask_quantity": [[30.0, 20.0, 10.0, 0.0, 0.0]],
    ...     },
    ...     schema_overrides=dict.fromkeys(
    ...         ["bid_price", "bid_quantity", "ask_price", "ask_quantity"], book
    ...     ),
    ... )
    >>> ticks.select(spread(), mid(), microprice(), imbalance(1)).row(0)
    (0.5, 99.75, 99.625, -0.5)
    """
    return (_price("ask") - _price("bid")).alias("spread")


@indicator()
def mid() -> pl.Expr:
    """Return the middle of the best bid and the best ask, in rupees.

    Null where a side is empty or the tick has no book.

    Returns
    -------
    polars.Expr
        Float64, named ``mid``.
    """
    return ((_price("bid") + _price("ask")) / 2).alias("mid")


@indicator()
def microprice() -> pl.Expr:
    """Return the middle drawn to the thinner side, in rupees.

    Each best price is weighted with the quantity on the *other* side: where many bid and few
    offer, the next trade is likelier at the ask. Null where a side is empty or there is no book.

    Returns
    -------
    polars.Expr
        Float64, named ``microprice``.
    """
    bid, ask = _quantity("bid", 0), _quantity("ask", 0)
    weighted = _price("bid") * ask + _price("ask") * bid
    return (weighted / (bid + ask)).alias("microprice")


@indicator()
def imbalance(levels: int = DEPTH_LEVELS) -> pl.Expr:
    """Return how far the quantity in the book leans to the bids, from −1 to 1.

    Parameters
    ----------
    levels
        Levels of each side that count, from the best: 1 to 5.

    Returns
    -------
    Expr
        ``(bids − asks) / (bids + asks)``. 1 where there are only bids; null without orders,
        or the tick has no book.

    Raises
    ------
    ConfigError
        If `levels` is not from 1 to 5.
    """
    check_whole_number("levels", levels, 1, DEPTH_LEVELS)
    bids, asks = _total("bid", levels), _total("ask", levels)
    return pl.when(bids + asks > 0).then((bids - asks) / (bids + asks)).alias("imbalance")


@indicator()
def depth_weighted_price(levels: int = DEPTH_LEVELS) -> pl.Expr:
    """Return the average price of what stands in the book, weighted with quantity, in rupees.

    Parameters
    ----------
    levels
        Levels of each side that count, from the best: 1 to 5.

    Returns
    -------
    Expr
        Null where the book is empty or the tick has none.

    Raises
    ------
    ConfigError
        If `levels` is not from 1 to 5.
    """
    check_whole_number("levels", levels, 1, DEPTH_LEVELS)
    quantity = _total("bid", levels) + _total("ask", levels)
    worth = _total("bid", levels, _worth) + _total("ask", levels, _worth)
    return pl.when(quantity > 0).then(worth / quantity).alias("depth_weighted_price")


def depth(frame: pl.DataFrame | pl.LazyFrame, instrument: int | str | None = None) -> pl.DataFrame:
    """Return the order book of an instrument's last tick, as ten rows.

    Parameters
    ----------
    frame
        Ticks, or one row per instrument.
    instrument
        An instrument token, or a symbol such as ``"NSE:INFY"``. It may be left out if the
        frame has one instrument only.

    Returns
    -------
    DataFrame
        `DEPTH`: five bids, then five asks, best first. An empty level has quantity 0 and a
        price of null.

    Raises
    ------
    ConfigError
        If the instrument has no book (an index, or not in mode ``"full"``), if columns are
        missing, or if it is not clear which instrument is meant.
    UnknownInstrument
        If the frame has no tick of it.
    """
    require(frame, ("instrument_token", *_DEPTH_COLUMNS), "depth")
    row = _last_row(frame.lazy(), instrument)
    _check_has_book(row)
    sides = [
        pl.DataFrame(
            {
                "side": [side] * DEPTH_LEVELS,
                "level": range(1, DEPTH_LEVELS + 1),
                **{what: row[f"{side}_{what}"] for what in tuple(DEPTH)[2:]},
            },
            schema=DEPTH,
            strict=False,
        )
        for side in BOOK_SIDES
    ]
    return pl.concat(sides).with_columns(
        pl.when(pl.col("quantity") > 0).then("price").alias("price")
    )


def _last_row(frame: pl.LazyFrame, instrument: int | str | None) -> dict[str, object]:
    schema = frame.collect_schema()
    token = pl.col("instrument_token")
    if isinstance(instrument, str) and "symbol" not in schema:
        raise ConfigError("instrument", instrument, "a token, because the frame has no symbols")
    if isinstance(instrument, str):
        wanted = pl.col("symbol").cast(pl.String) == instrument
    else:
        wanted = pl.lit(value=True) if instrument is None else token == instrument
    names = [name for name in SCHEMA if name in schema]
    found = frame.filter(wanted).select(names).group_by(token, maintain_order=True).last()
    rows = found.select(names).collect().to_dicts()
    if len(rows) == 1:
        return rows[0]
    if rows:
        unnamed = f"the frame has {len(rows)} instruments: pass a token or a symbol"
        raise ConfigError("instrument", instrument, message=unnamed)
    raise UnknownInstrument(
        str(instrument), _close_names(frame, str(instrument)), hint="This frame has no tick of it."
    )


def _close_names(frame: pl.LazyFrame, name: str) -> list[str]:
    if "symbol" not in frame.collect_schema():
        return []
    symbols = frame.select(pl.col("symbol").cast(pl.String).unique()).collect().to_series()
    import difflib  # noqa: PLC0415 - only an error needs it

    return difflib.get_close_matches(name, symbols.drop_nulls().to_list())


def _check_has_book(row: dict[str, object]) -> None:
    if row["bid_price"] is not None:
        return
    name = row.get("symbol") or row["instrument_token"]
    segment = SEGMENTS.get(int(str(row["instrument_token"])) & SEGMENT_MASK)
    if segment is not None and not segment.tradable:
        raise ConfigError("instrument", name, message=f"{name} is an index: it has no order book")
    mode = row.get("mode") or "unknown"
    expected = f'"full" for depth of {name} (ticker.set_mode([{name!r}], "full"))'
    raise ConfigError("mode", mode, expected)
