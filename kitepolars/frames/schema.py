"""The columns of ``frame()``: names, dtypes, and which modes fill them. Pure data."""

from __future__ import annotations

from typing import Final

import polars as pl

from kitepolars.wire.layouts import DEPTH_LEVELS, MODES

TIME_ZONE: Final = "Asia/Kolkata"
"""Every time is shown in Indian Standard Time."""

TIMESTAMP: Final = pl.Datetime("us", TIME_ZONE)
"""The dtype of every time column."""

MODE: Final = pl.Enum([mode.value for mode in MODES])
"""The dtype of the ``mode`` column; its physical codes are those of `wire.layouts.MODES`."""

_PRICES: Final = pl.Array(pl.Float64, DEPTH_LEVELS)
_QUANTITIES: Final = pl.Array(pl.UInt32, DEPTH_LEVELS)
_ORDERS: Final = pl.Array(pl.UInt16, DEPTH_LEVELS)

SCHEMA: Final = pl.Schema(
    {
        "received_at": TIMESTAMP,
        "exchange_timestamp": TIMESTAMP,
        "instrument_token": pl.UInt32(),
        "symbol": pl.Categorical(),
        "connection": pl.UInt8(),
        "mode": MODE,
        "is_snapshot": pl.Boolean(),
        "last_price": pl.Float64(),
        "last_traded_quantity": pl.UInt32(),
        "average_traded_price": pl.Float64(),
        "volume_traded": pl.UInt32(),
        "total_buy_quantity": pl.UInt32(),
        "total_sell_quantity": pl.UInt32(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "price_change": pl.Float64(),
        "last_trade_time": TIMESTAMP,
        "oi": pl.UInt32(),
        "oi_day_high": pl.UInt32(),
        "oi_day_low": pl.UInt32(),
        "bid_price": _PRICES,
        "ask_price": _PRICES,
        "bid_quantity": _QUANTITIES,
        "ask_quantity": _QUANTITIES,
        "bid_orders": _ORDERS,
        "ask_orders": _ORDERS,
    }
)
"""Column → dtype of ``frame()``, in order."""
