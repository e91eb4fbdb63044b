"""Messages go where they should, and addresses nowhere else."""

from __future__ import annotations

import datetime as dt
import json
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import kitepolars as kp
from kitepolars.calendar import IST

FIRED = kp.FiredAlert(
    dt.datetime(2026, 11, 20, 9, 31, 5, tzinfo=IST), "up", 408065, "NSE:INFY", 1500.5
)
SECRET = "T0-a-very-secret-path"


class Server(ThreadingHTTPServer):
    """Keeps what it is sent, and answers with a status."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_sends_json(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kp.Webhook(server.url, field="content", extra={"chat_id": "7"})(FIRED)
    said = "up: NSE:INFY 1,500.50 at 09:31:05"
    assert server.received == [(f"/{SECRET}", {"chat_id": "7", "content": said})]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_refusal_does_not_show_the_address(server: Server, status: int) -> None:
    server.status = status
    webhook = kp.Webhook(server.url)
    with pytest.raises(ConnectionError, match=f"127.0.0.1: it answered {status}") as raised:
        webhook(FIRED)
    shown = "".join(traceback.format_exception(raised.value)) + repr(webhook)
    assert SECRET not in shown
    assert raised.value.__context__ is None
    assert len(server.received) == 1


def test_nobody_there() -> None:
    with Server() as closed:
        url = closed.url
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1: URLError") as raised:
        kp.Webhook(url)(FIRED)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [f"http://example.org/{SECRET}", f"file:///{SECRET}", SECRET, "https://", f"https://[{SECRET}"],
)
def test_other_addresses_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(kp.ConfigError, match="https://") as raised:
        kp.Webhook(url)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_the_desktop_is_notified_by_its_own_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(kp.ConfigError, match="notify-send"):
        kp.Desktop()
    (tmp_path / "notify-send").touch(0o755)
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        return subprocess.CompletedProcess(command, len(ran) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    desktop = kp.Desktop()
    desktop(FIRED)
    assert ran[0][-2:] == ["Kite", "up: NSE:INFY 1,500.50 at 09:31:05"]
    with pytest.raises(ConnectionError, match="ended with 1"):
        desktop(FIRED)
    assert repr(desktop) == "Desktop()"
