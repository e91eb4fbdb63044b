from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.recorded import plain, read_entries, read_records, records_at, ticks
from kitepolars.errors import JournalError
from kitepolars.journal.codec import decode
from kitepolars.journal.folder import CLOSED, OPEN
from kitepolars.journal.format import Scan
from kitepolars.journal.growing import Disk
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.source import (
    Heartbeats,
    Listing,
    Lost,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE

NOON = 1_764_225_000_000_000  # 2025-11-27 12:00 IST
HOUR = 3_600_000_000
DAY = 24 * HOUR


def eventually(condition: Callable[[], object]) -> None:
    """Wait for another thread to make a condition true."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it did not happen")


@contextmanager
def writing(folder: Path, **options: object) -> Iterator[JournalWriter]:
    writer = JournalWriter(folder, clock=lambda: NOON, **options)  # type: ignore[arg-type]
    try:
        yield writer
    finally:
        writer.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(records_at(st.just(NOON)), max_size=20))
def test_what_is_taken_is_read_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, taken: list[Record]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with writing(folder) as writer:
        for record in taken:
            writer.take(record)
    assert read_records(folder) == [plain(record) for record in taken]
    entries = read_entries(folder)
    assert [entry.sequence for entry in entries] == list(range(len(taken)))


def test_everything_is_on_the_disk_in_time_without_being_asked(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(10):
            writer.take(ticks(number, NOON + number))
        eventually(lambda: writer.stats().durable_sequence == 10)
        stats = writer.stats()
        assert (stats.records, stats.next_sequence, stats.waiting_bytes) == (10, 10, 0)
        assert stats.bytes == sum(len(entry.encode()) for entry in read_entries(tmp_path))


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ticks"
    before = os.umask(0)
    try:
        with writing(folder) as writer:
            writer.take(ticks(0, NOON))
    finally:
        os.umask(before)
    modes = {
        path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_file()} == {0o600}
    assert len(modes) == 5


def test_two_writers_of_a_journal_are_one_too_many(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(JournalError, match="another process records there"):
        JournalWriter(tmp_path)
    with writing(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError) as caught:
        JournalWriter(tmp_path / "file" / "ticks")
    assert caught.value.path == tmp_path / "file" / "ticks"


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.close()


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


def test_a_clock_that_is_set_back_opens_no_day_of_the_past(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON))
        writer.take(ticks(1, NOON - DAY))
    assert len(segments(tmp_path)) == 1


def test_a_journal_that_ended_on_purpose_continues_without_a_gap(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(Subscribed(NOON, Mode.LTP, (1,)))
        writer.take(Stopped(NOON))
    with writing(tmp_path) as writer:
        assert writer.resumed == {}
        writer.take(ticks(0, NOON))
    assert read_records(tmp_path)[2:] == [Unsubscribed(NOON, (1,)), ticks(0, NOON)]
    assert len(segments(tmp_path)) == 1


def test_a_journal_that_ended_without_warning_has_a_gap(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(Subscribed(NOON - HOUR, Mode.LTP, (1, 2, 3)))
        writer.take(SnapshotsExpected(NOON - HOUR, 1, (2, 3)))
        writer.take(ticks(0, NOON - HOUR))
    with writing(tmp_path) as writer:
        assert writer.resumed == dict.fromkeys((1, 2, 3), Mode.LTP)
    why = "the recording was interrupted"
    assert read_records(tmp_path)[3:] == [
        Lost(NOON, 0, "", NOON - HOUR, why, (1,)),
        Lost(NOON, 1, "", NOON - HOUR, why, (2, 3)),
    ]


def test_a_journal_that_was_interrupted_yesterday_begins_anew(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(Subscribed(NOON - DAY, Mode.LTP, (1,)))
    with writing(tmp_path) as writer:
        assert writer.resumed == {}
        writer.take(ticks(0, NOON))
    lost, gone = read_records(tmp_path / "2025-11-27")[1:3]
    assert isinstance(lost, Lost)
    assert gone == Unsubscribed(NOON, (1,))


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


def test_segments_that_an_earlier_writer_left_are_compressed(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON - DAY))
        writer.take(Stopped(NOON - DAY))
    with writing(tmp_path) as writer:
        writer.take(ticks(1, NOON))
        eventually(lambda: list(tmp_path.glob(f"*/*{CLOSED}")))
    assert read_records(tmp_path) == [ticks(0, NOON - DAY), Stopped(NOON - DAY), ticks(1, NOON)]


class FailingDisk(Disk):
    """A disk with so much room, whose calls can fail."""

    def __init__(self, room: int = 2**40) -> None:
        self.room = room
        self.error: int | None = None
        self.attempts = threading.Semaphore(0)

    def write(self, handle: int, data: bytes | memoryview) -> int:
        self.attempts.release()
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(handle, data[: self.room])  # short, on a full disk
        self.room -= written
        return written

    def sync(self, handle: int) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        super().sync(handle)


QUICK: Final = pytest.mark.usefixtures("quick_retry")


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitepolars.journal.writer.RETRY", 0.01)


def test_short_writes_are_written_to_the_end(tmp_path: Path) -> None:
    class Stutter(Disk):
        def write(self, handle: int, data: bytes | memoryview) -> int:
            return super().write(handle, data[:7])

    with writing(tmp_path, disk=Stutter()) as writer:
        for number in range(5):
            writer.take(ticks(number, NOON))
    assert read_records(tmp_path) == [ticks(number, NOON) for number in range(5)]


@QUICK
def test_a_full_disk_costs_nothing_when_there_is_room_in_time(
    tmp_path: Path,
) -> None:
    disk, told = FailingDisk(room=200), list[str]()
    with writing(tmp_path, disk=disk, alarm=told.append) as writer:
        for number in range(20):
            writer.take(ticks(number, NOON + number))
        eventually(lambda: writer.stats().failure)
        for _ in range(3):
            assert disk.attempts.acquire(timeout=PATIENCE)
        # what a reader sees meanwhile are whole records
        assert read_records(tmp_path) == [
            ticks(number, NOON + number) for number in range(len(read_records(tmp_path)))
        ]
        assert writer.stats().durable_sequence < 20
        disk.room = 2**40
        eventually(lambda: writer.stats().durable_sequence == 20)
        assert writer.stats().failure is None
    assert read_records(tmp_path) == [ticks(number, NOON + number) for number in range(20)]
    assert told == [
        f"recording stopped in {tmp_path}: No space left on device; it is tried again",
        f"recording continues in {tmp_path}",
    ]


@QUICK
def test_what_a_full_disk_did_not_take_is_a_gap_in_its_place(tmp_path: Path) -> None:
    disk, told = FailingDisk(), list[str]()
    with writing(tmp_path, disk=disk, alarm=told.append, queue_bytes=3_000) as writer:
        writer.take(Subscribed(NOON, Mode.FULL, (1,)))
        eventually(lambda: writer.stats().durable_sequence == 1)
        disk.room = 0
        for number in range(100):
            writer.take(ticks(number, NOON + number))
        writer.take(Text(NOON + 99, 0, "an order"))  # texts are few, and are kept
        writer.take(Heartbeats(NOON + 99, 0, 1))
        eventually(lambda: writer.stats().failure)
        missing = writer.stats().not_recorded
        assert 0 < missing < 100
        disk.room = 2**40
        eventually(lambda: not writer.stats().waiting_bytes)
        writer.take(ticks(100, NOON + 100))
    again = read_records(tmp_path)
    kept = [record for record in again if isinstance(record, Messages)]
    assert kept == [ticks(n, NOON + n) for n in range(100 - missing)] + [ticks(100, NOON + 100)]
    reason = f"{missing} messages were not recorded: the disk did not take them"
    assert again[-3:] == [
        Text(NOON + 99, 0, "an order"),
        Lost(NOON + 100, 0, "", NOON + 99 - missing, reason, (1,)),
        ticks(100, NOON + 100),
    ]
    assert reason in told


def test_messages_that_were_refused_to_the_end_are_a_gap(tmp_path: Path) -> None:
    with writing(tmp_path, queue_bytes=0) as writer:
        writer.take(Subscribed(NOON, Mode.FULL, (1,)))
        writer.take(ticks(0, NOON))
    assert [type(record) for record in read_records(tmp_path)] == [Subscribed, Lost]


@QUICK
def test_what_could_not_be_put_on_the_disk_is_written_again(tmp_path: Path) -> None:
    disk = FailingDisk()
    with writing(tmp_path, disk=disk) as writer:
        writer.take(ticks(0, NOON))
        eventually(lambda: writer.stats().durable_sequence == 1)
        disk.error = errno.EIO
        writer.take(ticks(1, NOON))
        eventually(lambda: writer.stats().failure)
        assert writer.stats().durable_sequence == 1
        disk.error = None
        eventually(lambda: writer.stats().durable_sequence == 2)
    assert read_records(tmp_path) == [ticks(0, NOON), ticks(1, NOON)]


@QUICK
def test_a_segment_that_somebody_deletes_is_noticed_and_begun_again(tmp_path: Path) -> None:
    told = list[str]()
    with writing(tmp_path, alarm=told.append) as writer:
        writer.take(ticks(0, NOON))
        eventually(lambda: writer.stats().durable_sequence == 1)
        segments(tmp_path)[0].path.unlink()
        writer.take(ticks(1, NOON))
        eventually(lambda: writer.stats().durable_sequence == 2)
    assert read_records(tmp_path) == [ticks(1, NOON)]
    assert "was deleted" in told[0]


def test_a_disk_that_fails_to_the_end_does_not_hold_up_the_end(tmp_path: Path) -> None:
    disk = FailingDisk(room=0)
    with writing(tmp_path, disk=disk) as writer:
        writer.take(ticks(0, NOON))
    assert writer.stats().failure == "No space left on device"
    assert segments(tmp_path) == []


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


@dataclass(frozen=True)
class Outage:
    """A journal whose disk was full for 99 messages, and what its writer said meanwhile."""

    folder: Path
    followed: list[Record]
    next_sequence: int
    waiting_bytes: int
    dropped: int


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    folder, disk = tmp_path_factory.mktemp("outage"), FailingDisk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kitepolars.journal.writer.RETRY", 0.01)
        with writing(folder, disk=disk, queue_bytes=2_000) as writer:
            writer.take(Subscribed(NOON, Mode.FULL, (1, 2)))
            writer.take(SnapshotsExpected(NOON, 1, (2,)))
            writer.take(ticks(0, NOON))
            assert writer.flush(PATIENCE)
            assert writer.unwritten(0, 2**20) == b""
            disk.room = 0
            writer.take(ticks(1, NOON + 1))
            eventually(lambda: writer.stats().failure)
            followed, seen = list[Record](), 4
            for number in range(2, 100):
                writer.take(ticks(number, NOON + number))
                eventually(partial(has_unwritten, writer, number + 2))
                for entry in Scan().feed(writer.unwritten(seen, 2**20)):  # as a follower does
                    seen = entry.sequence + 1
                    followed.append(plain(decode(entry)))
            stats = writer.stats()
            disk.room = 2**40
            assert writer.flush(PATIENCE)
    return Outage(folder, followed, seen, stats.waiting_bytes, stats.not_recorded)


def test_a_follower_reads_each_message_while_the_disk_is_full(outage: Outage) -> None:
    assert [record for record in outage.followed if isinstance(record, Messages)] == [
        ticks(number, NOON + number) for number in range(2, 100)
    ]
    assert outage.next_sequence == 102


def test_what_waits_for_a_full_disk_is_bounded(outage: Outage) -> None:
    assert outage.waiting_bytes <= 2_000
    assert 0 < outage.dropped < 99


def test_the_newest_messages_are_written_once_the_disk_has_room(outage: Outage) -> None:
    messages = [record for record in read_records(outage.folder) if isinstance(record, Messages)]
    assert messages == [
        ticks(0, NOON),
        *(ticks(number, NOON + number) for number in range(outage.dropped + 1, 100)),
    ]


def test_what_a_full_disk_dropped_is_a_gap_of_each_connection(outage: Outage) -> None:
    gaps = [record for record in read_records(outage.folder) if isinstance(record, Lost)]
    first, second = gaps
    assert (first.since, first.at) == (NOON, NOON + 1)
    assert "were not recorded: the disk did not take them" in first.reason
    assert {*first.instrument_tokens, *second.instrument_tokens} == {1, 2}


def test_sequences_increase_across_what_was_dropped(outage: Outage) -> None:
    sequences = [entry.sequence for entry in read_entries(outage.folder)]
    assert sequences == sorted(set(sequences))
    assert [segment.sequence for segment in segments(outage.folder)] == [0]


def has_unwritten(writer: JournalWriter, sequence: int) -> bool:
    return bool(writer.unwritten(sequence, 1))


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
