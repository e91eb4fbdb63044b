"""The simulator as a separate process: it says where it is, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from websockets.sync.client import connect

from kitepolars.sim import serve
from patience import PATIENCE

COMMAND: Final = [sys.executable, "-m", "kitepolars.sim", "--port", "0", "--rate", "5"]


@contextmanager
def simulator() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield the process and the URL that it printed."""
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_prints_its_url_and_serves() -> None:
    with (
        simulator() as (_, url),
        connect(f"{url}?api_key=k&access_token=t", proxy=None) as socket,
    ):
        assert json.loads(socket.recv(PATIENCE))["type"] == "instruments_meta"
        assert json.loads(socket.recv(PATIENCE))["type"] == "app_code"
        socket.send('{"a":"subscribe","v":[408065]}')
        assert socket.recv(PATIENCE)[:4] == b"\x00\x01\x00\x2c"


def test_it_ends_when_stdin_closes() -> None:
    with simulator() as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal(number: signal.Signals) -> None:
    with simulator() as (process, _):
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_serve_calls_back_and_puts_signal_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(port=0, seed=1, rate=0, on_ready=on_ready)

    assert urls[0].startswith("ws://127.0.0.1:")
    assert signal.getsignal(signal.SIGTERM) == before
