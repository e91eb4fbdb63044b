from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kitepolars.errors import ConfigError, JournalError
from kitepolars.feed.account import Account
from kitepolars.recorder.process import find, launch
from kitepolars.sim import SimulatedKite
from recorder.recording import CANARY, Recording, request, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


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


def test_on_windows_the_error_names_what_works_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="WSL"):
        find(tmp_path)
