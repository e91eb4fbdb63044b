from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import DAY, INFY, NAMES, record_market
from kitepolars.days import pieces
from kitepolars.days.manifest import Manifest, Table
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.days.publish import JournalPublisher, Published
from kitepolars.days.scan import scan


def in_arrival_order(path: Path) -> pl.DataFrame:
    ticks = scan(path).collect().sort("recorder", "sequence", maintain_order=True)
    return ticks.drop("recorder", "sequence").sort("received_at", "instrument_token")


def as_ordered(ticks: pl.DataFrame) -> pl.DataFrame:
    return ticks.sort("received_at", "instrument_token")


def manifest(path: Path) -> Manifest:
    found = Table(path).manifest(DAY)
    assert found is not None
    return found


@pytest.fixture
def table(journal: Path, tmp_path: Path) -> Path:
    JournalPublisher(journal, Table(tmp_path / "days")).publish()
    return tmp_path / "days"


def test_what_is_published_is_what_the_ticker_had(table: Path, ticks: pl.DataFrame) -> None:
    published = scan(table).collect()
    assert published.schema == TABLE_SCHEMA
    assert_frame_equal(in_arrival_order(table), as_ordered(ticks))


def test_a_file_spans_a_quarter_of_an_hour_and_is_sorted_by_instrument(table: Path) -> None:
    files = manifest(table).published
    assert len(files) == 2
    for file in files:
        ticks = pl.read_parquet(table / file.name)
        assert ticks["received_at"].dt.truncate("15m").n_unique() == 1
        assert ticks["instrument_token"].is_sorted()
        assert (
            ticks.group_by("instrument_token")
            .agg(pl.col("sequence").diff().min() > 0)["sequence"]
            .to_list()
            == [True] * 3
        )
        assert file.rows == ticks.height
        assert file.first <= ticks["sequence"].min()  # type: ignore[operator]
        assert file.last == ticks["sequence"].max()


def test_publishing_again_changes_nothing(journal: Path, table: Path) -> None:
    before = {path: path.read_bytes() for path in table.rglob("*") if path.is_file()}
    assert JournalPublisher(journal, Table(table)).publish() == Published()
    assert {path: path.read_bytes() for path in table.rglob("*") if path.is_file()} == before


def test_a_file_that_no_manifest_names_is_written_again_under_its_name(
    journal: Path, table: Path, ticks: pl.DataFrame
) -> None:
    names = {path.name for path in table.rglob("*.parquet")}
    (table / DAY.isoformat() / "manifest.json").unlink()  # killed before it could write it
    JournalPublisher(journal, Table(table)).publish()
    assert {path.name for path in table.rglob("*.parquet")} == names
    assert_frame_equal(in_arrival_order(table), as_ordered(ticks))


@pytest.mark.parametrize("rows", [10, 100])
def test_the_size_of_files_does_not_change_the_rows(
    journal: Path,
    tmp_path: Path,
    ticks: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
) -> None:
    monkeypatch.setattr(pieces, "FILE_ROWS", rows)
    JournalPublisher(journal, Table(tmp_path / "days")).publish()
    assert len(manifest(tmp_path / "days").published) > ticks.height / rows / 2
    assert_frame_equal(in_arrival_order(tmp_path / "days"), as_ordered(ticks))


def test_gaps_orders_events_and_instruments_are_beside_the_ticks(
    journal: Path, table: Path
) -> None:
    day = manifest(table)
    [recorder] = day.progress
    beside = {
        kind: pl.read_parquet(table / some[recorder].name) for kind, some in day.beside.items()
    }
    assert set(beside) == {"gaps", "orders", "events", "instruments", "last", "symbols"}
    with kp.replay(journal, speed=None) as replayed:
        assert replayed.wait()
        assert_frame_equal(beside["orders"], replayed.orders())
        assert beside["gaps"]["reason"].to_list() == replayed.gaps()["reason"].to_list()
    assert all(beside[kind].height for kind in ("gaps", "orders", "events"))
    assert dict(beside["symbols"].rows()) == NAMES
    assert INFY in beside["instruments"]["instrument_token"]


def test_the_last_tick_of_each_instrument_is_beside_them(table: Path, ticks: pl.DataFrame) -> None:
    day = manifest(table)
    [recorder] = day.progress
    last = pl.read_parquet(table / day.beside["last"][recorder].name)
    expected = ticks.unique("instrument_token", keep="last")
    assert_frame_equal(last.drop("recorder", "sequence"), expected, check_row_order=False)


def test_a_day_that_grows_is_published_on(tmp_path: Path) -> None:
    folder, table = tmp_path / "ticks", tmp_path / "days"
    for number in range(3):
        record_market(folder, begin=dt.time(10, 10 * number), seconds=120)
        added = JournalPublisher(folder, Table(table)).publish()
        assert added.rows > 0
        assert_frame_equal(in_arrival_order(table), as_ordered(kp.read_journal(folder).collect()))


def test_a_clock_that_was_set_back_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    record_market(folder, begin=dt.time(10, 30), seconds=60)
    record_market(folder, begin=dt.time(10, 0), seconds=60)
    with pytest.raises(kp.TableError, match=r"goes back by .*--accept-overlap"):
        JournalPublisher(folder, Table(tmp_path / "days")).publish()
    JournalPublisher(folder, Table(tmp_path / "days"), accept_overlap=True).publish()
    ticks = kp.read_journal(folder).collect()
    assert_frame_equal(in_arrival_order(tmp_path / "days"), as_ordered(ticks))


def test_two_recorders_write_one_table(journal: Path, tmp_path: Path) -> None:
    other, table = tmp_path / "other", tmp_path / "days"
    record_market(other, seed=8)
    for folder in (journal, other):
        JournalPublisher(folder, Table(table)).publish()
    rows = sum(kp.read_journal(folder).collect().height for folder in (journal, other))
    published = scan(table).collect()
    assert (
        published.height == rows == published.n_unique(["recorder", "sequence", "instrument_token"])
    )
    assert published["recorder"].n_unique() == 2


def test_a_copy_of_a_recording_is_the_same_recording(
    journal: Path, table: Path, tmp_path: Path
) -> None:
    shutil.copytree(journal, tmp_path / "copy")
    assert JournalPublisher(tmp_path / "copy", Table(table)).publish() == Published()


def test_what_is_still_being_recorded_waits(tmp_path: Path) -> None:
    folder, table = tmp_path / "ticks", tmp_path / "days"
    record_market(folder, is_stopped=False, segment_bytes=2**30)
    clock_ns = kp.read_journal(folder).collect()["received_at"].dt.epoch("us").max()
    assert isinstance(clock_ns, int)
    JournalPublisher(folder, Table(table), clock=lambda: clock_ns + 11_000_000).publish()
    [file] = manifest(table).published  # the second quarter of an hour has not ended
    times = pl.read_parquet(table / file.name)["received_at"].dt.truncate("15m")
    assert times.n_unique() == 1


def test_whoever_follows_notices_at_once_that_a_recorder_was_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    record_market(folder, seconds=20, is_stopped=False, segment_bytes=2**30)
    looks = iter(("grows", "stopped", "quiet"))

    def stop(_: float) -> bool:
        look = next(looks)
        if look == "stopped":
            record_market(folder, begin=dt.time(9, 40), seconds=20)
        return look == "quiet"

    publisher = JournalPublisher(folder, Table(tmp_path / "days"))
    rows = [added.rows for added in publisher.follow(stop)]
    assert sum(rows) == 120
