"""Compares queries over live rows, in chunks, with those over the same rows in one chunk."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from polars.testing import assert_frame_equal

import filling
import harness
from kitepolars import candles
from timing import best_of

ROW_BYTES = 2 * 260  # the rows exist twice


def group_by(frame: pl.DataFrame) -> pl.DataFrame:
    """Aggregate by instrument."""
    return (
        frame.lazy()
        .group_by("instrument_token")
        .agg(
            pl.len(),
            pl.col("last_price").mean(),
            pl.col("volume_traded").max(),
            (pl.col("ask_price").arr.first() - pl.col("bid_price").arr.first())
            .mean()
            .alias("spread"),
        )
        .collect()
    )


def minute_candles(frame: pl.DataFrame) -> pl.DataFrame:
    """Compute bars of a minute."""
    return candles(frame.lazy(), "1m").collect()


def measure(results: harness.Results) -> None:
    """Fill, check that both results are equal, and time them in turn."""
    rows = harness.room_for(1_000_000 if results.quick else 10_000_000, ROW_BYTES)
    pipeline = filling.new_pipeline()
    filling.within_loop(lambda: filling.fill(pipeline, rows))
    live = pipeline.store.held.frame()
    whole = live.rechunk()
    results.series["chunks"] = live.n_chunks()
    queries: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], list[str]]] = {
        "group-by of each instrument": (group_by, ["instrument_token"]),
        "candles of a minute": (minute_candles, ["instrument_token", "start"]),
    }
    for name, (query, keys) in queries.items():
        ours, theirs = query(live).sort(keys), query(whole).sort(keys)
        assert ours.height
        assert_frame_equal(ours, theirs)
        timings = best_of(
            {
                "live": lambda query=query: query(live).height,  # type: ignore[misc]
                "whole": lambda query=query: query(whole).height,  # type: ignore[misc]
            },
            repeats=3 if query is minute_candles else 15,
        )
        took = {which: timing.wall * timing.items for which, timing in timings.items()}
        results.add(
            f"Queries: {name}, {live.height:,} rows held live in {live.n_chunks()} chunks",
            took["live"] / took["whole"],
            against="the same rows rechunked",
            target=harness.at_most(1.3),
            note=f"{1e3 * took['live']:,.0f} ms against {1e3 * took['whole']:,.0f} ms",
        )


if __name__ == "__main__":
    harness.main("queries", measure, __doc__)
