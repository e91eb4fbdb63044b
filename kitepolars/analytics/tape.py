"""Ticks of one instrument → its trades, and its book through time. Pure; any thread."""

from __future__ import annotations

from typing import Final

import polars as pl

from kitepolars.analytics.columns import require
from kitepolars.analytics.indicators import volume_delta
from kitepolars.wire.layouts import DEPTH_LEVELS

BOOK_COLUMNS: Final = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
"""Columns of a tick that `book_history` spreads over levels, in its order."""


def last_move(ticks: pl.DataFrame, before: int = 0) -> int:
    """Return the sign of the last change of price, or what it was before these ticks."""
    signs = ticks["last_price"].diff().sign().drop_nulls()
    moves = signs.filter(signs != 0)
    return int(moves[-1]) if moves.len() else before


def time_and_sales(ticks: pl.DataFrame, *, move: int = 0) -> pl.DataFrame:
    """Return what traded between the ticks of one instrument.

    Kite sends a packet at most once for several trades: a row is what traded since the tick
    before, at the last price. The first tick is only compared with.

    Parameters
    ----------
    ticks
        Ticks of one instrument with the columns of ``frame()``, in order of arrival.
    move
        The sign of the last change of price before them, as `last_move` returns it.

    Returns
    -------
    DataFrame
        ``at``: the time of the last trade, of arrival where the mode carries none (as in the
        ticks, Asia/Kolkata); ``price`` (rupees); ``quantity`` (Int64, units); ``side``: 1 if the
        price was at or above the ask of the tick before, -1 if at or below its bid, otherwise
        the sign of the price's last change, 0 if unknown (Int8).

    Raises
    ------
    ConfigError
        If a column is missing.

    Examples
    --------
    >>> import datetime as dt
    >>> from kitepolars.frames.schema import SCHEMA
    >>> at = dt.datetime(2026, 11, 26, 9, 20)
    >>> rows = [
    ...     {"received_at": at, "last_price": price, "volume_traded": volume}
    ...     for price, volume in ((100.0, 50), (100.5, 80), (100.5, 80), (100.5, 90))
    ... ]
    >>> trades = time_and_sales(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    >>> trades.select("price", "quantity", "side").rows()
    [(100.5, 30, 1), (100.5, 10, 1)]
    """
    require(
        ticks,
        ("received_at", "last_trade_time", "last_price", "volume_traded", "bid_price", "ask_price"),
        "time_and_sales",
    )
    price = pl.col("last_price")
    bid, ask = (_best(side).shift(1) for side in ("bid_price", "ask_price"))
    change = price.diff().sign()
    tick_rule = pl.when(change != 0).then(change).forward_fill().fill_null(move)
    side = pl.when(price >= ask).then(1.0).when(price <= bid).then(-1.0).otherwise(tick_rule)
    return ticks.select(
        at=pl.coalesce("last_trade_time", "received_at"),
        price=price,
        quantity=volume_delta(),
        side=side.cast(pl.Int8),
    ).filter(pl.col("quantity") > 0)


def book_history(ticks: pl.DataFrame) -> pl.DataFrame:
    """Return the book of one instrument at each tick that carries it, a column for each level.

    Parameters
    ----------
    ticks
        Ticks of one instrument with the columns of ``frame()``, in order of arrival.

    Returns
    -------
    DataFrame
        ``received_at``, ``last_price``, then each of `BOOK_COLUMNS` with its level,
        ``bid_price_1`` to ``ask_quantity_5``. Prices in rupees, quantities in units.

    Raises
    ------
    ConfigError
        If a column is missing.
    """
    require(ticks, ("received_at", "last_price", *BOOK_COLUMNS), "book_history")
    return ticks.filter(pl.col("bid_price").is_not_null()).select(
        "received_at",
        "last_price",
        *(
            pl.col(name).arr.get(level).alias(f"{name}_{level + 1}")
            for name in BOOK_COLUMNS
            for level in range(DEPTH_LEVELS)
        ),
    )


def _best(column: str) -> pl.Expr:
    value = pl.col(column).arr.get(0, null_on_oob=True)
    return pl.when(value > 0).then(value)  # an empty side is zeros on the wire
