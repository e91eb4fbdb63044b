from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.recorded import read_records
from kitepolars.errors import (
    AuthenticationError,
    CapacityExceeded,
    ConfigError,
    JournalError,
    KitePolarsError,
    NotRunning,
)
from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.journal.writer import JournalWriter
from kitepolars.recorder.__main__ import EXIT_REFUSED, main
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import find, launch
from kitepolars.recorder.request import Request, credentials
from kitepolars.recorder.service import RecorderService
from kitepolars.sim import SimulatedKite
from kitepolars.source import Listing, Lost, Messages, Stopped
from kitepolars.wire.layouts import Mode
from patience import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")

CANARY = "canary5e3d9token"
INFY, SBIN = 408065, 779521


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0) as kite:
        yield kite


def request(kite: SimulatedKite, **options: object) -> Request:
    options = {"subscriptions": {INFY: Mode.FULL}, "listing": b"instrument_token\n", **options}
    return Request(url=kite.url, **options)  # type: ignore[arg-type]


def pid_of(folder: Path) -> int:
    """Return the process that records into a folder."""
    pid: int = Recorder(folder).ask("status")["pid"]
    return pid


@pytest.fixture
def recording(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> Iterator[tuple[SimulatedKite, Path, Recorder]]:
    recorder = launch(tmp_path, [Account("main", request_key, CANARY)], request(kite))
    yield kite, tmp_path, recorder
    stop(tmp_path)


def stop(folder: Path) -> None:
    """End the recorder of a folder, and wait for that."""
    if (recorder := find(folder)) is not None:
        recorder.ask("stop")
    eventually(lambda: can_write(folder))


def can_write(folder: Path) -> bool:
    try:
        JournalWriter(folder).close()
    except JournalError:
        return False
    return True


@pytest.fixture
def request_key(tmp_path: Path) -> str:
    return f"key{abs(hash(tmp_path))}"


Recording = tuple[SimulatedKite, Path, Recorder]


def durable(recorder: Recorder) -> bool:
    status = recorder.ask("status")
    is_written = status["durable_sequence"] == status["next_sequence"]
    return bool(is_written and not status["waiting_bytes"])


def test_what_is_received_is_in_the_journal(recording: Recording) -> None:
    kite, folder, recorder = recording
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.FULL})
    for _ in range(3):
        kite.step()
    eventually(lambda: recorder.ask("status")["messages"] == kite.packets_sent >= 3)
    eventually(lambda: durable(recorder))
    records = read_records(folder)
    assert isinstance(records[0], Listing)
    assert sum(len(r.messages) for r in records if isinstance(r, Messages)) == kite.packets_sent


def test_a_recorder_answers_for_its_state(recording: Recording) -> None:
    _, _, recorder = recording
    status = recorder.ask("status")
    assert status["accounts"] == ["main"]
    assert status["instruments"] == 1
    assert status["failure"] is None
    assert "connected" in {event["kind"] for event in status["events"]}


def test_subscriptions_change_while_it_runs(recording: Recording) -> None:
    kite, _, recorder = recording
    recorder.ask("subscribe", mode="ltp", tokens=[SBIN])
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.FULL, SBIN: Mode.LTP})
    recorder.ask("unsubscribe", tokens=[INFY])
    kite.wait_for(lambda kite: kite.subscribed() == {SBIN: Mode.LTP})


def test_a_new_token_is_used(recording: Recording) -> None:
    kite, _, recorder = recording
    kite.expire_tokens()
    kite.abort()
    eventually(lambda: recorder.ask("status")["events"][-1]["kind"] == "expired")
    recorder.ask("set_access_token", token="tomorrow")
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.FULL})


def test_what_is_wrong_with_a_request_is_raised_here(recording: Recording) -> None:
    _, _, recorder = recording
    with pytest.raises(KitePolarsError, match="malformed"):
        recorder.ask("subscribe", mode="sideways", tokens=[1])
    with pytest.raises(KitePolarsError, match="no such request"):
        recorder.ask("dance")
    with pytest.raises(KitePolarsError, match="account"):
        recorder.ask("set_access_token", token="x", account="nobody")


