"""The stream's division, against the protocol machine of `websockets` itself."""

from __future__ import annotations

import logging
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from kitepolars.wire.scan import Scanner
from kitepolars.wire.stream import RawMessages, StreamWalker

LARGEST = 2_000

_log = logging.getLogger(__name__)

FINAL, TEXT, BINARY, CONTINUATION = 0x80, 0x1, 0x2, 0x0
CLOSE, PING, PONG = 0x8, 0x9, 0xA


def frame(
    opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, masked: bool = False
) -> bytes:
    """Return a frame as a server would send it, or as it must not."""
    mask = 0x80 if masked else 0
    first = (FINAL if final else 0) | reserved << 4 | opcode
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", first, mask | length)
    elif length < 65_536:
        head = struct.pack(">BBH", first, mask | 126, length)
    else:
        head = struct.pack(">BBQ", first, mask | 127, length)
    return head + (b"\1\2\3\4" if masked else b"") + payload


@dataclass
class Outcome:
    """What a stream led to: messages in order, and how the connection ended."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    sent: bytes = b""
    close_code: int | None = None
    close_reason: str | None = None


class Machine:
    """An open client of `websockets`, without I/O."""

    def __init__(self) -> None:
        self.protocol = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=LARGEST)
        self.outcome = Outcome()
        self._fragments = bytearray()
        self._opcode: Opcode | None = None

    def receive(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in DATA_OPCODES:
                self._collect(event)

    def _collect(self, event: Frame) -> None:
        if event.opcode is not Opcode.CONT:
            self._opcode, self._fragments = event.opcode, bytearray()
        self._fragments += event.data
        if event.fin:
            kind = "text" if self._opcode is Opcode.TEXT else "binary"
            self.outcome.messages.append((kind, bytes(self._fragments)))

    def end(self) -> Outcome:
        self.protocol.receive_eof()
        self.outcome.sent = b"".join(self.protocol.data_to_send())
        # A client masks at random: what it sends is compared without masks.
        self.outcome.sent = unmasked(self.outcome.sent)
        self.outcome.close_code = self.protocol.close_code
        self.outcome.close_reason = self.protocol.close_reason
        return self.outcome


def unmasked(sent: bytes) -> bytes:
    """Return what a client sent, control frames only, with the masks undone."""
    place, plain = 0, b""
    while place < len(sent):
        length = sent[place + 1] & 0x7F
        mask = sent[place + 2 : place + 6]
        payload = sent[place + 6 : place + 6 + length]
        plain += sent[place : place + 1] + bytes(
            byte ^ mask[i % 4] for i, byte in enumerate(payload)
        )
        place += 6 + length
    return plain


def by_machine(pieces: Sequence[bytes]) -> Outcome:
    machine = Machine()
    for piece in pieces:
        machine.receive(piece)
    return machine.end()


def by_walker(pieces: Sequence[bytes]) -> Outcome:
    machine, walker = Machine(), StreamWalker(LARGEST)
    for piece in pieces:
        for part in walker.feed(piece):
            if isinstance(part, RawMessages):
                machine.outcome.messages += [("binary", message) for message in part]
            else:
                machine.receive(part)
                if machine.protocol.state is not OPEN:
                    walker.give_up()
    if held := walker.give_up():
        machine.receive(held)
    return machine.end()


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges) if b > a]


payloads = st.integers(0, 300).flatmap(lambda n: st.binary(min_size=n, max_size=n))
frames = st.one_of(
    st.builds(frame, st.just(BINARY), payloads),
    st.builds(frame, st.just(BINARY), payloads),
    st.builds(frame, st.just(BINARY), st.integers(1_990, 2_010).map(bytes)),
    st.builds(frame, st.just(TEXT), st.text(max_size=50).map(str.encode)),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.builds(frame, st.sampled_from([TEXT, BINARY, CONTINUATION]), payloads, final=st.booleans()),
    st.builds(frame, st.just(CLOSE), st.binary(max_size=20)),
    st.builds(
        frame,
        st.integers(0, 15),
        st.binary(max_size=130),
        final=st.booleans(),
        reserved=st.integers(0, 7),
        masked=st.booleans(),
    ),
    st.binary(max_size=20),
)


@given(st.lists(frames, max_size=12), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_stream_however_cut_is_what_the_machine_makes_of_it(
    parts: list[bytes], places: list[int]
) -> None:
    pieces = cut(b"".join(parts), places)
    expected, found = by_machine(pieces), by_walker(pieces)
    # Heartbeats are counted, not delivered; those in fragments are the machine's.
    assert without_heartbeats(found) == without_heartbeats(expected)


def without_heartbeats(outcome: Outcome) -> Outcome:
    outcome.messages = [
        (kind, data) for kind, data in outcome.messages if kind == "text" or len(data) >= 2
    ]
    return outcome


def close(code: int | None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def text(payload: str, **options: bool) -> bytes:
    return frame(TEXT, payload.encode(), **options)


A = "fragment one"
B = "fragment two"
FIRST, MORE, LAST = (
    text(A, final=False),
    frame(CONTINUATION, B.encode(), final=False),
    frame(CONTINUATION, B.encode()),
)
WHOLE = ("text", (A + B).encode())
HELLO = ("text", b"Hello, world!")
BYE = close(1000)

AUTOBAHN: list[tuple[str, list[bytes], list[tuple[str, bytes]], int | None]] = [
    *(
        (f"1.1.{number}", [text("*" * size), BYE], [("text", b"*" * size)], 1000)
        for number, size in enumerate((0, 125, 126, 127, 128, 1_999), 1)
    ),
    *(
        (f"1.2.{number}", [frame(BINARY, b"\xfe" * size), BYE], [("binary", b"\xfe" * size)], 1000)
        for number, size in ((2, 125), (3, 126), (4, 127), (5, 128), (6, 1_999))
    ),
    ("2.1", [frame(PING, b""), BYE], [], 1000),
    ("2.4", [frame(PING, b"\xfe" * 125), BYE], [], 1000),
    ("2.5", [frame(PING, b"\xfe" * 126), BYE], [], 1002),
    ("2.7", [frame(PONG, b""), BYE], [], 1000),
    ("2.8", [frame(PONG, b"unsolicited"), BYE], [], 1000),
    ("2.10", [frame(PING, b"%d" % n) for n in range(10)] + [BYE], [], 1000),
    ("3.1", [text("Hello, world!"), frame(TEXT, b"x", reserved=4), BYE], [HELLO], 1002),
    ("3.2", [text("Hello, world!"), frame(TEXT, b"x", reserved=2), BYE], [HELLO], 1002),
    ("3.5", [frame(BINARY, b"\xff" * 8, reserved=5), BYE], [], 1002),
    ("3.6", [frame(PING, b"Hello", reserved=6), BYE], [], 1002),
    ("3.7", [frame(CLOSE, b"", reserved=7)], [], 1002),
    *((f"4.1.{op - 2}", [frame(op, b"")], [], 1002) for op in range(3, 8)),
    *((f"4.2.{op - 10}", [frame(op, b"")], [], 1002) for op in range(11, 16)),
    ("5.1", [frame(PING, b"a", final=False), frame(CONTINUATION, b"b")], [], 1002),
    ("5.2", [frame(PONG, b"a", final=False), frame(CONTINUATION, b"b")], [], 1002),
    ("5.3", [FIRST, LAST, BYE], [WHOLE], 1000),
    ("5.6", [FIRST, frame(PING, b"between"), LAST, BYE], [WHOLE], 1000),
    ("5.9", [frame(CONTINUATION, b"nothing to continue"), text("Hello, world!"), BYE], [], 1002),
    ("5.12", [frame(CONTINUATION, b"none", final=False), text("Hello, world!")], [], 1002),
    ("5.15", [FIRST, LAST, frame(CONTINUATION, b"none", final=False), BYE], [WHOLE], 1002),
    ("5.18", [FIRST, text(B)], [], 1002),
    (
        "5.19",
        [FIRST, MORE, MORE, frame(PING, b"1"), MORE, MORE, frame(PING, b"2"), LAST, BYE],
        [("text", (A + 5 * B).encode())],
        1000,
    ),
    ("7.1.1", [text("Hello, world!"), BYE], [HELLO], 1000),
    ("7.1.2", [BYE, BYE], [], 1000),
    ("7.1.3", [BYE, frame(PING, b"late")], [], 1000),
    ("7.1.4", [BYE, text("late")], [], 1000),
    ("7.1.5", [FIRST, BYE, LAST], [], 1002),
    (
        "7.1.6",
        [frame(BINARY, b"late" * 300), BYE, frame(BINARY, b"late" * 300)],
        [("binary", b"late" * 300)],
        1000,
    ),
    ("7.3.1", [close(None)], [], None),
    ("7.3.2", [frame(CLOSE, b"a")], [], 1002),
    ("7.3.3", [BYE], [], 1000),
    ("7.3.5", [close(1000, b"*" * 123)], [], 1000),
    ("7.3.6", [close(1000, b"*" * 124)], [], 1002),
    ("7.5.1", [close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")], [], 1007),
    *(
        (f"7.7.{number}", [close(code)], [], code)
        for number, code in enumerate(
            (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1
        )
    ),
    *(
        (f"7.9.{number}", [close(code)], [], 1002)
        for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1)
    ),
    ("9.2", [frame(BINARY, b"\xfe" * (LARGEST + 1)), BYE], [], 1009),
    (
        "9.4",
        [frame(BINARY, b"a" * 1_500, final=False), frame(CONTINUATION, b"b" * 1_500)],
        [],
        1009,
    ),
]
"""Cases of the Autobahn test suite for clients: number, frames, messages, close code sent.

