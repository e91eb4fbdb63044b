from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from journal.recorded import read_records
from kitepolars.errors import AuthenticationError
from kitepolars.feed.account import Account
from kitepolars.recorder.__main__ import EXIT_REFUSED, main
from kitepolars.recorder.process import find, launch
from kitepolars.recorder.request import credentials
from kitepolars.sim import SimulatedKite
from kitepolars.source import Lost
from kitepolars.wire.layouts import Mode
from patience import eventually
from recorder.recording import CANARY, INFY, SBIN, Recording, can_write, durable, request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


def test_refused_credentials_are_reported_where_it_was_started(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> None:
    with pytest.raises(AuthenticationError, match="refused the credentials of account 'main'"):
        launch(tmp_path, [Account("main", request_key, "expired")], request(kite))
    eventually(lambda: can_write(tmp_path))


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


def test_a_recorder_is_small_for_it_has_no_polars(recording: Recording) -> None:
    _, _, recorder = recording
    maps = Path(f"/proc/{recorder.ask('status')['pid']}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    loaded = maps.read_text()
    assert "_native" in loaded
    assert "polars.abi3.so" not in loaded
    assert "_polars_runtime" not in loaded


def test_the_exit_code_tells_a_service_manager_that_a_new_token_is_needed(
    kite: SimulatedKite, tmp_path: Path, request_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(kite).save(tmp_path)
    pipe = tmp_path / "credentials"
    pipe.write_bytes(credentials([Account("main", request_key, "expired")]))
    with pipe.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(str(tmp_path)) == EXIT_REFUSED == 77
