"""A process that is really stopped, by SIGSTOP: what its server dropped meanwhile is in its gap."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from faults.suspended_notebook import NOTICED_AFTER
from kitepolars.process import ServerProcess

PARTS = 20
"""Parts of the market that tick before it drops anything, while it does, and after that: a second
each. Those before and after come from the buffers when the notebook continues."""


def ask(server: ServerProcess, fault: str, *values: object) -> int:
    """Ask the server for a fault, and return the number it has reached."""
    server.write_line(json.dumps([fault, *values]))
    return int(server.read_line())


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP is POSIX")
def test_what_a_stopped_process_missed_lies_in_its_gap() -> None:
    folder = Path(__file__).parent
    with (
        ServerProcess(folder / "market_server.py") as server,
        ServerProcess(folder / "suspended_notebook.py", server.url) as notebook,
    ):
        assert notebook.url == "ready"
        ask(server, "pass", PARTS)
        os.kill(notebook._process.pid, signal.SIGSTOP)
        try:
            ask(server, "pass", PARTS)
            ask(server, "hear", False)
            ask(server, "pass", PARTS)
            ask(server, "hear", True)
            ask(server, "pass", PARTS)
        finally:
            os.kill(notebook._process.pid, signal.SIGCONT)
        notebook.write_line(str(ask(server, "nothing")))
        found = json.loads(notebook.read_line())
    assert found["reached"], found
    assert found["missed"] > 600, found  # two a second of each
    assert found["unexplained"] == found["twice"] == found["backwards"] == 0, found
    assert found["reconnects"] == 0, found
    assert all("stood still" in reason for reason in found["reasons"]), found
    assert max(found["seconds"]) > 1e6 * NOTICED_AFTER, found
