"""A recording by day, a table by day or by instruments."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import kitepolars as kp
from cluster.conftest import DAYS, INFY, SBIN, TICKS, highest


def test_a_table_has_the_same_answer_as_its_recording(recording: Path, table: Path) -> None:
    recorded = kp.map_days(highest, recording, progress=False)
    published = kp.map_days(highest, table, progress=False)
    assert published.sort("day", "instrument_token").equals(
        recorded.sort("day", "instrument_token")
    )


def test_a_partition_by_instruments_has_all_their_days(table: Path) -> None:
    spans = kp.map_days(span, table, by="instruments", progress=False)
    assert spans.rows() == [(token, len(DAYS) * TICKS, DAYS[0], DAYS[-1]) for token in (INFY, SBIN)]
    pool = kp.map_days(span, table, by="instruments", workers=2, progress=False)
    assert pool.equals(spans)
    some = kp.map_days(
        span, table, by="instruments", instruments=[SBIN], start=DAYS[1], end=DAYS[2]
    )
    assert some.rows() == [(SBIN, 2 * TICKS, DAYS[1], DAYS[2])]


def span(ticks: pl.LazyFrame) -> pl.LazyFrame:
    """Return each instrument's number of ticks, and its first and last day."""
    day = pl.col("received_at").dt.date()
    return (
        ticks.group_by("instrument_token")
        .agg(pl.len(), day.min().alias("first"), day.max().alias("last"))
        .sort("instrument_token")
    )


def test_a_recording_is_divided_by_day_only(recording: Path) -> None:
    with pytest.raises(kp.ConfigError, match="publish it for other partitions"):
        kp.map_days(span, recording, by="instruments")
    with pytest.raises(kp.ConfigError, match="by must be 'day' or 'instruments'"):
        kp.map_days(span, recording, by="week")  # type: ignore[arg-type]


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(kp.TableError, match="there is no table of days"):
        kp.map_days(span, tmp_path)
