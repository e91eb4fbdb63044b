from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from journal.recorded import read_entries
from kitepolars.errors import JournalError
from kitepolars.journal.codec import MESSAGES, decode
from kitepolars.journal.compression import compress
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.ledger import Ledger
from kitepolars.recordings import ticks
from kitepolars.recordings.ticks import TickBatch, TickReader
from kitepolars.source import Messages
from kitepolars.wire.scan import Scanner
from recordings.conftest import INFY, NIFTY, SBIN, Recorded


def read(path: Path, reader: TickReader | None = None) -> list[TickBatch]:
    reader = reader or TickReader()
    batches = [batch for segment in segments(path) for batch in reader.read(segment)]
    return [*batches, *reader.finish()]


def joined(batches: list[TickBatch]) -> pl.DataFrame:
    return pl.concat([batch.ticks for batch in batches])


def sequences(path: Path) -> list[int]:
    """Return the sequence number of each tick, found message by message."""
    scanner = Scanner()
    found = []
    for entry in read_entries(path):
        if entry.kind == MESSAGES:
            record = decode(entry)
            assert isinstance(record, Messages)
            found += [entry.sequence] * len(scanner.scan([*record.messages]))
    return found


@pytest.mark.parametrize("rows", [7, 100_000])
def test_ticks_are_those_of_the_live_ticker_with_their_sequence_numbers(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(ticks, "BATCH_ROWS", rows)
    ledger = Ledger()
    batches = read(recorded.folder, TickReader(also=ledger))
    assert_frame_equal(joined(batches), recorded.frame)
    assert {batch.ticks.height for batch in batches[:-1]} <= {rows}
    assert np.concatenate([batch.sequence for batch in batches]).tolist() == sequences(
        recorded.folder
    )
    assert len(ledger.gaps) == recorded.gaps.height
    assert ledger.stats().messages == recorded.stats.messages
    assert ledger.stats().bytes == recorded.stats.bytes


def test_small_segments_of_which_some_are_compressed_give_the_same(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.journal.compression.FRAME", 1_000)
    with JournalWriter(tmp_path, segment_bytes=4_000) as writer:
        for entry in read_entries(recorded.folder):
            writer.take(decode(entry))
    found = segments(tmp_path)
    for segment in found[::2]:
        if not segment.is_compressed:
            compress(segment.path)
    assert len(found) > 5
    assert_frame_equal(joined(read(tmp_path)), recorded.frame)


@pytest.mark.parametrize(
    ("instruments", "where", "expected"),
    [
        (["NSE:INFY"], [], [INFY]),
        ([SBIN, NIFTY], [], [SBIN, NIFTY]),
        (None, [pl.col("symbol") == "NSE:SBIN"], [SBIN]),
        (None, [pl.col("symbol").cast(pl.String).str.starts_with("BSE:")], []),
        ([INFY, SBIN], [pl.col("instrument_token") != SBIN], [INFY]),
    ],
)
def test_packets_of_other_instruments_are_not_decoded(
    recorded: Recorded,
    instruments: list[str | int] | None,
    where: list[pl.Expr],
    expected: list[int],
) -> None:
    ledger = Ledger()
    reader = TickReader(also=ledger, instruments=instruments, where=where)
    batches = read(recorded.folder, reader)
    frame = recorded.frame.filter(pl.col("instrument_token").is_in(expected))
    assert_frame_equal(pl.concat([recorded.frame.clear(), *[b.ticks for b in batches]]), frame)
    assert reader._pipeline.stats().ticks == frame.height
    assert ledger.stats().messages == recorded.stats.messages
    found = np.concatenate([[], *(batch.sequence for batch in batches)]).tolist()
    every = zip(sequences(recorded.folder), recorded.frame["instrument_token"], strict=True)
    assert found == [number for number, token in every if token in expected]


def test_a_condition_that_fails_is_an_error_and_not_a_row_less(recorded: Recorded) -> None:
    reader = TickReader(where=[pl.col("symbol").str.len_bytes() / pl.col("missing") > 1])
    with pytest.raises(JournalError, match="missing"):
        read(recorded.folder, reader)
