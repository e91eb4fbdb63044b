from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kitepolars.recorder
from kitepolars.feed.account import Account
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.sim import SimulatedKite
from patience import eventually
from recorder.recording import CANARY, request, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


def test_malformed_credentials_do_not_show(tmp_path: Path) -> None:
    Request().save(tmp_path)
    program = Path(kitepolars.recorder.__path__[0], "__main__.py")
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
