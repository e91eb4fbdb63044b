from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import stat
import sys
from pathlib import Path

import pytest

from journal.recorded import read_records
from kitepolars.errors import CapacityExceeded
from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.recorder.process import find, launch
from kitepolars.recorder.service import RecorderService
from kitepolars.sim import SimulatedKite
from kitepolars.source import Listing, Messages, Stopped
from kitepolars.wire.layouts import Mode
from patience import eventually
from recorder.recording import CANARY, INFY, SBIN, Recording, can_write, durable, request, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


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
