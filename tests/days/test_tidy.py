from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import DAY, INFY, record_market
from kitepolars.days import tidy as tidying
from kitepolars.days.manifest import Manifest, Table
from kitepolars.days.publish import JournalPublisher
from kitepolars.days.selection import TickSelection
from kitepolars.days.tidy import Tidied, tidy
from kitepolars.days.verify import delete_published, faults

TOMORROW = DAY + dt.timedelta(days=1)
KEYS = ["recorder", "sequence", "instrument_token"]


def manifest(table: Table) -> Manifest:
    found = table.manifest(DAY)
    assert found is not None
    return found


def content(table: Table) -> pl.DataFrame:
    return (
        TickSelection(table=table, days=[manifest(table)])
        .lazy()
        .collect()
        .sort(KEYS, maintain_order=True)
    )


@pytest.fixture
def table(journal: Path, tmp_path: Path) -> Table:
    made = Table(tmp_path / "days")
    JournalPublisher(journal, made).publish()
    return made


@pytest.mark.parametrize("rows", [50, 100_000])
def test_tidying_changes_the_order_and_nothing_else(
    table: Table, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tidying, "MERGE_ROWS", rows)
    before = content(table)
    assert tidy(table, today=TOMORROW).rows == before.height
    day = manifest(table)
    assert not day.published
    assert_frame_equal(content(table), before)
    for files, key in (
        (day.by_instrument, ["instrument_token", "received_at"]),
        (day.by_time, ["minute", "instrument_token", "received_at"]),
    ):
        minute = pl.col("received_at").dt.truncate("1m").alias("minute")
        ticks = table.scan(files).with_columns(minute).collect()
        assert_frame_equal(ticks, ticks.sort(key, maintain_order=True))
        assert ticks.height == before.height
    ranges = sorted(file.tokens for file in day.by_instrument)
    assert all(low[1] < high[0] for low, high in pairwise(ranges))


def test_tidying_again_changes_nothing(table: Table) -> None:
    tidy(table, today=TOMORROW)
    before = manifest(table)
    assert tidy(table, today=TOMORROW) == Tidied()
    assert manifest(table) == before


def test_the_day_that_is_not_over_is_left_as_it_is(table: Table) -> None:
    assert tidy(table, today=DAY) == Tidied()
    assert manifest(table).published


def test_replaced_files_stay_for_their_readers_and_go_after_that(table: Table) -> None:
    before = content(table)
    reading = TickSelection(table=table, days=[manifest(table)]).lazy()
    assert tidy(table, today=TOMORROW).removed == 0
    assert_frame_equal(reading.collect().sort(KEYS, maintain_order=True), before)
    assert tidy(table, today=TOMORROW, grace=0).removed == 2
    assert_frame_equal(content(table), before)


def test_what_no_manifest_names_is_removed_once_it_is_old(table: Table) -> None:
    orphan = Path(table.path) / DAY.isoformat() / "0123-0-1.parquet"
    orphan.write_bytes(b"")
    assert tidy(table, today=DAY).removed == 0
    assert tidy(table, today=DAY, grace=0).removed == 1
    assert not orphan.exists()


def test_ticks_that_come_after_tidying_are_there_and_the_next_time_in_order(
    table: Table, tmp_path: Path
) -> None:
    tidy(table, today=TOMORROW)
    record_market(tmp_path / "late", seed=9)
    JournalPublisher(tmp_path / "late", table).publish()
    both = content(table)
    assert both["recorder"].n_unique() == 2
    tidy(table, today=TOMORROW)
    assert not manifest(table).published
    assert_frame_equal(content(table), both)
    [file] = manifest(table).by_instrument
    ticks = table.read(file)
    assert ticks.filter(pl.col("instrument_token") == INFY)["received_at"].is_sorted()


def test_the_second_order_is_kept_of_the_last_days_only(table: Table) -> None:
    tidy(table, today=TOMORROW)
    before = content(table)
    assert manifest(table).by_time
    tidy(table, today=TOMORROW, keep_both=0)
    assert not manifest(table).by_time
    assert_frame_equal(content(table), before)


def test_two_that_tidy_at_once_leave_one_order(table: Table) -> None:
    before, seen = content(table), manifest(table)
    tidy(table, today=TOMORROW)
    first = manifest(table)
    # the second one has read the manifest before the first has replaced it
    tidying._merge(table, DAY, seen, keep_by_time=True)
    assert manifest(table).by_instrument == first.by_instrument
    assert_frame_equal(content(table), before)


# -- deletion --------------------------------------------------------------------------------------


@pytest.fixture
def two_days(tmp_path: Path) -> Path:
    for day in (DAY, TOMORROW):
        record_market(tmp_path / "ticks", day=day, seconds=60)
    return tmp_path / "ticks"


def test_a_published_day_of_a_recording_is_deleted_when_asked(
    two_days: Path, tmp_path: Path
) -> None:
    table = Table(tmp_path / "days")
    JournalPublisher(two_days, table).publish()
    ticks = kp.read_journal(two_days).collect()
    assert delete_published(two_days, table)
    left = kp.read_journal(two_days).collect()
    assert left["received_at"].dt.date().unique().to_list() == [TOMORROW]
    assert kp.scan(table.path).collect().height == ticks.height
    JournalPublisher(two_days, table).publish()
    assert kp.scan(table.path).collect().height == ticks.height


def test_nothing_is_deleted_that_cannot_be_read_back(two_days: Path, tmp_path: Path) -> None:
    table = Table(tmp_path / "days")
    JournalPublisher(two_days, table).publish()
    before = kp.read_journal(two_days).collect().height
    [file] = manifest(table).published
    damaged = bytearray((tmp_path / "days" / file.name).read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    (tmp_path / "days" / file.name).write_bytes(damaged)
    assert faults(table, DAY)
    with pytest.raises(OSError, match=r"CRC|crc"):
        delete_published(two_days, table)
    assert kp.read_journal(two_days).collect().height == before


def test_nothing_is_deleted_that_is_not_published(two_days: Path, tmp_path: Path) -> None:
    assert delete_published(two_days, Table(tmp_path / "days")) == []
