from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from kitepolars.process import ServerProcess
from patience import PATIENCE

PARENT = """
import sys
from kitepolars.process import ServerProcess
with ServerProcess("kitepolars.sim") as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def is_listening(url: str) -> bool:
    address = urlsplit(url)
    with closing(socket.socket()) as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def test_it_listens_on_loopback_as_long_as_it_is_entered() -> None:
    with ServerProcess("kitepolars.sim") as server:
        assert urlsplit(server.url).scheme == "ws"
        assert urlsplit(server.url).hostname == "127.0.0.1"
        assert is_listening(server.url)
    assert not is_listening(server.url)


def test_a_wrong_option_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    server = ServerProcess("kitepolars.sim", "--unheard-of")
    with pytest.raises(ChildProcessError, match=r"kitepolars\.sim ended early"), server:
        pass
    assert "--unheard-of" in capfd.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_it_does_not_outlive_a_parent_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert is_listening(url)
        watched = socket.create_connection(
            (urlsplit(url).hostname, urlsplit(url).port), timeout=PATIENCE
        )
        with closing(watched):
            parent.send_signal(signal.SIGKILL)
            assert watched.recv(1) == b""  # the server's end of the connection has closed
