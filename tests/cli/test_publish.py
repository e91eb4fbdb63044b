from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import record_market
from kitepolars.cli import main
from patience import PATIENCE


def published(folder: Path) -> int:
    return kp.scan(folder).collect().height


def test_it_publishes_once_what_is_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_market(tmp_path / "ticks", seconds=20)
    command = ["publish", str(tmp_path / "ticks"), "--to", str(tmp_path / "days")]
    assert main(command) == 0
    assert "60 ticks in 1 new files" in capsys.readouterr().out
    assert main(command) == 0
    assert "0 ticks in 0 new files" in capsys.readouterr().out
    assert published(tmp_path / "days") == 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_follow_publishes_what_is_added_until_it_is_ended(tmp_path: Path) -> None:
    folder, table = tmp_path / "ticks", tmp_path / "days"
    record_market(folder, seconds=20)
    words = ["publish", str(folder), "--to", str(table), "--follow"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "kitepolars", *words],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        too_late = threading.Timer(PATIENCE, running.kill)  # a line that never comes is then empty
        too_late.start()
        assert "60 ticks in 1 new files" in running.stdout.readline()
        record_market(folder, begin=dt.time(9, 40), seconds=20)
        assert "60 ticks in 1 new files" in running.stdout.readline()
        assert published(table) == 120  # it runs still
        record_market(folder, begin=dt.time(9, 50), seconds=10)
        assert "30 ticks in 1 new files" in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.stdout.read() == ""
        too_late.cancel()
    keys = ["received_at", "instrument_token"]
    in_table = kp.scan(table).drop("recorder", "sequence").collect().sort(keys)
    assert_frame_equal(in_table, kp.read_journal(folder).collect().sort(keys))


def test_where_nothing_was_recorded_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(tmp_path / "none"), "--to", str(tmp_path / "days")]) == 1
    assert "there is no recording" in capsys.readouterr().err
