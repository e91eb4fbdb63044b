"""What one turn of the loop takes from a long journal, however its records are stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from journal.recorded import ticks
from journal.writing import NOON
from kitepolars.journal.compression import compress
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.recorder.control import Recorder
from kitepolars.recordings import following
from kitepolars.recordings.following import FollowSource
from kitepolars.source import Event, MessageBlock, Record
from kitepolars.wire.layouts import Mode

RECORDS = 200


class SilentRecorder:
    """Stands for a recorder that has nothing to say."""

    def ask(self, request: str, **_: Any) -> Mapping[str, Any]:
        assert request == "status"
        return {"failure": None}


class Turns:
    """Counts the records of each turn of the loop. A `Sink`."""

    def __init__(self) -> None:
        self.turn = 0
        self.records: Counter[int] = Counter()
        self.done = asyncio.Event()

    def tick(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self.tick)

    def take(self, record: Record) -> None:
        self.records[self.turn] += len(record) if isinstance(record, MessageBlock) else 1
        if self.records.total() == RECORDS:
            self.done.set()


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("kind", ["messages", "events"])
@pytest.mark.parametrize(("records", "size"), [(7, 2**20), (1_000, 500)])
async def test_a_turn_of_the_loop_is_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    records: int,
    size: int,
    kind: str,
    is_compressed: bool,
    is_alone: bool,
) -> None:
    monkeypatch.setattr(following, "TURN_RECORDS", records)
    monkeypatch.setattr(following, "TURN_BYTES", size)
    with JournalWriter(tmp_path, clock=lambda: NOON) as writer:
        for number in range(RECORDS):
            messages = ticks(number, NOON + number)
            writer.take(
                messages if kind == "messages" else Event(NOON + number, None, "note", "x" * 12)
            )
    [segment] = segments(tmp_path)
    stored = segment.size // RECORDS
    if is_compressed:
        compress(segment.path)

    def launch(_: Mapping[int, Mode]) -> Recorder:
        return cast("Recorder", SilentRecorder())

    source, turns = FollowSource(tmp_path, launch=launch, is_alone=is_alone), Turns()
    monkeypatch.setattr(source, "now", lambda: NOON)
    source.deliver_to(turns)
    turns.tick()
    starting = asyncio.get_running_loop().create_task(source.start())
    await turns.done.wait()
    await starting
    await source.stop()
    assert turns.records.total() == RECORDS
    assert max(turns.records.values()) <= min(records, size // stored + 2)
