"""Random bars of several instruments and days, with flat stretches."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import numpy as np
import polars as pl

from kitepolars.frames.schema import TIMESTAMP

TOKENS = (408065, 256265, 111 * 256 + 7)
"""A share, an index, a commodity."""


@lru_cache(maxsize=16)
def random_bars(
    seed: int, *, days: int = 3, bars: int = 60, tokens: tuple[int, ...] = TOKENS
) -> pl.DataFrame:
    """Return candles of one minute; an instrument has none in some minutes."""
    rng = np.random.default_rng(seed)
    opens = dt.datetime(2026, 11, 16, 3, 45, tzinfo=dt.UTC)
    parts = []
    for token in tokens:
        count = days * bars
        steps = rng.normal(0, 1, count) * (rng.random(count) < 0.8)
        close = np.round((500 + rng.integers(0, 500) + steps.cumsum()) * 20) / 20
        before = np.concatenate([close[:1], close[:-1]])
        high = np.maximum(close, before) + rng.integers(0, 20, count) / 20
        low = np.minimum(close, before) - rng.integers(0, 20, count) / 20
        flat = slice(count // 2, count // 2 + bars // 2)
        high[flat] = low[flat] = close[flat] = close[count // 2]
        minutes = np.arange(bars)
        starts = [
            opens + dt.timedelta(days=d, minutes=int(m)) for d in range(days) for m in minutes
        ]
        part = pl.DataFrame(
            {
                "instrument_token": pl.repeat(token, count, dtype=pl.UInt32, eager=True),
                "start": pl.Series(starts).cast(TIMESTAMP),
                "high": high,
                "low": low,
                "close": close,
                "volume": pl.Series(rng.integers(0, 1_000, count), dtype=pl.UInt64),
            }
        )
        parts.append(part.filter(pl.Series(rng.random(count) < 0.9)))
    return pl.concat(parts).sort("start", "instrument_token")
