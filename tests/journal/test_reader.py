from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.recorded import plain, records_at, ticks
from journal.writing import HOUR, NOON, writing
from kitepolars.errors import JournalError
from kitepolars.journal.codec import encode
from kitepolars.journal.format import Entry, Scan
from kitepolars.journal.reader import EntryReader, between, read_records, verify
from kitepolars.journal.segments import segments
from kitepolars.source import Lost, MessageBlock, Messages, Record, SnapshotsExpected, Subscribed
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


def stored_entries() -> st.SearchStrategy[list[Entry]]:
    """Return entries as a journal may hold them: some damaged, some twice, some unreadable."""

    @st.composite
    def some(draw: st.DrawFn) -> list[Entry]:
        taken = draw(st.lists(records_at(st.integers(0, 2**40)), max_size=12))
        entries = written(taken)
        for number in draw(st.sets(st.integers(0, 11), max_size=3)):
            entries = [entry for entry in entries if entry.sequence != number]
        for number in draw(st.lists(st.integers(0, 11), max_size=3)):
            begin = min(number, len(entries))
            entries[begin:begin] = entries[max(0, begin - 3) : begin]
        has_malformed = draw(st.booleans())
        if entries and has_malformed:
            place = draw(st.integers(0, len(entries) - 1))
            entries[place] = entries[place]._replace(kind=1, payload=b"\x82\x7e\x00")
        return entries

    return some()


@given(stored_entries(), st.integers(1, 4))
def test_records_are_the_same_whether_they_are_read_one_by_one_or_as_tables(
    entries: list[Entry], pieces: int
) -> None:
    expected, one_by_one = read(entries)
    reader, scan = EntryReader(), Scan()
    stored = b"".join(entry.encode() for entry in entries)
    size = len(stored) // pieces + 1
    found: list[Record] = []
    for begin in range(0, len(stored), size):
        for record in reader.read_table(scan.feed(stored[begin : begin + size])):
            found += record.each() if isinstance(record, MessageBlock) else [record]
    assert [plain(record) for record in found] == [plain(record) for record in expected]
    assert not any(isinstance(record, Messages) for record in reader.read_table(scan.feed(stored)))
    assert (reader.missing, reader.unreadable, reader.at) == (
        one_by_one.missing,
        one_by_one.unreadable,
        one_by_one.at,
    )
    assert reader.standing.records(0) == one_by_one.standing.records(0)


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


def test_a_folder_without_a_recording_is_an_error(tmp_path: Path) -> None:
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
