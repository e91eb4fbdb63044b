from __future__ import annotations

from pathlib import Path

from journal.recorded import read_records, ticks
from journal.writing import DAY, HOUR, NOON, writing
from kitepolars.journal.segments import segments
from kitepolars.source import (
    Lost,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode


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
