from __future__ import annotations

import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitepolars.errors import JournalError
from kitepolars.journal import compression
from kitepolars.journal.compression import GROUPS_AHEAD, Compressor, compress
from kitepolars.journal.folder import CLOSED, OPEN, closed_path, tidy, trading_day
from kitepolars.journal.format import (
    BAD_SEGMENT,
    BAD_TABLE,
    SEGMENT_HEADER_SIZE,
    VERSION,
    Damage,
    Entry,
    Scan,
    SegmentHeader,
)
from kitepolars.journal.segments import TABLES_AHEAD, SegmentFile, segments

ENTRIES = [Entry(n, 1_000 + n, 3, 0, random.Random(n).randbytes(1_000)) for n in range(40)]
STORED = SegmentHeader(VERSION, 0, 1_000).encode() + b"".join(e.encode() for e in ENTRIES)


def write(folder: Path, data: bytes = STORED, sequence: int = 0) -> Path:
    path = folder / f"{sequence:012}{OPEN}"
    path.write_bytes(data)
    return path


def read(path: Path) -> tuple[list[Entry], list[Damage]]:
    scan = Scan()
    return list(SegmentFile(0, path).read(scan)), scan.damages


SMALL: Final = pytest.mark.usefixtures("small_frames")


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FRAME", 5_000)


