"""The command ``kitepolars relay``, with a real recorder and a real replay."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import kitepolars as kp
from kitepolars.cli import main
from kitepolars.cli.relay import tls_context
from kitepolars.errors import ConfigError
from kitepolars.feed.account import Account
from kitepolars.playback import SAMPLE
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.relay import RelayTokens
from kitepolars.sim import SimulatedKite
from kitepolars.wire.layouts import Mode
from patience import PATIENCE, eventually
from recorder.recording import CANARY, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")

INFY, SBIN = 408065, 779521
CERTIFY: Final = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-days", "1", "-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1"),
]
"""Makes a key and its certificate."""


@contextmanager
def relay(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command until the end of the block, and check that it ends well."""
    command = [sys.executable, "-W", "error", "-m", "kitepolars", "relay", "--out", str(folder)]
    with subprocess.Popen(
        [*command, "--port", "0", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip(), running
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE) == 0, running.stderr and running.stderr.read()
        finally:
            running.kill()


def test_a_recorder_is_shared_and_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ticks"
    with SimulatedKite(rate=0) as kite:
        account = Account("main", f"key{abs(hash(tmp_path))}", CANARY)
        recorder = launch(folder, [account], Request(url=kite.url, subscriptions={INFY: Mode.LTP}))
        try:
            assert main(["relay", "token", "add", "laptop", "--out", str(folder)]) == 0
            token = capsys.readouterr().out.strip()
            with relay(folder) as (url, running):
                with kp.Ticker("laptop", token, url=url) as ticker:
                    ticker.subscribe([INFY, SBIN], mode="full")
                    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full", SBIN: "full"})
                    kite.step()
                    assert ticker.wait(rows=3, timeout=PATIENCE)
                kite.wait_for(lambda kite: kite.subscribed() == {INFY: "ltp"})
                with kp.Ticker("laptop", token, url=url) as ticker:
                    ticker.subscribe([SBIN], mode="full")
                    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "ltp", SBIN: "full"})
                    running.send_signal(signal.SIGTERM)
                    assert running.wait(PATIENCE) == 0
                assert running.stderr is not None
                said = running.stderr.read()
                assert "client 0 (laptop) connected" in said
                assert token not in said
                assert CANARY not in said
            kite.wait_for(lambda kite: kite.subscribed() == {INFY: "ltp"})
            eventually(lambda: recorder.ask("status")["instruments"] == 1)
        finally:
            stop(folder)


def test_a_recording_is_served_on_its_own_time(tmp_path: Path) -> None:
    token = RelayTokens(tmp_path).add("laptop").reveal()
    day = tmp_path / "2026-11-20"
    day.mkdir()
    (day / "000000000000.kpj.zst").write_bytes(SAMPLE.read_bytes())
    with (
        relay(tmp_path, "--replay", "--speed", "20") as (url, _),
        kp.Ticker("laptop", token, url=url) as ticker,
    ):
        ticker.subscribe([INFY], mode="ltp")
        assert ticker.wait(rows=20, timeout=PATIENCE)
        assert set(ticker.frame()["instrument_token"]) == {INFY}


def test_beyond_this_machine_it_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [*CERTIFY, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    token = RelayTokens(tmp_path).add("laptop").reveal()
    day = tmp_path / "2026-11-20"
    day.mkdir()
    (day / "000000000000.kpj.zst").write_bytes(SAMPLE.read_bytes())
    options = ("--replay", "--speed", "20", "--cert", str(certificate), "--key", str(key))
    with relay(tmp_path, "--host", "0.0.0.0", *options) as (url, _):  # noqa: S104 - with TLS
        assert url.startswith("wss://0.0.0.0:")
        here = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - likewise
        stranger = kp.Ticker(
            "laptop", token, url=here, reconnect=kp.ReconnectPolicy(max_attempts=1)
        )
        with pytest.raises(kp.ConnectionLost, match="certificate verify failed"):
            stranger.start()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with kp.Ticker("laptop", token, url=here) as ticker:
            ticker.subscribe([INFY], mode="ltp")
            assert ticker.wait(rows=5, timeout=PATIENCE)


def test_plaintext_beyond_this_machine_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RelayTokens(tmp_path).add("laptop")
    assert main(["relay", "--out", str(tmp_path), "--host", "0.0.0.0"]) == 1  # noqa: S104
    assert "pass --cert and --key" in capsys.readouterr().err


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"cert\.pem cannot be served with"):
        tls_context(tmp_path / "cert.pem", None)
    assert tls_context(None, None) is None


def test_a_relay_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--out", str(tmp_path)]) == 1
    assert "no client has a token yet" in capsys.readouterr().err


def test_on_windows_it_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    RelayTokens(tmp_path).add("strategy")
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["relay", "--out", str(tmp_path)]) == 1
    assert "Linux, macOS or WSL" in capsys.readouterr().err


def test_tokens_are_added_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path)]
    assert main(["relay", "token", "add", "desk", "--orders", *out]) == 0
    token = capsys.readouterr().out.strip()
    assert len(token) == 43
    path = tmp_path / "relay.tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert main(["relay", "token", "list", *out]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("desk  20")
    assert listed.endswith("  orders\n")
    assert main(["relay", "token", "revoke", "desk", *out]) == 0
    assert RelayTokens(tmp_path).list() == ()


@pytest.mark.parametrize("words", ["add desk", "add a@b", "revoke lap", "add", "lend desk"])
def test_a_token_command_that_makes_no_sense_fails(tmp_path: Path, words: str) -> None:
    RelayTokens(tmp_path).add("desk")
    assert main(["relay", "token", *words.split(), "--out", str(tmp_path)]) == 1
    assert [token.name for token in RelayTokens(tmp_path).list()] == ["desk"]


def test_without_a_recorder_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RelayTokens(tmp_path).add("laptop")
    assert main(["relay", "--out", str(tmp_path), "--port", "0"]) == 1
    assert "no recorder runs there" in capsys.readouterr().err