def test_there_is_no_room_for_more_than_kite_allows(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> None:
    limits = Limits(connections=1, instruments_per_connection=2)
    account = Account("main", request_key, CANARY)
    recorder = launch(tmp_path, [account], request(kite, limits=limits))
    try:
        with pytest.raises(CapacityExceeded) as caught:
            recorder.ask("subscribe", mode="ltp", tokens=[1, 2, 3])
        assert (caught.value.requested, caught.value.available) == (3, 1)
    finally:
        stop(tmp_path)


def test_sigterm_ends_it_cleanly(recording: Recording) -> None:
    kite, folder, recorder = recording
    os.kill(recorder.ask("status")["pid"], signal.SIGTERM)
    kite.wait_for(lambda kite: not any(one.is_open for one in kite.connections))
    eventually(lambda: can_write(folder))
    assert find(folder) is None
    assert any(isinstance(record, Stopped) for record in read_records(folder))
    assert not (folder / "recorder.sock").exists()
    assert not (folder / "recorder.request").exists()


def test_only_the_owner_may_read_and_ask(recording: Recording) -> None:
    _, folder, _ = recording
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_the_token_is_in_nothing_that_others_can_read(
    kite: SimulatedKite, tmp_path: Path, request_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITE_ACCESS_TOKEN", CANARY)
    monkeypatch.setenv("KITE_API_KEY", request_key)
    folder = tmp_path / "ticks"
    recorder = launch(folder, [Account("main", request_key, CANARY)], request(kite))
    try:
        kite.send(f'{{"type": "error", "data": "not you, {CANARY}"}}')
        eventually(lambda: recorder.ask("status")["events"][-1]["kind"] == "error")
        process = Path(f"/proc/{recorder.ask('status')['pid']}")
        public = [(process / name).read_bytes() for name in ("cmdline", "environ")]
        public += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        public.append(str(recorder.ask("status")).encode())
        assert b"__main__.py" in public[0]
        for secret in (CANARY, request_key):
            assert all(secret.encode() not in shown for shown in public)
    finally:
        stop(folder)


def test_a_recorder_is_small_for_it_has_no_polars(recording: Recording) -> None:
    _, _, recorder = recording
    maps = Path(f"/proc/{recorder.ask('status')['pid']}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    loaded = maps.read_text()
    assert "_native" in loaded
    assert "polars.abi3.so" not in loaded
    assert "_polars_runtime" not in loaded


def test_refused_credentials_are_reported_where_it_was_started(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> None:
    with pytest.raises(AuthenticationError, match="refused the credentials of account 'main'"):
        launch(tmp_path, [Account("main", request_key, "expired")], request(kite))
    eventually(lambda: can_write(tmp_path))


def test_the_exit_code_tells_a_service_manager_that_a_new_token_is_needed(
    kite: SimulatedKite, tmp_path: Path, request_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(kite).save(tmp_path)
    pipe = tmp_path / "credentials"
    pipe.write_bytes(credentials([Account("main", request_key, "expired")]))
    with pipe.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(str(tmp_path)) == EXIT_REFUSED == 77


class Terminal(io.StringIO):
    """A terminal of 40 columns, which ends the recorder once it shows messages."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if " 0 messages/s" not in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


def test_the_line_of_progress_fits_into_the_terminal(
    kite: SimulatedKite, tmp_path: Path, request_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.recorder.service.LINE_EVERY", 0.01)
    monkeypatch.setenv("COLUMNS", "40")
    output = Terminal()
    service = RecorderService(
        tmp_path,
        request(kite),
        [Account("main", request_key, CANARY)],
        on_ready=kite.step,
        output=output,
    )
    asyncio.run(service.run())
    *_, line = output.getvalue().split("\r\x1b[K")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  [\d,]+ messages/s  0\.0 MB  .*", line), line
    assert len(line) == 39


def test_one_recorder_a_journal_and_one_a_key(
    recording: Recording, tmp_path_factory: pytest.TempPathFactory, request_key: str
) -> None:
    kite, folder, _ = recording
    account = Account("main", request_key, CANARY)
    with pytest.raises(JournalError, match="this API key is being recorded already") as caught:
        launch(tmp_path_factory.mktemp("other"), [account], request(kite))
    assert str(folder) in str(caught.value)
    with pytest.raises(JournalError, match="another process records there"):
        launch(folder, [Account("main", f"{request_key}2", CANARY)], request(kite))


def test_a_killed_recorder_leaves_the_way_free_and_is_resumed(recording: Recording) -> None:
    kite, folder, recorder = recording
    recorder.ask("subscribe", mode="ltp", tokens=[SBIN])
    kite.wait_for(lambda kite: SBIN in kite.subscribed())
    eventually(lambda: durable(recorder))
    os.kill(recorder.ask("status")["pid"], signal.SIGKILL)
    kite.wait_for(lambda kite: not any(one.is_open for one in kite.connections))
    assert find(folder) is None
    key = kite.handshakes[-1].api_key
    again = launch(folder, [Account("main", key, CANARY)], request(kite))
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: Mode.FULL, SBIN: Mode.LTP})
    kite.step()
    eventually(lambda: durable(again))
    lost = [record for record in read_records(folder) if isinstance(record, Lost)]
    assert {token for record in lost for token in record.instrument_tokens} == {INFY, SBIN}
    assert "interrupted" in lost[0].reason


def test_a_folder_that_is_deep_has_a_socket_all_the_same(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> None:
    folder = tmp_path / ("deep" * 20) / ("folder" * 20)
    launch(folder, [Account("main", request_key, CANARY)], request(kite))
    try:
        found = find(folder)
        assert found is not None
        assert found.ask("status")["instruments"] == 1
    finally:
        stop(folder)


def test_without_a_recorder_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no recorder answers"):
        Recorder(tmp_path)
    assert find(tmp_path) is None


def test_on_windows_the_error_names_what_works_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="WSL"):
        find(tmp_path)


def test_malformed_credentials_do_not_show(tmp_path: Path) -> None:
    Request().save(tmp_path)
    program = Path(sys.modules[RecorderModule].__file__ or "").with_name("__main__.py")
    finished = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        input=f'[{{"token": "{CANARY}"',
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "malformed" in finished.stdout
    assert CANARY not in finished.stdout + finished.stderr


RecorderModule = Recorder.__module__
