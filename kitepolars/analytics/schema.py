"""The columns of candles: one schema for live bars and for history. Pure data."""

from __future__ import annotations

from typing import Final

import polars as pl

from kitepolars.frames.schema import TIMESTAMP

CANDLES: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "symbol": pl.Categorical(),
        "start": TIMESTAMP,
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.UInt64(),
        "ticks": pl.UInt32(),
        "oi": pl.UInt32(),
        "vwap": pl.Float64(),
        "is_partial": pl.Boolean(),
    }
)
"""Column → dtype of candles, in order. Prices in rupees, volume in shares or lots as traded."""
