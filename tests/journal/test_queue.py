from __future__ import annotations

from pathlib import Path

from journal.recorded import read_records, ticks
from journal.writing import NOON, QUICK, FailingDisk, writing
from kitepolars.source import (
    Heartbeats,
    Lost,
    Messages,
    Subscribed,
    Text,
)
from kitepolars.wire.layouts import Mode
from patience import eventually


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
