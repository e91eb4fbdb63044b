from __future__ import annotations

import errno
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from journal.recorded import read_entries, read_records, ticks
from journal.writing import DAY, NOON, QUICK, FailingDisk, has_unwritten, writing
from kitepolars.journal.folder import OPEN
from kitepolars.journal.growing import Disk
from kitepolars.journal.segments import segments
from kitepolars.source import (
    Listing,
    Messages,
    Subscribed,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE, eventually


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal of 100 messages in segments of about 2,000 bytes."""
    folder = tmp_path_factory.mktemp("segmented")
    with writing(folder, segment_bytes=2_000) as writer:
        writer.take(Subscribed(NOON, Mode.FULL, (1, 2)))
        for number in range(100):
            writer.take(ticks(number, NOON))
        assert writer.flush(PATIENCE)
        eventually(lambda: len(list(folder.glob(f"*/*{OPEN}"))) == 1)
    return folder


def test_a_segment_ends_at_its_size_and_is_compressed(segmented: Path) -> None:
    found = segments(segmented)
    assert len(found) > 2
    assert [segment.is_compressed for segment in found] == [True] * (len(found) - 1) + [False]


def test_no_record_is_lost_between_segments(segmented: Path) -> None:
    again = read_records(segmented)
    assert [record for record in again if isinstance(record, Messages)] == [
        ticks(number, NOON) for number in range(100)
    ]
    assert [entry.sequence for entry in read_entries(segmented)] == list(range(len(again)))


def test_each_segment_can_be_read_by_itself(segmented: Path) -> None:
    for segment in segments(segmented):
        first, *_ = read_records(segment.path)
        assert first == Subscribed(NOON, Mode.FULL, (1, 2))
        header = segment.header()
        assert header is not None
        assert header.sequence == segment.sequence


def test_a_new_day_has_its_own_folder_with_the_listing_and_the_subscriptions(
    tmp_path: Path,
) -> None:
    listing = Listing(NOON, b"instrument_token\n1\n")
    with writing(tmp_path) as writer:
        writer.take(listing)
        writer.take(Subscribed(NOON, Mode.LTP, (1, 2)))
        writer.take(Unsubscribed(NOON, (2,)))
        writer.take(ticks(0, NOON))
        writer.take(ticks(1, NOON + DAY))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "2025-11-27",
        "2025-11-28",
    ]
    assert read_records(tmp_path / "2025-11-28") == [
        listing._replace(at=NOON + DAY),
        Subscribed(NOON + DAY, Mode.LTP, (1,)),
        ticks(1, NOON + DAY),
    ]


def test_a_day_has_each_listing_once_however_often_a_recorder_starts(tmp_path: Path) -> None:
    morning, later = b"instrument_token\n1\n", b"instrument_token\n1\n2\n"
    for hour, csv in enumerate([morning, morning, later, later]):
        with writing(tmp_path) as writer:
            writer.take(Listing(NOON + hour, csv))
            writer.take(ticks(hour, NOON + hour))
    listings = [record for record in read_records(tmp_path) if isinstance(record, Listing)]
    assert listings == [Listing(NOON, morning), Listing(NOON + 2, later)]


def test_a_new_day_has_its_listing_although_it_is_that_of_the_day_before(tmp_path: Path) -> None:
    listing = Listing(NOON, b"instrument_token\n1\n")
    for day in (0, DAY):
        with writing(tmp_path) as writer:
            writer.take(listing._replace(at=NOON + day))
    assert read_records(tmp_path / "2025-11-28") == [listing._replace(at=NOON + DAY)]


def test_a_clock_that_is_set_back_opens_no_day_of_the_past(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON))
        writer.take(ticks(1, NOON - DAY))
    assert len(segments(tmp_path)) == 1


@pytest.mark.parametrize("torn", [1, 10, 40])
def test_a_torn_tail_is_cut_on_opening(tmp_path: Path, torn: int) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON))
        writer.take(ticks(1, NOON))
    [segment] = segments(tmp_path)
    os.truncate(segment.path, segment.size - torn)
    with writing(tmp_path) as writer:
        writer.take(ticks(2, NOON))
    assert read_records(tmp_path) == [ticks(0, NOON), ticks(2, NOON)]
    assert [entry.sequence for entry in read_entries(tmp_path)] == [0, 1]


class SlowDisk(Disk):
    """A disk whose syncs end when they are let, and may fail then."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.error: int | None = None

    def sync(self, handle: int) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=PATIENCE)
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        super().sync(handle)


def has_records(folder: Path, count: int) -> bool:
    return len(read_records(folder)) == count


@QUICK
@pytest.mark.parametrize("error", [None, errno.EIO])
def test_records_are_written_while_the_disk_is_synced(tmp_path: Path, error: int | None) -> None:
    disk, told = SlowDisk(), list[str]()
    with writing(tmp_path, disk=disk, alarm=told.append) as writer:
        disk.go_on.release()  # for the header of the segment
        writer.take(ticks(0, NOON))
        for _ in range(2):
            assert disk.begun.acquire(timeout=PATIENCE)
        for number in range(1, 5):
            writer.take(ticks(number, NOON + number))
            eventually(partial(has_records, tmp_path, number + 1))
        assert writer.stats().durable_sequence == 0
        disk.error = error
        disk.go_on.release()
        eventually(lambda: writer.stats().durable_sequence == 1 or writer.stats().failure)
        disk.error = None
        disk.go_on.release(100)
        assert writer.flush(PATIENCE)
        assert writer.stats().durable_sequence == 5
    assert read_records(tmp_path) == [ticks(number, NOON + number) for number in range(5)]
    assert bool(told) == (error is not None)


@QUICK
def test_a_segment_is_named_for_its_first_record_although_others_were_dropped(
    tmp_path: Path,
) -> None:
    disk = FailingDisk()
    with writing(tmp_path, disk=disk, queue_bytes=2_000, segment_bytes=1_000) as writer:
        writer.take(ticks(0, NOON))
        assert writer.flush(PATIENCE)
        disk.room = 0
        for number in range(1, 100):
            writer.take(ticks(number, NOON + number))
            eventually(partial(has_unwritten, writer, number))
        disk.room = 2**40
        assert writer.flush(PATIENCE)
    for segment in segments(tmp_path):
        assert next(segment.read()).sequence == segment.sequence
        assert segment.header() is not None
    dropped = writer.stats().not_recorded
    assert read_records(tmp_path) == [
        ticks(0, NOON),
        *(ticks(number, NOON + number) for number in range(dropped + 1, 100)),
    ]
