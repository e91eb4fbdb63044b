"""A recording of six days and a table of it, and a question."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.journal.writer import JournalWriter
from kitepolars.source import Messages
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import LTP

INFY, SBIN = 408065, 779521


DAYS: Final = [dt.date(2026, 11, day) for day in (16, 17, 18, 19, 20, 23)]


TICKS: Final = 10


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal with a few ticks a day, whose prices tell the days apart."""
    folder = tmp_path_factory.mktemp("ticks")
    with JournalWriter(folder) as writer:
        for number, day in enumerate(DAYS):
            at = int(dt.datetime.combine(day, dt.time(10), IST).timestamp() * 1_000_000)
            for tick in range(TICKS):
                prices = [100_000 + 1_000 * number + tick, 50_000 + tick]
                columns = {"instrument_token": [INFY, SBIN], "last_price": prices}
                message = encode_message(encode_packets(LTP, columns))
                writer.take(Messages(at + 1_000_000 * tick, 0, [message]))
    return folder


def highest(ticks: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row an instrument: a function of a module that workers can import, or of none."""
    day = pl.col("received_at").dt.date().first().alias("day")
    return ticks.group_by("instrument_token", maintain_order=True).agg(
        day, pl.col("last_price").max(), pl.col("mode").last()
    )


@pytest.fixture(scope="session")
def table(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same ticks as a table of days."""
    days = tmp_path_factory.mktemp("days")
    kp.publish(recording, days)
    return days
