from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import INFY, SBIN, record_market
from kitepolars.days import pieces
from kitepolars.days.manifest import Table
from kitepolars.days.publish import JournalPublisher
from kitepolars.days.recorded import GrowingTable
from kitepolars.sim import SimulatedKite

KEYS = ["received_at", "instrument_token"]


def as_ordered(ticks: pl.DataFrame) -> pl.DataFrame:
    return ticks.sort(KEYS, maintain_order=True)


def content(recorded: GrowingTable) -> pl.DataFrame:
    return as_ordered(recorded.scan().collect().drop("recorder", "sequence"))


def test_published_and_unpublished_ticks_are_one_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FILE_ROWS", 50)
    folder, table = tmp_path / "ticks", tmp_path / "days"
    record_market(folder, begin=dt.time(10, 0), seconds=60)
    recorded = GrowingTable(folder, table)
    for number in range(1, 4):
        assert_frame_equal(content(recorded), as_ordered(kp.read_journal(folder).collect()))
        if number < 3:
            JournalPublisher(folder, Table(table)).publish()
            assert_frame_equal(content(recorded), as_ordered(kp.read_journal(folder).collect()))
        record_market(folder, begin=dt.time(10, 10 * number), seconds=60)
    assert_frame_equal(
        content(GrowingTable(folder, table)), as_ordered(kp.read_journal(folder).collect())
    )


def test_what_is_published_is_not_held_any_more(tmp_path: Path) -> None:
    folder, table = tmp_path / "ticks", tmp_path / "days"
    record_market(folder, seconds=60)
    recorded = GrowingTable(folder, table)
    rows = recorded.scan().collect().height
    [day] = recorded._unpublished.values()
    assert day.frame("x").height == rows
    JournalPublisher(folder, Table(table)).publish()
    assert recorded.scan().collect().height == rows
    assert day.frame("x").is_empty()


def test_times_and_instruments_select_from_both(tmp_path: Path) -> None:
    folder, table = tmp_path / "ticks", tmp_path / "days"
    record_market(folder, begin=dt.time(10, 0), seconds=60)
    JournalPublisher(folder, Table(table)).publish()
    record_market(folder, begin=dt.time(10, 20), seconds=60)
    recorded = GrowingTable(folder, table)
    day = dt.datetime(2026, 11, 20)  # noqa: DTZ001 - in India
    some = recorded.scan(
        start=day.replace(hour=10, second=30),
        end=day.replace(hour=10, minute=20, second=30),
        instruments=["NSE:INFY", "NSE:SBIN"],
    ).collect()
    expected = (
        kp.read_journal(folder)
        .collect()
        .filter(
            pl.col("instrument_token").is_in([INFY, SBIN]),
            pl.col("received_at")
            .dt.replace_time_zone(None)
            .is_between(
                day.replace(hour=10, second=30),
                day.replace(hour=10, minute=20, second=30),
                closed="left",
            ),
        )
    )
    assert_frame_equal(as_ordered(some.drop("recorder", "sequence")), as_ordered(expected))
    with pytest.raises(kp.UnknownInstrument):
        recorded.scan(instruments=["NSE:NONE"])


def test_a_ticker_that_records_answers_for_memory_and_disk(tmp_path: Path) -> None:
    with SimulatedKite(rate=0, interval=0.01) as kite:
        names = kp.Instruments.read_csv(kite.instruments_csv())
        ticker = kp.Ticker("key", "token", url=kite.url, instruments=names)
        with pytest.raises(kp.ConfigError, match="recorder"):
            ticker.scan(tmp_path / "days")
        recorder = ticker.record(tmp_path / "ticks")
        ticker.subscribe([INFY, SBIN], mode="full")
        with ticker:
            kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
            for _ in range(3):
                rows = ticker.stats().rows
                kite.step()
                ticker.wait(rows=rows + 2, timeout=60)
                seen = ticker.frame()
                scanned = ticker.scan(tmp_path / "days").collect()
                assert_frame_equal(scanned.drop("recorder", "sequence")[: seen.height], seen)
                kp.publish(tmp_path / "ticks", tmp_path / "days")
        recorder.end()
