from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from journal.recorded import read_records
from kitepolars import Instruments, Mode, scan
from kitepolars.cli import main
from kitepolars.recorder.control import Recorder
from kitepolars.sim import SimulatedKite
from kitepolars.source import Listing, Messages, Stopped
from patience import eventually
from recorder.recording import CANARY, can_write, durable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")

INFY, SBIN = 408065, 779521


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0) as kite:
        yield kite


@pytest.fixture
def dump(kite: SimulatedKite, tmp_path: Path) -> Path:
    path = tmp_path / "instruments.csv"
    path.write_bytes(kite.instruments_csv())
    return path


@contextmanager
def recording(
    kite: SimulatedKite, dump: Path, folder: Path, *words: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the command until the end of the block, and check that it ends well."""
    command = [sys.executable, "-W", "error", "-m", "kitepolars", "record", *words]
    command += ["--out", str(folder), "--instruments", str(dump), "--url", kite.url]
    environment = {
        **os.environ,
        "KITE_API_KEY": f"key{abs(hash(folder))}",
        "KITE_ACCESS_TOKEN": CANARY,
    }
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert "Ctrl-C ends it" in running.stdout.readline()
        assert running.stdout.readline() == "recording\n"
        yield running
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 0


def control(folder: Path, *words: str) -> int:
    return main(["record", "ctl", *words, "--out", str(folder)])


def test_what_is_named_is_recorded_and_a_signal_ends_it(
    kite: SimulatedKite, dump: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ticks"
    with recording(kite, dump, folder, "NSE:INFY", str(SBIN), "--mode", "ltp") as running:
        assert Recorder(folder).ask("status")["pid"] == running.pid  # it is the same process
        kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.LTP, SBIN: Mode.LTP})
        kite.step()
        eventually(lambda: Recorder(folder).ask("status")["messages"])
        eventually(lambda: durable(Recorder(folder)))
    records = read_records(folder)
    assert isinstance(records[-1], Stopped)
    assert any(isinstance(record, Messages) for record in records)
    [listing] = [record for record in records if isinstance(record, Listing)]
    assert Instruments.read_csv(listing.csv).frame.equals(Instruments.read_csv(dump).frame)
    assert can_write(folder)


def test_it_is_controlled_from_the_command_line(
    kite: SimulatedKite,
    dump: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "ticks"
    watchlist = tmp_path / "watchlist.txt"
    watchlist.write_text("# mine\nNSE:INFY  # the first\n\n")
    with recording(kite, dump, folder, "--watchlist", str(watchlist)):
        assert control(folder, "subscribe", str(SBIN), "--mode", "quote") == 0
        kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.FULL, SBIN: Mode.QUOTE})
        assert control(folder, "unsubscribe", "NSE:INFY", "--instruments", str(dump)) == 0
        kite.wait_for(lambda kite: kite.subscribed() == {SBIN: Mode.QUOTE})
        monkeypatch.setattr("sys.stdin", io.StringIO("tomorrow\n"))
        assert control(folder, "token") == 0
        assert control(folder, "status") == 0
    said = capsys.readouterr().out
    assert "instruments: 1\n" in said
    assert "connected" in said
    assert "tomorrow" not in said


def test_it_publishes_meanwhile(
    kite: SimulatedKite, dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, days, other = tmp_path / "ticks", tmp_path / "days", tmp_path / "other"
    with recording(kite, dump, folder, "NSE:INFY", "--publish", str(days)):
        kite.wait_for(lambda kite: bool(kite.subscribed()))
        kite.step()
        eventually(lambda: Recorder(folder).ask("status")["messages"] == kite.packets_sent >= 1)
        assert control(folder, "status") == 0
        assert f"published: to {days}, " in capsys.readouterr().out
        assert control(folder, "publish", str(days)) == 0
        assert control(folder, "publish", str(other)) == 1
        assert "already" in capsys.readouterr().err
    assert scan(days).collect().height == kite.packets_sent  # the command ends after publishing


def test_ctl_publish_names_one_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert control(tmp_path, "publish", "one", "two") == 1
    assert "publish must be one table" in capsys.readouterr().err


def test_ctl_stop_ends_it(kite: SimulatedKite, dump: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    with recording(kite, dump, folder, "NSE:INFY") as running:
        assert control(folder, "stop") == 0
        assert running.wait() == 0


DOCS = Path(__file__).parents[2] / "docs"


SYSTEMD_ANALYZE = shutil.which("systemd-analyze") or ""


@pytest.mark.skipif(not SYSTEMD_ANALYZE, reason="needs systemd")
@pytest.mark.parametrize("page", ["guides/recordings.md", "howto/run-for-days.md"])
def test_the_units_of_the_documentation_are_valid(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text("utf-8")
    [unit] = re.findall(r"^```ini\n(\[Unit\].*?)^```", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "ticks.service"
    path.write_text(re.sub(r"(?<=^ExecStart=)\S+", sys.executable, unit, flags=re.MULTILINE))
    verified = subprocess.run(
        [SYSTEMD_ANALYZE, "verify", "--user", str(path)],
        env={**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.stderr == ""
    assert verified.returncode == 0


def test_all_of_an_exchange_is_what_expires_first(
    kite: SimulatedKite, dump: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ticks"
    listed = Instruments.read_csv(dump).frame
    with recording(kite, dump, folder, "--all", "nfo"):
        kite.wait_for(lambda kite: len(kite.subscribed()) == 9_000)
        subscribed = kite.subscribed()
    mine = listed.filter(listed["instrument_token"].is_in(list(subscribed)))
    rest = listed.filter(
        (listed["exchange"] == "NFO") & ~listed["instrument_token"].is_in(list(subscribed))
    )
    assert mine["exchange"].unique().to_list() == ["NFO"]
    assert mine["expiry"].max() <= rest["expiry"].min()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name them, or use --watchlist or --all"),
        (["NSE:INFI"], "unknown instrument 'NSE:INFI'; did you mean"),
        (["--all", "NYSE"], "all must be one of"),
    ],
)
def test_what_cannot_be_recorded_is_an_error(
    dump: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    options = ["--out", str(dump.parent), "--instruments", str(dump)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KITE_API_KEY", "key")
        patch.setenv("KITE_ACCESS_TOKEN", CANARY)
        assert main(["record", *words, *options]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_recorder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert control(tmp_path, "status") == 1
    assert "no recorder answers" in capsys.readouterr().err
    assert control(tmp_path, "dance") == 1
    assert "ctl must be one of status" in capsys.readouterr().err
