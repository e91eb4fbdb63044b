from __future__ import annotations

import errno
from pathlib import Path

from journal.recorded import read_records, ticks
from journal.writing import NOON, QUICK, FailingDisk, writing
from kitepolars.journal.growing import Disk
from kitepolars.journal.segments import segments
from patience import PATIENCE, eventually


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
