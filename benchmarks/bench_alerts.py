"""Compares looking at ticks for alerts with decoding them, and indicators of new bars with all."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

import filling
import harness
import kitepolars as kp
from kitepolars.frames.schema import TIMESTAMP
from messages import FullMessages
from timing import best_of

INSTRUMENTS = 9_000
FLUSHES = {9_000: 10, 900: 100}
"""Ticks of a flush → how many are timed together. A market at 18,000 ticks/s has 900 in each."""

CONDITIONS: dict[str, kp.Crossing | pl.Expr] = {
    "`change() > 2`": kp.change() > 2,
    "a crossing of the average price": kp.crosses("last_price", "average_traded_price"),
    "`imbalance(1) > 0.6`": kp.imbalance(1) > 0.6,
    "`imbalance() > 0.6`, of five levels": kp.imbalance() > 0.6,
}


def main_work(results: harness.Results) -> None:
    """Measure both."""
    filling.within_loop(lambda: _alerts(results))
    _indicators(results)


def _alerts(results: harness.Results) -> None:
    """Decode flushes of ticks of 9,000 instruments, and look at them, in turn."""
    for ticks, rounds in FLUSHES.items():
        _flushes(results, ticks, rounds)


def _flushes(results: harness.Results, ticks: int, rounds: int) -> None:
    ticker = kp.Ticker("key", "token")
    runtime, watched = ticker._runtime, ticker._alerts  # noqa: SLF001 - as a flush would
    source = FullMessages(range(1, 256 * INSTRUMENTS, 256), packets=100, messages=ticks // 100)
    sent = [source.round() for _ in range(INSTRUMENTS // ticks)]

    def decode() -> int:
        return sum(
            filling.feed(runtime.pipeline, sent[number % len(sent)]) for number in range(rounds)
        )

    for _ in range(8):
        decode()

    def look() -> int:
        for _ in range(rounds):
            watched._next = runtime.store.held.total - ticks  # noqa: SLF001 - as if new
            watched._woken(None)  # noqa: SLF001 - as a flush would
        return rounds * ticks

    groups = {name: [condition] for name, condition in CONDITIONS.items()}
    groups["those four"] = list(CONDITIONS.values())
    for name, conditions in groups.items():
        alerts = [
            ticker.alert(condition, name=str(place), lasting=1)
            for place, condition in enumerate(conditions)
        ]
        timings = best_of({"decode": decode, "look": look}, repeats=5 if results.quick else 15)
        for alert in alerts:
            alert.remove()
        took, against = timings["look"].wall, timings["decode"].wall
        results.add(
            f"Alerts: {name}, flushes of {ticks:,} ticks",
            took / against,
            against="decoding the same ticks",
            target=harness.at_most(1) if len(conditions) == 1 else None,
            note=f"{took * 1e9:,.0f} ns a tick against {against * 1e9:,.0f} ns",
        )


def _indicators(results: harness.Results) -> None:
    """Compute an indicator of all bars of a day, and of one more minute, in turn."""
    count, minutes = (500, 60) if results.quick else (9_000, 375)
    rng = np.random.default_rng(1)
    first = dt.datetime(2026, 11, 20, 3, 45, tzinfo=dt.UTC)
    starts = [first + dt.timedelta(minutes=minute) for minute in range(minutes)]
    close = 100 + rng.normal(0, 0.1, (minutes, count)).cumsum(0)
    bars = pl.DataFrame(
        {
            "instrument_token": np.tile(np.arange(count, dtype=np.uint32) * 256 + 1, minutes),
            "start": pl.Series(starts).gather(np.repeat(np.arange(minutes), count)),
            "close": close.ravel(),
            "high": (close + 0.1).ravel(),
            "low": (close - 0.1).ravel(),
            "is_partial": np.repeat(np.arange(minutes) == minutes - 1, count),
        }
    ).with_columns(pl.col("start").cast(TIMESTAMP))
    for indicator in (kp.indicators.rsi(14), kp.indicators.supertrend(), kp.indicators.sma(50)):
        growing = kp.indicators.IncrementalIndicators([indicator])
        growing.add_to(bars)
        timings = best_of(
            {
                "again": lambda growing=growing: growing.add_to(bars).height,  # type: ignore[misc]
                "whole": lambda indicator=indicator: bars.with_columns(indicator).height,  # type: ignore[misc]
            },
            repeats=5,
        )
        took = {which: timing.wall * timing.items for which, timing in timings.items()}
        results.add(
            f"Indicators: {indicator.study.name} of {count:,} instruments, a minute forming",
            took["again"] / took["whole"],
            against=f"all {minutes} minutes anew",
            target=harness.at_most(0.1),
            note=f"{1e3 * took['again']:,.1f} ms against {1e3 * took['whole']:,.0f} ms",
        )


if __name__ == "__main__":
    harness.main("alerts", main_work, __doc__)
