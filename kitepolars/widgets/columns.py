"""The columns of the live table, one row each: label, format, expression. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.wire.layouts import MODES

NEEDS_LTP, NEEDS_QUOTE, NEEDS_FULL = range(len(MODES))
"""The modes in ascending order, as the view numbers them."""


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """A column of the live table.

    Parameters
    ----------
    label
        The heading.
    expression
        The value, from the columns of ``latest()``.
    kind
        The format: price, quantity, change, percent, share, time, mode or spark.
    width
        Least width in pixels, and share of the remaining width.
    flash
        Whether a change flashes.
    toned
        Whether the sign is coloured.
    title
        The tooltip.
    needs
        The least mode that carries the value: index into ``ltp``, ``quote``, ``full``.
    """

    label: str
    expression: pl.Expr
    kind: str
    width: int = 84
    flash: bool = False
    toned: bool = False
    title: str = ""
    needs: int = NEEDS_QUOTE


def _epoch(name: str) -> pl.Expr:
    return pl.col(name).dt.epoch("ms")


def _best(side: str) -> pl.Expr:
    value = pl.col(side).arr.get(0, null_on_oob=True)
    return pl.when(value != 0).then(value)  # an empty side is zeros on the wire


_OF_LTP: Final = pl.col("last_price")
_CLOSE: Final = pl.when(pl.col("close") > 0).then(pl.col("close"))
_BUY: Final = pl.col("total_buy_quantity").cast(pl.Float64)
_SELL: Final = pl.col("total_sell_quantity").cast(pl.Float64)
_OI: Final = pl.when(pl.col("oi") > 0).then(pl.col("oi"))  # shares have none
_RANGE: Final = pl.col("high") - pl.col("low")

COLUMNS: Final = {
    "last_price": TableColumn(
        label="Last", expression=_OF_LTP, kind="price", flash=True, needs=NEEDS_LTP
    ),
    "spark": TableColumn(
        label="Trend",
        expression=_OF_LTP,
        kind="spark",
        width=96,
        needs=NEEDS_LTP,
        title="the last few minutes",
    ),
    "price_change": TableColumn(
        label="Net",
        expression=_OF_LTP - _CLOSE,
        kind="change",
        toned=True,
        title="against close",
    ),
    "change": TableColumn(
        label="Change",
        expression=100 * (_OF_LTP - _CLOSE) / _CLOSE,
        kind="percent",
        toned=True,
        title="against the previous close",
    ),
    "bid": TableColumn(
        label="Bid", expression=_best("bid_price"), kind="price", flash=True, needs=NEEDS_FULL
    ),
    "ask": TableColumn(
        label="Ask", expression=_best("ask_price"), kind="price", flash=True, needs=NEEDS_FULL
    ),
    "spread": TableColumn(
        label="Spread",
        expression=_best("ask_price") - _best("bid_price"),
        kind="price",
        width=70,
        needs=NEEDS_FULL,
    ),
    "volume_traded": TableColumn(
        label="Volume", expression=pl.col("volume_traded"), kind="quantity", width=96
    ),
    "last_traded_quantity": TableColumn(
        label="Qty", expression=pl.col("last_traded_quantity"), kind="quantity", width=64
    ),
    "average_traded_price": TableColumn(
        label="Average", expression=pl.col("average_traded_price"), kind="price"
    ),
    "open": TableColumn(label="Open", expression=pl.col("open"), kind="price"),
    "high": TableColumn(label="High", expression=pl.col("high"), kind="price"),
    "low": TableColumn(label="Low", expression=pl.col("low"), kind="price"),
    "close": TableColumn(label="Close", expression=pl.col("close"), kind="price"),
    "day_range": TableColumn(
        label="Range",
        expression=100 * (_OF_LTP - pl.col("low")) / pl.when(_RANGE > 0).then(_RANGE),
        kind="share",
        width=64,
        title="position in the day's range: 0% at the low, 100% at the high",
    ),
    "imbalance": TableColumn(
        label="Imbalance (all)",
        expression=100 * (_BUY - _SELL) / pl.when(_BUY + _SELL > 0).then(_BUY + _SELL),
        kind="percent",
        toned=True,
        width=120,
        title="all buy orders against all sell orders, in percent (the ladder: its five levels)",
    ),
    "total_buy_quantity": TableColumn(
        label="All bids", expression=pl.col("total_buy_quantity"), kind="quantity"
    ),
    "total_sell_quantity": TableColumn(
        label="All asks", expression=pl.col("total_sell_quantity"), kind="quantity"
    ),
    "oi": TableColumn(label="OI", expression=_OI, kind="quantity", needs=NEEDS_FULL, width=92),
    "oi_day_high": TableColumn(
        label="OI high", expression=pl.col("oi_day_high"), kind="quantity", needs=NEEDS_FULL
    ),
    "oi_day_low": TableColumn(
        label="OI low", expression=pl.col("oi_day_low"), kind="quantity", needs=NEEDS_FULL
    ),
    "mode": TableColumn(
        label="Mode",
        expression=pl.col("mode").to_physical(),
        kind="mode",
        width=56,
        needs=NEEDS_LTP,
    ),
    "last_trade_time": TableColumn(
        label="Traded", expression=_epoch("last_trade_time"), kind="time", needs=NEEDS_FULL
    ),
    "exchange_timestamp": TableColumn(
        label="Exchange", expression=_epoch("exchange_timestamp"), kind="time", needs=NEEDS_FULL
    ),
    "received_at": TableColumn(
        label="Received", expression=_epoch("received_at"), kind="time", needs=NEEDS_LTP
    ),
}
"""Columns by name. A new column of the table is a new row here."""

DEFAULT_COLUMNS: Final = (
    "last_price",
    "spark",
    "change",
    "bid",
    "ask",
    "volume_traded",
    "oi",
    "day_range",
    "imbalance",
    "received_at",
)
"""Columns shown by default."""

NEEDED: Final = ("received_at", "change", "last_price", "mode")
"""Columns that the view needs to mark stale rows, movers and missing values, shown or not."""


def checked_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns as a tuple.

    Raises
    ------
    ConfigError
        If a name is unknown or occurs twice.

    Examples
    --------
    >>> checked_columns(["last_price", "change"])
    ('last_price', 'change')
    """
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    if unknown := [name for name in names if name not in COLUMNS]:
        raise ConfigError("columns", unknown, f"names from {', '.join(COLUMNS)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        twice = f"columns name {', '.join(repeated)} more than once"
        raise ConfigError("columns", names, message=twice)
    return names


def expressions(names: Sequence[str]) -> list[pl.Expr]:
    """Return one Float64 expression per column, with NaN for null."""
    return [
        COLUMNS[name].expression.cast(pl.Float64).fill_null(float("nan")).alias(name)
        for name in names
    ]