Sizes are cut to `LARGEST` where the suite sends more.
"""


def close_code_sent(outcome: Outcome) -> int | None:
    place = outcome.sent.rfind(bytes([FINAL | CLOSE]))
    code = outcome.sent[place + 1 : place + 3]
    return struct.unpack(">H", code)[0] if place >= 0 and len(code) == 2 else None


@pytest.mark.parametrize("chop", [1, 3, 10**6])
@pytest.mark.parametrize(
    ("frames_sent", "messages", "code"),
    [row[1:] for row in AUTOBAHN],
    ids=[row[0] for row in AUTOBAHN],
)
def test_the_cases_of_the_autobahn_suite(
    frames_sent: list[bytes], messages: list[tuple[str, bytes]], code: int | None, chop: int
) -> None:
    stream = b"".join(frames_sent)
    outcome = by_walker([stream[i : i + chop] for i in range(0, len(stream), chop)])
    assert outcome.messages == messages
    assert close_code_sent(outcome) == code


def random_stream(rng: random.Random) -> Iterator[bytes]:
    """Yield frames, most of them valid, now and then broken, cut at random places."""
    stream = b""
    for _ in range(rng.randrange(1, 12)):
        kind = rng.random()
        size = rng.choice((0, 1, 2, 10, 125, 126, 300, 1_999, 2_000, 2_001))
        if kind < 0.6:
            stream += frame(BINARY, rng.randbytes(size))
        elif kind < 0.85:
            opcode = rng.choice((TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE))
            stream += frame(opcode, b"a" * size, final=rng.random() < 0.6)
        else:
            broken = bytearray(frame(rng.randrange(16), b"b" * size, reserved=rng.randrange(8)))
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            stream += broken
    places = [rng.randrange(len(stream) + 1) for _ in range(rng.randrange(8))]
    yield from cut(stream, places)


def fuzz(streams: int, seed: int, *, progress: int = 0) -> None:
    """Compare the walker with the machine on random streams; log every `progress` of them."""
    rng = random.Random(seed)
    for number in range(streams):
        if progress and number % progress == 0:
            _log.info("%s of %s streams are alike (seed %s)", number, streams, seed)
        pieces = list(random_stream(rng))
        expected = without_heartbeats(by_machine(pieces))
        assert without_heartbeats(by_walker(pieces)) == expected, (seed, number)


def test_random_streams_lead_to_the_same_as_with_the_machine_alone() -> None:
    fuzz(3_000, seed=0)


def packet(token: int, price: int) -> bytes:
    return struct.pack(">HHII", 1, 8, token, price)


def test_messages_are_counted_where_they_lie_and_heartbeats_apart() -> None:
    sent = [packet(1, 100), packet(2, 200), b"\x00", b"", packet(3, 300) * 20]
    stream = b"".join(frame(BINARY, message) for message in sent)
    messages = RawMessages.of(stream)
    assert (len(messages), messages.heartbeats, messages.stop) == (3, 2, len(stream))
    assert messages.size == sum(map(len, messages))
    assert list(messages) == [sent[0], sent[1], sent[4]]
    assert messages[1] == sent[1]
    assert messages[-2:] == [sent[1], sent[4]]


def test_packets_are_found_where_they_lie_as_in_messages_of_their_own() -> None:
    sent = [
        packet(1, 100),
        b"\x00",
        struct.pack(">HH3s", 1, 3, b"abc"),  # of unknown length
        packet(2, 200)[:-1],  # cut
        packet(3, 300) + b"!",  # trailing
        packet(4, 400),
    ]
    raw = RawMessages.of(b"".join(frame(BINARY, message) for message in sent))
    in_place, copied = (
        Scanner().scan([raw, packet(5, 500)]),
        Scanner().scan([*sent, packet(5, 500)]),
    )
    assert in_place.codes.tolist() == copied.codes.tolist() == [0] * 4
    assert in_place.counts.tolist() == [3, 1]
    assert in_place.rejected_packets == copied.rejected_packets == 1
    assert in_place.rejected_messages == copied.rejected_messages == 2
    described = [(r.offset, r.length, r.head, r.reason) for r in in_place.rejections]
    assert described == [(r.offset, r.length, r.head, r.reason) for r in copied.rejections]


def test_a_large_message_is_put_together_once() -> None:
    message = packet(1, 100) * 150
    stream = frame(BINARY, message)
    walker = StreamWalker(LARGEST)
    parts = [part for byte in stream for part in walker.feed(bytes([byte]))]
    assert [list(part) for part in parts if isinstance(part, RawMessages)] == [[message]]
    assert len(parts) == 1


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="Compare both on random streams.")
    parser.add_argument("streams", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--progress", type=int, default=10_000, help="streams between two lines")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fuzz(arguments.streams, arguments.seed, progress=arguments.progress)
    _log.info("all %s streams are alike (seed %s)", arguments.streams, arguments.seed)
