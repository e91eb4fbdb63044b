"""A server that sends prepared messages at a given rate, or as fast as clients read them.

`Firehose` runs this file as a separate process. It prints its URL, then reads workloads from
its standard input, one JSON object per line, and answers each with the numbers of packets sent.
It writes raw WebSocket frames to blocking sockets, one thread per connection, because that is
the cheapest way to be a server: what is measured are the clients.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from kitepolars.process import ServerProcess
from messages import INSTRUMENTS, PACKETS, FullMessages, tokens

BURST: Final = 16
"""Messages per write to a socket when the rate is not limited."""

PROBE: Final = 0x7FFF_FF01
"""The instrument token of probes (segment NSE): no listed instrument has it."""

HEARTBEAT: Final = 1.0
"""Seconds between heartbeats while idle: clients take silence for a dead connection."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_SHORT: Final = 126
_LONG: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What to send over every open connection.

    Parameters
    ----------
    seconds
        Duration.
    rate
        Ticks per second over all connections; None for as many as the clients take.
    packets
        Packets per message.
    probes
        Probes per second on the first connection: one-packet messages that carry the time at
        which they were sent, in microseconds since the epoch, split over two fields.
    burst
        Messages that each connection sends at once, on all connections at the same time; the first
        connection adds a probe that carries the time before the burst. 0 for even intervals.
    """

    seconds: float
    rate: float | None = None
    packets: int = PACKETS
    probes: float = 0.0
    burst: int = 0

    def burst_interval(self, clients: int) -> float:
        """Return the seconds between two bursts."""
        assert self.rate is not None
        return clients * self.burst * self.packets / self.rate

    def expected_probes(self, clients: int) -> int:
        """Return how many probes are sent."""
        if self.burst:
            return int(self.seconds / self.burst_interval(clients))
        return int(self.probes * self.seconds)


def frame(data: bytes, opcode: int = _BINARY) -> bytes:
    """Return a WebSocket frame as servers send them, unmasked (RFC 6455, section 5.2)."""
    size = len(data)
    if size < _SHORT:
        return struct.pack(">BB", 0x80 | opcode, size) + data
    if size < _LONG:
        return struct.pack(">BBH", 0x80 | opcode, _SHORT, size) + data
    return struct.pack(">BBQ", 0x80 | opcode, _SHORT + 1, size) + data


class _Client:
    """A connected client; one thread reads from it, another one sends the workload."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._lock = threading.Lock()  # a pong must not land inside a message
        self.is_open = True
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, data: bytes) -> None:
        """Send bytes; block while the client does not read."""
        try:
            with self._lock:
                self._peer.sendall(data)
        except OSError:
            self.is_open = False

    def _read(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                first, second = self._exactly(2)
                size = second & 0x7F
                if size == _SHORT:
                    (size,) = struct.unpack(">H", self._exactly(2))
                elif size > _SHORT:
                    (size,) = struct.unpack(">Q", self._exactly(8))
                mask = self._exactly(4)
                data = self._exactly(size)
                opcode = first & 0x0F
                if opcode == _PING:
                    plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
                    self.send(frame(plain, _PONG))
                elif opcode == _CLOSE:
                    self.send(frame(b"", _CLOSE))
                    break
        self.is_open = False
        self._peer.close()

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._peer.recv(size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def _shake_hands(peer: socket.socket) -> None:
    """Answer a client's opening handshake (RFC 6455, section 4.2)."""
    request = b""
    while b"\r\n\r\n" not in request:
        part = peer.recv(4096)
        if not part:
            return
        request += part
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in request.split(b"\r\n")[1:])
    }
    digest = hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest()  # noqa: S324 - RFC 6455
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


