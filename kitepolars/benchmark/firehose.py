"""A server that sends prepared messages, as fast as clients take them or in time. Own process.

``python -m kitepolars.benchmark.firehose`` prints its URL, then reads orders
from its standard input, one JSON object a line, and answers each with one when
it is done. It sends raw WebSocket frames over blocking sockets, a thread a
connection, so that it costs as little as a server can. It ends when its
standard input does.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from kitepolars.benchmark.messages import INSTRUMENTS, PACKETS, FullMessages, tokens

BURST: Final = 16
"""Messages that are handed to the kernel at once when nothing holds the server back."""

PROBE: Final = 0x7FFF_FF01
"""The instrument token of probes (segment NSE): no listed instrument has it."""

HEARTBEAT: Final = 1.0
"""Seconds between heartbeats while nothing is sent: clients take silence for a dead line."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_SHORT: Final = 126
_LONG: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to send over every connection that is open.

    Parameters
    ----------
    seconds
        For how long.
    rate
        Ticks a second over all connections, at most; None: as fast as they are taken.
    packets
        Packets of a message.
    probes
        Probes a second, on the first connection: one-packet messages that say when they left,
        in microseconds since the epoch, split over two fields. 0 for none.
    """

    seconds: float
    rate: float | None = None
    packets: int = PACKETS
    probes: float = 0.0


def frame(data: bytes, opcode: int = _BINARY) -> bytes:
    """Return a WebSocket frame as servers send them, unmasked (RFC 6455, section 5.2)."""
    size = len(data)
    if size < _SHORT:
        return struct.pack(">BB", 0x80 | opcode, size) + data
    if size < _LONG:
        return struct.pack(">BBH", 0x80 | opcode, _SHORT, size) + data
    return struct.pack(">BBQ", 0x80 | opcode, _SHORT + 1, size) + data


class _Line:
    """One client: a thread reads what it says, another one sends what was ordered."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._lock = threading.Lock()  # a pong must not land inside a message
        self.is_open = True
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, data: bytes) -> None:
        """Send bytes; wait while the client takes none."""
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
    """Accepts clients and carries out orders."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[_Line] = []
        self._entry = threading.Lock()  # whoever knows that it is connected is in the list
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
                self._lines.append(_Line(peer))

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            if not self._busy:
                for line in self._open():
                    line.send(frame(b"\0"))

    def _open(self) -> list[_Line]:
        with self._entry:
            return [line for line in self._lines if line.is_open]

    def carry_out(self, order: Order) -> list[int]:
        """Send; return how many packets went over each open connection, probes not included."""
        lines = self._open()
        sources = [
            FullMessages(part, packets=order.packets, messages=BURST)
            for part in (tokens(INSTRUMENTS)[place :: len(lines)] for place in range(len(lines)))
        ]
        self._busy = True
        send = _flood if order.rate is None else _pace
        threads = [
            threading.Thread(target=send, args=(line, source, order, len(lines), place))
            for place, (line, source) in enumerate(zip(lines, sources, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._busy = False
        return [source.sent for source in sources]


def _flood(line: _Line, source: FullMessages, order: Order, *_: int) -> None:
    deadline = time.monotonic() + order.seconds
    while line.is_open and time.monotonic() < deadline:
        line.send(b"".join(map(frame, source.round())))


def _pace(line: _Line, source: FullMessages, order: Order, lines: int, place: int) -> None:
    """Send message after message at even distances, and probes between them."""
    assert order.rate is not None  # noqa: S101 - who calls this looked
    together = BURST if order.rate > 100 * source.ticks else 1  # beyond what sleeping can time
    gap = lines * together * order.packets / order.rate
    probes = _probe_times(order) if place == 0 else []
    probe = FullMessages([PROBE], packets=1, messages=1)
    begin = time.monotonic()
    due = begin + gap * place / lines
    waiting: list[bytes] = []
    end = begin + order.seconds
    while line.is_open and due < end and time.monotonic() < end:
        while probes and begin + probes[0] < due:
            _sleep_until(begin + probes.pop(0))
            line.send(frame(probe.stamped(time.time_ns() // 1000)))
        _sleep_until(due)
        waiting = waiting or source.round()
        line.send(b"".join(map(frame, waiting[:together])))
        del waiting[:together]
        due += gap
    for late in probes:
        _sleep_until(begin + late)
        line.send(frame(probe.stamped(time.time_ns() // 1000)))
    source.sent -= len(waiting) * order.packets


def _probe_times(order: Order) -> list[float]:
    """Return when to send probes: at random, so that no rhythm of the client's fits theirs."""
    count = int(order.probes * order.seconds)
    return sorted(np.random.default_rng(1).uniform(0, order.seconds, count).tolist())


def _sleep_until(due: float) -> None:
    wait = due - time.monotonic()
    if wait > 0:
        time.sleep(wait)


def main() -> None:
    """Serve until standard input ends."""
    server = _Server()
    print(server.url, flush=True)  # noqa: T201 - the parent reads it
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        print(json.dumps(server.carry_out(Order(**order))), flush=True)  # noqa: T201 - likewise


def encode_order(order: Order) -> str:
    """Return an order as the line that the process reads."""
    return json.dumps(asdict(order))


if __name__ == "__main__":
    main()
