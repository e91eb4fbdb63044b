from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.recorded import ticks
from journal.test_writer import HOUR, NOON, writing
from kitepolars.errors import JournalError
from kitepolars.journal.codec import encode
from kitepolars.journal.format import Entry
from kitepolars.journal.reader import EntryReader, between, read_records, verify
from kitepolars.journal.segments import segments
from kitepolars.source import Lost, Messages, Record, SnapshotsExpected, Subscribed
from kitepolars.wire.layouts import Mode


def read(entries: list[Entry]) -> tuple[list[Record], EntryReader]:
    reader = EntryReader()
    return [record for entry in entries for record in reader.read(entry)], reader


def written(records: list[Record], first: int = 0) -> list[Entry]:
    return [encode(record, first + number) for number, record in enumerate(records)]


SOME: list[Record] = [
    Subscribed(1, Mode.LTP, (7, 8)),
    SnapshotsExpected(2, 1, (8,)),
    *(ticks(number, 10 + number) for number in range(5)),
]


@given(st.sets(st.integers(2, 5), min_size=1))
def test_missing_records_are_gaps_of_what_is_subscribed(missing: set[int]) -> None:
    entries = [entry for entry in written(SOME) if entry.sequence not in missing]
    found, reader = read(entries)
    lost = [record for record in found if isinstance(record, Lost)]
    assert reader.missing == len(missing)
    assert {token for record in lost for token in record.instrument_tokens} == {7, 8}
    for record in lost:
        assert record.since < record.at
        assert "of the recording are damaged" in record.reason
    received = [record for record in found if isinstance(record, Messages)]
    assert len(received) == 5 - len(missing & set(range(2, 7)))


def test_the_place_of_a_gap_is_that_of_the_missing_record() -> None:
    entries = written(SOME)
    del entries[3]
    found, _ = read(entries)
    reason = "1 records of the recording are damaged"
    assert found[3:5] == [
        Lost(12, 0, "", 10, reason, (7,)),
        Lost(12, 1, "", 10, reason, (8,)),
    ]


@given(st.lists(st.integers(0, 6), max_size=20))
def test_a_record_that_comes_again_is_passed_over(repeats: list[int]) -> None:
    entries = written(SOME)
    for number in repeats:
        entries.insert(entries.index(written(SOME)[number]) + 1, written(SOME)[number])
    found, reader = read(entries)
    assert len(found) == len(SOME)
    assert reader.missing == 0


def test_what_is_not_known_is_counted() -> None:
    found, reader = read([Entry(0, 1, 99, 0, b""), *written(SOME, first=1)])
    assert len(found) == len(SOME)
    assert reader.unreadable == 1


def test_only_segments_that_may_have_records_of_the_time_are_read(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=500) as writer:
        for number in range(40):
            writer.take(ticks(number, NOON + number * HOUR // 10))
    every = list(read_records(tmp_path))
    assert len(every) == 40
    start, end = NOON + HOUR, NOON + 2 * HOUR
    some = list(read_records(tmp_path, start=start, end=end))
    assert 10 <= len(some) < 25
    times = [record.received_at for record in some if isinstance(record, Messages)]
    assert [at for at in times if start <= at < end] == [
        NOON + number * HOUR // 10 for number in range(10, 20)
    ]
    assert len(between(tmp_path, start=end)) < len(between(tmp_path))
    assert between(tmp_path, end=NOON) == []


def test_a_folder_without_a_recording_is_said(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no recording"):
        list(read_records(tmp_path))


def test_a_verdict_counts(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(5):
            writer.take(ticks(number, NOON))
    [segment] = segments(tmp_path)
    verdict = verify(segment)
    assert (verdict.records, verdict.first, verdict.last) == (5, 0, 4)
    assert verdict.bytes == segment.size
    assert verdict.damages == []
