from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from journal.recorded import plain, read_entries, read_records, ticks
from journal.writing import NOON, FailingDisk, has_unwritten, writing
from kitepolars.journal.codec import decode
from kitepolars.journal.format import Scan
from kitepolars.journal.segments import segments
from kitepolars.source import (
    Lost,
    Messages,
    Record,
    SnapshotsExpected,
    Subscribed,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE, eventually


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