class _Server:
    """Accepts clients and runs workloads."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[_Client] = []
        self._entry = threading.Lock()  # a client that has its answer is in the list
        self._busy = False
        for work in (self._accept, self._beat):
            threading.Thread(target=work, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"ws://{host}:{port}/"

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            with self._entry:
                _shake_hands(peer)
                self._clients.append(_Client(peer))

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            if not self._busy:
                for client in self._open():
                    client.send(frame(b"\0"))

    def _open(self) -> list[_Client]:
        with self._entry:
            return [client for client in self._clients if client.is_open]

    def run(self, workload: Workload) -> list[int]:
        """Run a workload; return the packets sent over each open connection, without probes."""
        clients = self._open()
        sources = [
            FullMessages(part, packets=workload.packets, messages=BURST)
            for part in (
                tokens(INSTRUMENTS)[place :: len(clients)] for place in range(len(clients))
            )
        ]
        self._busy = True
        send = _flood if workload.rate is None else _burst if workload.burst else _pace
        threads = [
            threading.Thread(target=send, args=(client, source, workload, len(clients), place))
            for place, (client, source) in enumerate(zip(clients, sources, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._busy = False
        return [source.sent for source in sources]


def _flood(client: _Client, source: FullMessages, workload: Workload, *_: int) -> None:
    deadline = time.monotonic() + workload.seconds
    while client.is_open and time.monotonic() < deadline:
        client.send(b"".join(map(frame, source.round())))


def _burst(
    client: _Client, source: FullMessages, workload: Workload, clients: int, place: int
) -> None:
    """Send many messages at once, and then a probe with the time before."""
    gap = workload.burst_interval(clients)
    probe = FullMessages([PROBE], packets=1, messages=1)
    begin = time.monotonic()
    for number in range(workload.expected_probes(clients)):
        rounds = range(math.ceil(workload.burst / BURST))
        waiting = [message for _ in rounds for message in source.round()][: workload.burst]
        source.sent -= (len(rounds) * BURST - workload.burst) * workload.packets
        _sleep_until(begin + number * gap)
        stamp = time.time_ns() // 1000
        if place == 0:
            waiting.append(probe.stamped(stamp))
        client.send(b"".join(map(frame, waiting)))


def _pace(
    client: _Client, source: FullMessages, workload: Workload, clients: int, place: int
) -> None:
    """Send messages at even intervals, and probes between them."""
    assert workload.rate is not None
    # Sleeping cannot time more than some hundred messages per second: then several go at once.
    together = BURST if workload.rate > 100 * source.ticks else 1
    gap = clients * together * workload.packets / workload.rate
    probes = _probe_times(workload) if place == 0 else []
    probe = FullMessages([PROBE], packets=1, messages=1)
    begin = time.monotonic()
    due = begin + gap * place / clients
    waiting: list[bytes] = []
    end = begin + workload.seconds
    while client.is_open and due < end and time.monotonic() < end:
        while probes and begin + probes[0] < due:
            _sleep_until(begin + probes.pop(0))
            client.send(frame(probe.stamped(time.time_ns() // 1000)))
        _sleep_until(due)
        waiting = waiting or source.round()
        client.send(b"".join(map(frame, waiting[:together])))
        del waiting[:together]
        due += gap
    for late in probes:
        _sleep_until(begin + late)
        client.send(frame(probe.stamped(time.time_ns() // 1000)))
    source.sent -= len(waiting) * workload.packets


def _probe_times(workload: Workload) -> list[float]:
    """Return when to send probes: at random, so as not to run in step with the client."""
    count = workload.expected_probes(0)
    return sorted(np.random.default_rng(1).uniform(0, workload.seconds, count).tolist())


def _sleep_until(due: float) -> None:
    wait = due - time.monotonic()
    if wait > 0:
        time.sleep(wait)


def main() -> None:
    """Serve until standard input ends."""
    server = _Server()
    print(server.url, flush=True)
    for line in sys.stdin:
        print(json.dumps(server.run(Workload(**json.loads(line)))), flush=True)


class Firehose(ServerProcess):
    """The server in a separate process, for as long as this is entered.

    Examples
    --------
    >>> with Firehose() as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        super().__init__(Path(__file__))

    def begin(self, workload: Workload) -> None:
        """Start to send over every open connection; `sent` waits for the end."""
        self.write_line(json.dumps(asdict(workload)))

    def sent(self) -> list[int]:
        """Wait until the workload is done; return the packets by connection, without probes."""
        counts: list[int] = json.loads(self.read_line())
        return counts


if __name__ == "__main__":
    main()
