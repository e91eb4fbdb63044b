from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kitepolars import cli
from kitepolars.instruments import Instruments
from patience import PATIENCE

COMMAND = [sys.executable, "-W", "error", "-m", "kitepolars", "sim"]


def test_the_dump_alone_is_written_and_that_is_all(tmp_path: Path) -> None:
    path = tmp_path / "instruments.csv"
    assert cli.main(["sim", "--dump", str(path)]) == 0
    instruments = Instruments.read_csv(path)
    assert len(instruments) >= 20_000
    assert instruments.rejected.is_empty()
    assert instruments.tokens(["NSE:INFY", "NSE:NIFTY 50"]) == [408065, 256265]


def test_with_a_port_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "instruments.csv"
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--dump", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().strip()
        port = int(url.removeprefix("ws://127.0.0.1:").removesuffix("/"))
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)):
            assert path.stat().st_size > 1_000_000
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        errors = running.stderr.read()
    assert (running.returncode, errors) == (0, "")
    assert "Press Ctrl-C to stop" in rest


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        assert cli.main(["sim", "--port", str(other.getsockname()[1])]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("kitepolars: ")
    assert captured.err.count("\n") == 1


def test_a_setting_out_of_range_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "--port", "0", "--rate", "-1"]) == 1
    assert capsys.readouterr().err.startswith("kitepolars: rate must be")
