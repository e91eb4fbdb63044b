"""A recorder that is killed at random moments: what it wrote stays, and nothing is there twice."""

from __future__ import annotations

import os
import random
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest
from websockets.sync.server import ServerConnection, serve

from kitepolars.errors import NotRunning
from kitepolars.feed.account import Account
from kitepolars.journal.codec import decode
from kitepolars.journal.segments import segments
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.source import Lost, Messages
from kitepolars.wire.layouts import Mode
from recorder.recording import stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")

TOKENS: Final = tuple(range(257, 257 + 24 * 256, 256))
KILLS: Final = int(os.environ.get("RECORDER_KILLS", "4"))
"""``RECORDER_KILLS=200 make test ARGS=tests/faults/test_recorder.py`` is the long form."""

SEED: Final = int(os.environ.get("FAULT_SEED", "1"))


class Numbered:
    """A server in a thread that numbers its messages over all connections, as fast as it can."""

    def __init__(self) -> None:
        self.number = 0
        self.pause = threading.Event()
        self._server = serve(self._handle, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        host, port = self._server.socket.getsockname()[:2]
        return f"ws://{host}:{port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause.set()
        self._server.shutdown()
        self._thread.join()

    def _handle(self, connection: ServerConnection) -> None:
        with connection:
            connection.recv()  # what it subscribes
            while not self.pause.wait(0.002):
                self.number += 1
                packets = b"".join(struct.pack(">HII", 8, token, self.number) for token in TOKENS)
                connection.send(struct.pack(">H", len(TOKENS)) + packets)


@pytest.fixture
def server() -> Iterator[Numbered]:
    with Numbered() as server:
        yield server


def test_a_recorder_that_is_killed_loses_nothing_that_it_acknowledged(
    server: Numbered, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"FAULT_SEED={SEED} RECORDER_KILLS={KILLS}")  # noqa: T201 - to do it again
    account = Account("main", f"key{abs(hash(tmp_path))}", "token")
    acknowledged = 0
    for _ in range(KILLS):
        request = Request(url=server.url, subscriptions=dict.fromkeys(TOKENS, Mode.LTP))
        recorder = launch(tmp_path, [account], request)
        pid = recorder.ask("status")["pid"]
        killer = threading.Timer(chance.uniform(0.05, 1.0), os.kill, (pid, signal.SIGKILL))
        killer.start()
        try:
            while True:
                status = recorder.ask("status")
                acknowledged = max(acknowledged, status["durable_sequence"])
        except NotRunning:
            killer.join()
    launch(tmp_path, [account], request)
    stop(tmp_path)
    check(tmp_path, acknowledged, server.number)


def check(folder: Path, acknowledged: int, sent: int) -> None:
    """Compare what is in a journal with what was acknowledged and what was sent."""
    entries = [entry for segment in segments(folder) for entry in segment.read()]
    sequences = [entry.sequence for entry in entries]
    assert sequences == list(range(len(sequences)))  # nothing twice, nothing missing in between
    assert len(sequences) >= acknowledged
    records = [decode(entry) for entry in entries]
    assert sum(isinstance(record, Lost) for record in records) == KILLS
    received = [
        struct.unpack_from(">I", message, 2 + 2 + 4)[0]
        for record in records
        if isinstance(record, Messages)
        for message in record.messages
    ]
    assert received == sorted(set(received))  # in order, none twice
    assert received[-1] <= sent
    assert len(received) > KILLS
    print(  # noqa: T201 - the figures
        f"{len(sequences):,} records, {acknowledged:,} acknowledged, {len(received):,} messages"
    )
