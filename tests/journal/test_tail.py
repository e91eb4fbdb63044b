from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from journal.recorded import ticks
from journal.writing import DAY, NOON, writing
from kitepolars.errors import JournalError
from kitepolars.journal.codec import decode, encode
from kitepolars.journal.compression import compress
from kitepolars.journal.folder import OPEN
from kitepolars.journal.format import Entry
from kitepolars.journal.segments import segments
from kitepolars.journal.tail import Tail
from kitepolars.journal.writer import JournalWriter
from kitepolars.source import Messages
from patience import eventually


def written(writer: JournalWriter, records: int) -> None:
    eventually(lambda: writer.stats().records >= records)


def numbers(entries: Iterable[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def everything(tail: Tail, most: int = 10_000) -> list[int]:
    found: list[int] = []
    while entries := tail.read(most):
        found += numbers(entries)
    return found


def test_what_is_appended_is_read_when_it_is_there(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        tail = Tail(tmp_path)
        assert list(tail.read()) == []
        for number in range(50):
            writer.take(ticks(number, NOON + number))
            written(writer, number + 1)
            [entry] = tail.read()
            assert entry.sequence == number
            assert list(decode(entry).messages) == [f"message {number}".encode()]  # type: ignore[union-attr]
        assert list(tail.read()) == []
    tail.close()


@pytest.mark.parametrize("most", [1, 100, 10_000])
def test_segments_and_days_are_read_one_after_the_other(tmp_path: Path, most: int) -> None:
    with writing(tmp_path, segment_bytes=1_000) as writer:
        tail = Tail(tmp_path)
        found: list[int] = []
        for number in range(300):
            writer.take(ticks(number, NOON + (number // 100) * DAY))
            if number % 7 == 0:
                found += numbers(tail.read(most))
        written(writer, 300)
        while len(found) < 300:
            found += everything(tail, most)
    assert found == list(range(300))
    assert len(segments(tmp_path)) > 3
    tail.close()


def test_a_segment_that_is_compressed_meanwhile_is_read_once(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1_000) as writer:
        for number in range(100):
            writer.take(ticks(number, NOON))
    tail = Tail(tmp_path)
    found = numbers(tail.read(1))
    for segment in segments(tmp_path):
        if not segment.is_compressed:
            compress(segment.path)
    assert found + everything(tail) == list(range(100))
    tail.close()


def test_reading_begins_with_the_segment_that_is_asked_for(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1_000) as writer:
        for number in range(100):
            writer.take(ticks(number, NOON))
    third = segments(tmp_path)[2].sequence
    tail = Tail(tmp_path, first=third)
    assert everything(tail) == list(range(third, 100))
    tail.close()


def test_a_record_is_read_when_it_is_complete_even_if_what_was_there_is_replaced(
    tmp_path: Path,
) -> None:
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON))
    [segment] = segments(tmp_path)
    tail = Tail(tmp_path)
    assert numbers(tail.read()) == [0]
    whole = segment.size
    stored = encode(Messages(NOON, 0, [b"x" * 1_000]), 1).encode()
    with segment.path.open("ab") as file:
        file.write(stored[:500])
    assert list(tail.read()) == []
    os.truncate(segment.path, whole)  # as a writer does that was killed and starts again
    with writing(tmp_path) as writer:
        writer.take(ticks(1, NOON))
        written(writer, 1)
        [entry] = tail.read()
        assert entry == encode(ticks(1, NOON), 1)
    tail.close()


def test_a_record_larger_than_a_read_and_a_damage_do_not_stop_it(tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(50_000)
    with writing(tmp_path) as writer:
        for data in (b"first", noise, b"last"):
            writer.take(Messages(NOON, 0, [data]))
    [segment] = segments(tmp_path)
    tail = Tail(tmp_path)
    assert everything(tail, most=10) == [0, 1, 2]
    tail.close()
    stored = bytearray(segment.path.read_bytes())
    stored[32 + 36 + 7 + 3] ^= 1  # in the header of the second record
    segment.path.write_bytes(stored)
    tail = Tail(tmp_path)
    assert everything(tail, most=10) == [0, 2]
    tail.close()


def test_a_journal_that_has_yet_to_begin_can_be_followed(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert list(tail.read()) == []
    day = tmp_path / "2025-11-27"
    day.mkdir()
    (day / f"{0:012}{OPEN}").touch()
    assert list(tail.read()) == []
    (day / f"{0:012}{OPEN}").unlink()
    with writing(tmp_path) as writer:
        writer.take(ticks(0, NOON))
    fresh = Tail(tmp_path)
    assert numbers(fresh.read()) == [0]
    tail.close()
    fresh.close()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no recording"):
        Tail(tmp_path / "missing")
