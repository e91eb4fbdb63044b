"""Made-up ticks: days with cached snapshots, gaps, resets, overtaken ticks, several segments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import polars as pl
import pytest

from kitepolars.frames.schema import SCHEMA, TIME_ZONE

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))

INSTRUMENTS = {
    408065: "NSE:INFY",
    12345 * 256 + 2: "NFO:NIFTY26NOVFUT",
    999 * 256 + 3: "CDS:USDINR26NOVFUT",
    111 * 256 + 7: "MCX:CRUDEOIL26NOVFUT",
    256265: "NSE:NIFTY 50",
}
OPENS = {1: 33_300, 2: 33_300, 3: 32_400, 7: 32_400, 9: 33_300}


def _times(rng: np.random.Generator, day: dt.datetime, opens: int, count: int) -> list[int]:
    """Whole seconds around the open, now and then one that was overtaken."""
    seconds = opens - 200 + np.cumsum(rng.choice([0, 0, 1, 2, 5, 90, 700], count))
    late = rng.random(count) < 0.05
    seconds = seconds - np.where(late, rng.integers(1, 200, count), 0)
    return [int(day.timestamp()) + int(second) for second in seconds]


def _volumes(rng: np.random.Generator, count: int) -> list[int]:
    volumes, now = [], int(rng.integers(0, 1_000))
    for _ in range(count):
        now = int(rng.integers(0, 50)) if rng.random() < 0.02 else now + int(rng.integers(-3, 80))
        now = max(now, 0)
        volumes.append(now)
    return volumes


@lru_cache(maxsize=32)
def make_ticks(seed: int, *, days: int = 2, per_day: int = 60) -> pl.DataFrame:
    """Return ticks with the contract's columns, in arrival order."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(days):
        day = dt.datetime(2026, 11, 19 + number, tzinfo=IST)
        for token, symbol in INSTRUMENTS.items():
            index = token & 0xFF == 9
            mode = "quote" if rng.random() < 0.15 else "full"
            times = _times(rng, day, OPENS[token & 0xFF], per_day)
            prices = 100 + rng.integers(-40, 40, per_day).cumsum() * 0.05
            volumes = _volumes(rng, per_day)
            snapshots = rng.random(per_day) < 0.08
            snapshots[0] = rng.random() < 0.5
            for i in range(per_day):
                # In quote mode arrival cannot be out of order, so it is not tied to the exchange.
                arrived = max(times[: i + 1]) * 1_000_000 + 300_000 + i
                rows.append(
                    {
                        "received_at": arrived,
                        "exchange_timestamp": times[i] * 1_000_000 if mode == "full" else None,
                        "instrument_token": token,
                        "symbol": symbol,
                        "connection": 0,
                        "mode": mode,
                        "is_snapshot": bool(snapshots[i]),
                        "last_price": round(float(prices[i]), 2),
                        "average_traded_price": None
                        if index
                        else round(float(prices[: i + 1].mean()), 2),
                        "volume_traded": None if index else volumes[i],
                        "oi": None if index or mode == "quote" else 1_000 + i,
                    }
                )
    frame = pl.DataFrame(rows, infer_schema_length=None).sort("received_at", maintain_order=True)
    times_typed = pl.col("received_at", "exchange_timestamp").cast(pl.Datetime("us", TIME_ZONE))
    return frame.with_columns(times_typed).select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCHEMA.items()
    )


@pytest.fixture
def random_ticks() -> Callable[..., pl.DataFrame]:
    """`make_ticks`."""
    return make_ticks


def _at(clock: str, day: int = 20) -> dt.datetime:
    moment = dt.time.fromisoformat(clock)
    return dt.datetime.combine(dt.date(2026, 11, day), moment, IST)


@pytest.fixture
def ticks_of() -> Callable[..., pl.DataFrame]:
    """Make ticks of `(clock, price, volume)`, with what else is given by name."""

    def ticks(
        *rows: tuple[object, ...], token: int = 408065, names: str = "", day: int = 20
    ) -> pl.DataFrame:
        columns = ["exchange_timestamp", "last_price", "volume_traded", *names.split()]
        values = [(_at(str(row[0]), day), *row[1:]) for row in rows]
        frame = pl.DataFrame(values, schema=columns, orient="row")
        given = frame.with_columns(
            pl.lit(token).alias("instrument_token"),
            pl.col("exchange_timestamp").alias("received_at"),
        )
        return given.select(
            pl.col(name).cast(SCHEMA[name]) for name in SCHEMA if name in given.columns
        )

    return ticks
