"""The columns of ``frame()``: names, dtypes, and what fills them. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy.typing as npt
import polars as pl

from kitepolars.wire.layouts import DEPTH_FIELDS, DEPTH_LEVELS, LAYOUTS, MODES

TIME_ZONE: Final = "Asia/Kolkata"
"""All times are shown in Indian Standard Time."""

TIMESTAMP: Final = pl.Datetime("us", TIME_ZONE)
"""The dtype of every time column."""

MODE: Final = pl.Enum([mode.value for mode in MODES])
"""The dtype of the ``mode`` column; its physical codes are those of `wire.layouts.MODES`."""

_PRICES: Final = pl.Array(pl.Float64, DEPTH_LEVELS)
_QUANTITIES: Final = pl.Array(pl.UInt32, DEPTH_LEVELS)
_ORDERS: Final = pl.Array(pl.UInt16, DEPTH_LEVELS)

Fill: TypeAlias = Callable[[Mapping[str, npt.NDArray[Any]]], npt.NDArray[Any]]
"""Columns of new rows, as NumPy arrays by name → the values of another column for these rows."""


class Column(NamedTuple):
    """A column of ``frame()``.

    Parameters
    ----------
    name
        Its name. The decoder fills a column with the name of a field of some packet.
    dtype
        Its dtype.
    fill
        Computes the values of a column that is not on the wire, whenever rows are added. It sees
        the columns above its own: times as int64 microseconds since the epoch (0 for null), and
        other fields as they are, stale or 0 where a packet does not have them.

    Examples
    --------
    >>> Column("delay", pl.Int64(), lambda new: new["received_at"] - new["exchange_timestamp"])[:2]
    ('delay', Int64)
    """

    name: str
    dtype: pl.DataType
    fill: Fill | None = None


COLUMNS_OF_THE_STORE: Final = ("received_at", "symbol", "connection", "mode", "is_snapshot")
"""The columns that the store itself fills, from when and how rows arrived."""

COLUMNS: Final = (
    Column("received_at", TIMESTAMP),
    Column("exchange_timestamp", TIMESTAMP),
    Column("instrument_token", pl.UInt32()),
    Column("symbol", pl.Categorical()),
    Column("connection", pl.UInt8()),
    Column("mode", MODE),
    Column("is_snapshot", pl.Boolean()),
    Column("last_price", pl.Float64()),
    Column("last_traded_quantity", pl.UInt32()),
    Column("average_traded_price", pl.Float64()),
    Column("volume_traded", pl.UInt32()),
    Column("total_buy_quantity", pl.UInt32()),
    Column("total_sell_quantity", pl.UInt32()),
    Column("open", pl.Float64()),
    Column("high", pl.Float64()),
    Column("low", pl.Float64()),
    Column("close", pl.Float64()),
    Column("price_change", pl.Float64()),
    Column("last_trade_time", TIMESTAMP),
    Column("oi", pl.UInt32()),
    Column("oi_day_high", pl.UInt32()),
    Column("oi_day_low", pl.UInt32()),
    Column("bid_price", _PRICES),
    Column("ask_price", _PRICES),
    Column("bid_quantity", _QUANTITIES),
    Column("ask_quantity", _QUANTITIES),
    Column("bid_orders", _ORDERS),
    Column("ask_orders", _ORDERS),
)
"""The columns of ``frame()``, in order. A new column is one new row."""

SCHEMA: Final = pl.Schema({column.name: column.dtype for column in COLUMNS})
"""Column → dtype of ``frame()``, in order."""

FILLS: Final = {column.name: column.fill for column in COLUMNS if column.fill is not None}
"""The columns that are computed, and how."""


def _check() -> None:
    """Raise `TypeError` if a column would never be filled: it would silently be 0."""
    fields = {field for layout in LAYOUTS for field in layout.fields}
    filled = {*COLUMNS_OF_THE_STORE, *FILLS, *fields, *DEPTH_FIELDS}
    for name in SCHEMA:
        if name not in filled:
            raise TypeError(
                f"nothing fills the column {name!r}: give it a fill in frames/schema.py, "
                "or add a field of that name to wire/layouts.py"
            )


_check()
