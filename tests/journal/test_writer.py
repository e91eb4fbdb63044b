from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.recorded import plain, read_entries, read_records, records_at, ticks
from journal.writing import DAY, NOON, writing
from kitepolars.journal.folder import CLOSED
from kitepolars.source import (
    Record,
    Stopped,
)
from patience import eventually


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


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.close()


def test_segments_that_an_earlier_writer_left_are_compressed(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON - DAY))
        writer.take(Stopped(NOON - DAY))
    with writing(tmp_path) as writer:
        writer.take(ticks(1, NOON))
        eventually(lambda: list(tmp_path.glob(f"*/*{CLOSED}")))
    assert read_records(tmp_path) == [ticks(0, NOON - DAY), Stopped(NOON - DAY), ticks(1, NOON)]
