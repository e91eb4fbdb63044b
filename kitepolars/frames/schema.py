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
_ORDER_COUNTS: Final = pl.Array(pl.UInt16, DEPTH_LEVELS)

Fill: TypeAlias = Callable[[Mapping[str, npt.NDArray[Any]]], npt.NDArray[Any]]
"""Columns of new rows, as NumPy arrays by name → the values of another column for these rows."""


class FrameColumn(NamedTuple):
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
    >>> def delay(new: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    ...     return new["received_at"] - new["exchange_timestamp"]
    >>> FrameColumn("delay", pl.Int64(), delay).dtype
    Int64
    """

    name: str
    dtype: pl.DataType
    fill: Fill | None = None


COLUMNS_OF_THE_STORE: Final = ("received_at", "symbol", "connection", "mode", "is_snapshot")
"""The columns that the store itself fills, from when and how rows arrived."""

FRAME_COLUMNS: Final = (
    FrameColumn("received_at", TIMESTAMP),
    FrameColumn("exchange_timestamp", TIMESTAMP),
    FrameColumn("instrument_token", pl.UInt32()),
    FrameColumn("symbol", pl.Categorical()),
    FrameColumn("connection", pl.UInt8()),
    FrameColumn("mode", MODE),
    FrameColumn("is_snapshot", pl.Boolean()),
    FrameColumn("last_price", pl.Float64()),
    FrameColumn("last_traded_quantity", pl.UInt32()),
    FrameColumn("average_traded_price", pl.Float64()),
    FrameColumn("volume_traded", pl.UInt32()),
    FrameColumn("total_buy_quantity", pl.UInt32()),
    FrameColumn("total_sell_quantity", pl.UInt32()),
    FrameColumn("open", pl.Float64()),
    FrameColumn("high", pl.Float64()),
    FrameColumn("low", pl.Float64()),
    FrameColumn("close", pl.Float64()),
    FrameColumn("price_change", pl.Float64()),
    FrameColumn("last_trade_time", TIMESTAMP),
    FrameColumn("oi", pl.UInt32()),
    FrameColumn("oi_day_high", pl.UInt32()),
    FrameColumn("oi_day_low", pl.UInt32()),
    FrameColumn("bid_price", _PRICES),
    FrameColumn("ask_price", _PRICES),
    FrameColumn("bid_quantity", _QUANTITIES),
    FrameColumn("ask_quantity", _QUANTITIES),
    FrameColumn("bid_orders", _ORDER_COUNTS),
    FrameColumn("ask_orders", _ORDER_COUNTS),
)
"""The columns of ``frame()``, in order. A new column is one new row."""

SCHEMA: Final = pl.Schema({column.name: column.dtype for column in FRAME_COLUMNS})
"""Column → dtype of ``frame()``, in order."""

FILLS: Final = {column.name: column.fill for column in FRAME_COLUMNS if column.fill is not None}
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