@SMALL
def test_a_segment_reads_the_same_when_it_is_compressed(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read(path) == (ENTRIES, [])
    closed = compress(path)
    assert read(closed) == (ENTRIES, [])
    assert [segment.path for segment in segments(tmp_path)] == [closed]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o600
    assert b"".join(frame for frame in compression.read_frames(closed)) == STORED  # type: ignore[misc]


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_of_a_compressed_segment_costs_one_frame(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "FRAME", 5_000)
        closed = compress(write(folder))
    stored = bytearray(closed.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    closed.write_bytes(stored)
    found, damages = read(closed)

    missing = [entry.sequence for entry in ENTRIES if entry not in found]
    assert found == [entry for entry in ENTRIES if entry.sequence not in missing]
    assert len(missing) <= 5
    assert missing == list(range(missing[0], missing[-1] + 1)) if missing else True
    if missing:
        assert damages


@SMALL
@pytest.mark.parametrize("place", [None, 2_000, 13_000, 22_000, 30_000])
def test_reading_ahead_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int | None
) -> None:
    monkeypatch.setattr(compression, "FRAMES_TOGETHER", 3)
    closed = compress(write(tmp_path))
    if place is not None:
        stored = bytearray(closed.read_bytes())
        stored[place] ^= 1
        closed.write_bytes(stored)
    ahead = [entry for table in SegmentFile(0, closed).tables_ahead() for entry in table]
    assert ahead == read(closed)[0]
    assert (len(ahead) < len(ENTRIES)) == (place is not None)


@SMALL
def test_reading_ahead_is_bounded_and_ends_with_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompressed: list[int] = []
    zstd = vars(compression)["zstd"]
    original = zstd.decompress

    def decompress(data: bytes) -> bytes:
        decompressed.append(len(data))
        whole: bytes = original(data)
        return whole

    monkeypatch.setattr(compression, "FRAMES_TOGETHER", 1)
    monkeypatch.setattr(zstd, "decompress", decompress)
    many = [entry._replace(sequence=n) for n, entry in enumerate(ENTRIES * 20)]
    stored = SegmentHeader(VERSION, 0, 1_000).encode() + b"".join(e.encode() for e in many)
    threads = threading.active_count()
    tables = SegmentFile(0, compress(write(tmp_path, stored))).tables_ahead()
    assert next(tables)
    tables.close()
    assert threading.active_count() == threads
    assert len(decompressed) <= 1 + TABLES_AHEAD + GROUPS_AHEAD + 1


@given(bit=st.integers(0, 8 * SEGMENT_HEADER_SIZE - 1))
def test_a_damaged_header_costs_no_record(
    bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stored = bytearray(STORED)
    stored[bit // 8] ^= 1 << bit % 8
    path = write(tmp_path_factory.mktemp("journal"), bytes(stored))
    assert read(path) == (ENTRIES, [Damage(0, SEGMENT_HEADER_SIZE, BAD_SEGMENT)])
    assert SegmentFile(0, path).header() is None


@SMALL
def test_a_damaged_table_costs_nothing_and_is_reported(tmp_path: Path) -> None:
    closed = compress(write(tmp_path))
    closed.write_bytes(closed.read_bytes()[:-3])
    assert read(closed) == (ENTRIES, [Damage(0, 0, BAD_TABLE)])


@SMALL
def test_a_damage_stays_as_it_is_when_the_segment_is_compressed(tmp_path: Path) -> None:
    stored = bytearray(STORED)
    stored[7_000] ^= 1
    path = write(tmp_path, bytes(stored[:-10]))
    before = read(path)
    assert len(before[1]) == 2
    assert read(compress(path)) == before


def test_a_segment_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SegmentHeader(VERSION + 1, 0, 0).encode())
    with pytest.raises(JournalError, match="newer than this kitepolars"):
        read(path)
    with pytest.raises(JournalError, match="newer"):
        SegmentFile(0, compress(path)).header()


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_segment_tells_its_first_record(tmp_path: Path, *, is_compressed: bool) -> None:
    path = write(tmp_path)
    if is_compressed:
        path = compress(path)
    assert SegmentFile(0, path).header() == SegmentHeader(VERSION, 0, 1_000)


def test_segments_come_in_the_order_of_their_numbers_over_days(tmp_path: Path) -> None:
    numbers = [7, 30, 100, 2_000]
    for number, day in zip(numbers, ["a", "a", "b", "c"], strict=True):
        (tmp_path / day).mkdir(exist_ok=True)
        write(tmp_path / day, sequence=number)
    (tmp_path / "a" / "notes.kpj").write_text("not mine")
    (tmp_path / "writer.lock").touch()
    assert [segment.sequence for segment in segments(tmp_path)] == numbers
    assert [segment.sequence for segment in segments(tmp_path / "a")] == [7, 30]
    assert [segment.path.name for segment in segments(tmp_path / "b" / f"{100:012}{OPEN}")] == [
        f"{100:012}{OPEN}"
    ]


def test_where_there_is_nothing_the_error_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no recording") as caught:
        segments(tmp_path / "missing")
    assert caught.value.path == tmp_path / "missing"


def test_an_interrupted_compression_leaves_one_segment(tmp_path: Path) -> None:
    day = tmp_path / "2026-11-27"
    day.mkdir()
    path = write(day)
    twin = path.read_bytes()
    closed = compress(path)
    path.write_bytes(twin)  # as if the machine had stopped before it was deleted
    (day / f".{1:012}{CLOSED}.tmp").touch()
    assert [segment.path for segment in segments(tmp_path)] == [closed]
    tidy(tmp_path)
    assert list(day.iterdir()) == [closed]


def test_the_compressor_reports_a_failure_and_continues(tmp_path: Path) -> None:
    told: list[str] = []
    done = threading.Event()

    def alarm(line: str) -> None:
        told.append(line)
        done.set()

    compressor = Compressor(alarm)
    compressor.put(tmp_path / f"gone{OPEN}")
    assert done.wait(30)
    path = write(tmp_path)
    compressor.put(path)
    _wait(lambda: closed_path(path).exists() and not path.exists())
    compressor.close()
    assert "gone.kpj was not compressed" in told[0]


def _wait(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(3_000):
        if condition():
            return
        waiting.wait(0.01)
    pytest.fail("it did not happen")


def test_the_trading_day_is_indias() -> None:
    midnight = 1_764_181_800_000_000  # 2025-11-27 00:00 IST
    assert trading_day(midnight).isoformat() == "2025-11-27"
    assert trading_day(midnight - 1).isoformat() == "2025-11-26"
