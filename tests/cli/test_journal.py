from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from journal.recorded import read_records, ticks
from journal.writing import DAY, NOON, writing
from kitepolars.cli import main
from kitepolars.journal.lock import FileLock
from kitepolars.journal.reader import read_records as read
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import LOCK
from kitepolars.playback import SAMPLE
from kitepolars.source import Lost, Messages, Subscribed
from kitepolars.wire.layouts import Mode


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "ticks"
    with writing(folder, segment_bytes=2_000) as writer:
        for day in range(2):
            writer.take(Subscribed(NOON + day * DAY, Mode.FULL, (1,)))
            for number in range(40):
                writer.take(ticks(number, NOON + day * DAY))
    return folder


def damage(folder: Path, segment: int, place: int) -> Path:
    path = segments(folder)[segment].path
    stored = bytearray(path.read_bytes())
    stored[place] ^= 16
    path.write_bytes(stored)
    return path


def command(*words: object) -> int:
    return main(["journal", *map(str, words)])


def test_info_shows_the_days(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("info", recording) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    counts = [len(read_records(recording / line[0])) for line in lines]
    assert [line[:3] for line in lines] == [
        ["2025-11-27", "12:00:00", "12:00:00"],
        ["2025-11-28", "12:00:00", "12:00:00"],
    ]
    assert [int(line[3]) for line in lines] == counts


def test_an_intact_recording_is_verified(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("verify", recording) == 0
    records, found = len(read_records(recording)), len(segments(recording))
    assert capsys.readouterr().out == (
        f"{records} records in {found} segments are intact; 0 places are damaged\n"
    )


def test_a_damage_is_found_with_its_place_and_fails_the_command(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damage(recording, -1, 32 + 20)
    assert command("verify", recording) == 1
    assert f"{path}: " in (out := capsys.readouterr().out)
    assert "bytes at 32: the header's checksum is wrong" in out
    assert "1 places are damaged" in out


def test_a_record_that_is_being_written_is_no_damage(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = segments(recording)[-1].path
    path.write_bytes(path.read_bytes()[:-5])
    assert command("verify", recording) == 0
    assert "a recorder may be writing it" in capsys.readouterr().out


@pytest.mark.parametrize("segment", [0, 1, -1])
def test_a_repaired_recording_gives_what_the_damaged_one_gave(
    recording: Path, capsys: pytest.CaptureFixture[str], segment: int
) -> None:
    path = damage(recording, segment, 150)
    before = [record for record in read(recording) if not isinstance(record, Messages)]
    assert command("repair", recording) == 0
    assert "taken out" in capsys.readouterr().out
    assert command("verify", recording) == 0
    after = [record for record in read(recording) if not isinstance(record, Messages)]
    assert after == before
    assert segment != 1 or any(isinstance(record, Lost) for record in after)
    assert path.with_name(path.name + ".damaged").exists()
    assert not list(recording.rglob(".*"))


def test_an_intact_recording_is_left_alone(recording: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in recording.rglob("*.kpj*")}
    assert command("repair", recording) == 0
    assert {path: path.stat().st_mtime_ns for path in recording.rglob("*.kpj*")} == before


def test_the_ticks_are_exported(tmp_path: Path) -> None:
    for name in ("ticks.parquet", "ticks.csv"):
        assert command("export", SAMPLE, tmp_path / name) == 0
    expected = kp.read_journal(SAMPLE).collect()
    assert_frame_equal(pl.read_parquet(tmp_path / "ticks.parquet"), expected)
    assert pl.read_csv(tmp_path / "ticks.csv", infer_schema_length=None).height == expected.height


def test_an_export_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ticks.csv"
    out.write_text("mine")
    assert command("export", SAMPLE, out) == 1
    assert command("export", SAMPLE, tmp_path / "ticks.xlsx") == 1
    assert out.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]
    assert "ends in .parquet or .csv" in capsys.readouterr().err


def test_a_recording_under_way_is_not_repaired(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(recording / LOCK):
        assert command("repair", recording) == 1
    assert "stop the recorder first" in capsys.readouterr().err


def test_without_a_recording_the_command_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("info", tmp_path) == 1
    assert "there is no recording" in capsys.readouterr().err
