"""Measures the official client on `Firehose`, in a separate process: Twisted starts only once.

Three threaded clients, as the documentation of Kite recommends for more than 3,000 instruments.
`on_ticks` makes a DataFrame of each message and keeps it: the least work for the same result.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
from kiteconnect import KiteTicker
from twisted.internet import reactor

import harness
import official
from firehose import Firehose, Workload

PATIENCE = 10.0


class Collector:
    """Collects what the callbacks of the clients receive."""

    def __init__(self, connections: int) -> None:
        self.frames: list[pl.DataFrame] = []
        self.rows = 0
        self.opened = threading.Semaphore(0)
        self.connections = connections
        self.clients: list[KiteTicker] = []
        self.problems: list[str] = []

    def connect(self, url: str) -> None:
        """Open the connections, and wait until they are open."""
        for number in range(self.connections):
            client = KiteTicker("key", "token", root=url.rstrip("/"), reconnect=False)
            self.clients.append(client)
            client.on_connect = lambda *_: self.opened.release()
            client.on_ticks = self.take
            client.on_error = lambda _, code, reason: self.problems.append(f"{code}: {reason}")
            if number:
                reactor.callFromThread(client.connect, threaded=True)
            else:
                client.connect(threaded=True)
        for _ in range(self.connections):
            assert self.opened.acquire(timeout=PATIENCE), "a connection did not open"

    def disconnect(self) -> None:
        """Stop the thread of Twisted before the interpreter ends."""
        reactor.callFromThread(reactor.stop)  # type: ignore[misc]
        self.clients[0].websocket_thread.join(PATIENCE)

    def take(self, _: Any, ticks: official.Ticks) -> None:
        """Make a DataFrame of a message's ticks."""
        frame = official.flat_frame(ticks)
        self.frames.append(frame)
        self.rows += frame.height


def run(*, seconds: float, connections: int = 3, rate: float | None = None) -> dict[str, float]:
    """Measure in another process; return ticks per second, processor share, number of problems."""
    arguments = {"seconds": seconds, "connections": connections, "rate": rate or 0.0}
    result: dict[str, float] = harness.in_process(Path(__file__), arguments)
    return result


def measure(seconds: float, connections: int, rate: float) -> dict[str, float]:
    """Receive ticks for some seconds."""
    collector = Collector(connections)
    with Firehose() as server:
        collector.connect(server.url)
        server.begin(Workload(seconds=seconds, rate=rate or None))
        begin_waiting = time.monotonic()
        while not collector.rows:
            assert time.monotonic() < begin_waiting + PATIENCE, "nothing arrived"
            time.sleep(0.001)
        begin, cpu, before = time.perf_counter(), time.process_time(), collector.rows
        time.sleep(seconds)
        rows = collector.rows - before
        elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        assert pl.concat(collector.frames[:50]).height == sum(map(len, collector.frames[:50]))
        problems = list(collector.problems)
        collector.disconnect()
    return {"rate": rows / elapsed, "cpu": cpu / elapsed, "problems": float(len(problems))}


def main() -> None:
    """Measure here and print what `run` reads."""
    logging.getLogger("kiteconnect").setLevel(logging.CRITICAL)  # it logs every close
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.0, help="ticks per second; 0 for no limit")
    print(json.dumps(measure(**vars(parser.parse_args()))))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
