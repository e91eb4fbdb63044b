"""What a WebSocket connection receives → messages, read where they lie. Pure, no I/O.

Kite's stream is made almost entirely of frames of one kind: final, binary, unmasked and
uncompressed. The compiled loops find those in what a read of the socket brought, and the messages
in them are neither copied nor made into objects. Every other frame (text, control,
fragments, whatever is invalid) belongs to the protocol machine of the WebSocket library, which
alone decides what is an error. Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, overload

from kitepolars import native
from kitepolars.wire.layouts import PREFIX_SIZE

_FINAL: Final = 0x80
_OPCODE: Final = 0x0F
_LAST_OPCODES: Final = (*range(0x3, 0x8), 0x8, *range(0xB, 0x10))  # reserved ones, and close
_MASKED: Final = 0x80
_STEADY: Final = 0x82  # final and binary, no reserved bit
_SIZE_BITS: Final = 0x7F
_SIZE_IN_TWO, _SIZE_IN_EIGHT = 126, 127
_SIZE_BYTES: Final = {_SIZE_IN_TWO: 2, _SIZE_IN_EIGHT: 8}
_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2
_SMALLEST_HEAD: Final = 2
_NO_SIZE: Final = 0


if TYPE_CHECKING:
    _BytesSequence = Sequence[bytes]
else:  # with an abstract base class, `isinstance` would cost more than the rest of a read
    _BytesSequence = object


class RawMessages(_BytesSequence):
    r"""Messages as they lie in what a read of a socket brought, without the heartbeats.

    As a sequence it yields each message's bytes, copied on demand; `wire.scan` reads them in place.

    Parameters
    ----------
    data
        What was read.
    start, stop
        The part of it that consists of complete steady frames.
    count
        How many messages they are, heartbeats excluded.
    size
        The bytes of those messages, without their heads.
    heartbeats
        How many messages are too short to hold packets.

    Examples
    --------
    >>> stream = bytes.fromhex("82 01 00  82 04 0000 0000")
    >>> list(RawMessages.of(stream))
    [b'\x00\x00\x00\x00']
    """

    __slots__ = ("_count", "data", "heartbeats", "size", "start", "stop")

    def __init__(
        self, data: bytes, start: int, stop: int, *, count: int, size: int, heartbeats: int
    ) -> None:
        self.data = data
        self.start = start
        self.stop = stop
        self._count = count
        self.size = size
        self.heartbeats = heartbeats

    @classmethod
    def of(cls, stream: bytes) -> RawMessages:
        """Return the messages of the complete steady frames that a stream begins with."""
        return walk(stream, 0, len(stream))

    @classmethod
    def of_message(cls, message: bytes) -> RawMessages:
        """Return one message as if it had come in a steady frame."""
        return cls.of(frame_head(len(message)) + message)

    def __len__(self) -> int:
        """Return the number of messages, heartbeats excluded."""
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        """Yield each message's bytes, heartbeats excluded."""
        place = self.start
        while place < self.stop:
            head, length = _head(self.data, place)
            place += head + length
            if length >= PREFIX_SIZE:
                yield self.data[place - length : place]

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return one message's bytes, or those of several."""
        return list(self)[index]


Sequence.register(RawMessages)


def frames_of(messages: Sequence[bytes]) -> bytes:
    r"""Return messages as WebSocket frames: final, binary, unmasked (RFC 6455, section 5.2).

    Examples
    --------
    >>> frames_of([b"ab", b"cde"])
    b'\x82\x02ab\x82\x03cde'
    """
    if isinstance(messages, RawMessages):
        return messages.data[messages.start : messages.stop]
    return b"".join(part for message in messages for part in (frame_head(len(message)), message))


def frame_head(length: int) -> bytes:
    """Return the header of a steady frame with a payload of this size."""
    if length < _SIZE_IN_TWO:
        return bytes((_STEADY, length))
    if length < 2**16:
        return bytes((_STEADY, _SIZE_IN_TWO)) + length.to_bytes(2)
    return bytes((_STEADY, _SIZE_IN_EIGHT)) + length.to_bytes(8)


_Result = ctypes.c_int64 * 4


def walk(data: bytes, start: int, largest: int) -> RawMessages:
    """Return the messages of the complete steady frames from a place on.

    Parameters
    ----------
    data
        What was read.
    start
        Where a frame begins.
    largest
        The size in bytes from which on a message is left to the protocol machine.
    """
    result = _Result()
    native.walk(data, start, len(data), largest, result)
    stop, count, size, heartbeats = result
    return RawMessages(data, start, stop, count=count, size=size, heartbeats=heartbeats)


def _head(data: bytes | bytearray, place: int) -> tuple[int, int]:
    """Return the bytes of a complete frame's head, and of its payload."""
    code = data[place + 1] & _SIZE_BITS
    more = _SIZE_BYTES.get(code, 0)
    start = place + _SMALLEST_HEAD
    length = int.from_bytes(data[start : start + more]) if more else code
    return _SMALLEST_HEAD + more, length


class StreamWalker:
    """Divides a server's stream into messages to read in place and bytes for the machine.

    What it returns, in order, is the whole stream. Frames that are not steady go to the machine as
    they come, undelayed but for a head that is still incomplete. From the first byte that the
    machine must refuse, or that follows a close, all goes to the machine.

    Parameters
    ----------
    largest
        The largest message in bytes; the machine refuses larger ones.

    Examples
    --------
    >>> walker = StreamWalker(largest=1_000)
    >>> ping = bytes.fromhex("89 00")
    >>> [len(part) for part in walker.feed(bytes.fromhex("82 04 0000 0000") + ping)]
    [1, 2]
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._held: list[bytes] = []  # an incomplete frame that may be steady, or its head
        self._missing = 0  # bytes until what is held can be judged again
        self._passing = 0  # bytes of a frame that is the machine's and has not come whole
        self._is_fragmented = False
        self._gave_up = False

    def feed(self, data: bytes) -> Iterable[RawMessages | bytes]:
        """Return what a read of the socket completes, in order.

        Parameters
        ----------
        data
            What was read, not empty.

        Returns
        -------
        iterable
            `RawMessages`, and `bytes` for the protocol machine. Call `give_up` between two of them
            if the machine ends the connection.
        """
        if not (self._missing or self._passing or self._is_fragmented or self._gave_up):
            messages = walk(data, 0, self._largest)
            if messages.stop == len(data):
                return (messages,)
        return self._divide(data)

    def give_up(self) -> bytes:
        """Leave everything to the machine from now on; return what is held, which it has not seen.

        For the end of the stream, and when a connection closes.
        """
        self._gave_up = True
        held, self._held, self._missing = b"".join(self._held), [], 0
        return held

    def _divide(self, data: bytes) -> Iterator[RawMessages | bytes]:
        place = 0
        while place < len(data):
            if self._gave_up:
                yield data[place:]
                return
            if self._passing:
                taken = data[place : place + self._passing]
                self._passing -= len(taken)
                yield taken
            elif self._missing:
                taken = data[place : place + self._missing]
                self._missing -= len(taken)
                self._held.append(taken)
                if not self._missing:
                    held, self._held = b"".join(self._held), []
                    yield from self._judge(held, 0)
            else:
                yield from self._judge(data, place)
                return
            place += len(taken)

    def _judge(self, data: bytes, place: int) -> Iterator[RawMessages | bytes]:
        """Divide what begins with a frame."""
        while place < len(data) and not self._gave_up:
            if not self._is_fragmented:
                messages = walk(data, place, self._largest)
                if messages.stop > place:
                    yield messages
                    place = messages.stop
                    continue
            needed = self._needed(data, place)
            if needed == _NO_SIZE:
                self._gave_up = True
            elif needed > len(data) - place:
                self._held, self._missing = [data[place:]], needed - (len(data) - place)
                return
            else:
                end = self._pass(data, place)
                yield data[place:end]
                place = end
        if place < len(data):
            yield data[place:]

    def _needed(self, data: bytes, place: int) -> int:
        """Return how many bytes of a frame are needed: its head, or all of it if it is steady.

        Nothing of the stream is read here any more from a frame on that must be refused, or that
        closes.
        """
        left = len(data) - place
        if left < _SMALLEST_HEAD:
            return _SMALLEST_HEAD
        first, second = data[place], data[place + 1]
        if second & _MASKED or first & _OPCODE in _LAST_OPCODES:
            return _NO_SIZE
        head = _SMALLEST_HEAD + _SIZE_BYTES.get(second & _SIZE_BITS, 0)
        if left < head:
            return head
        head, length = _head(data, place)
        if length > self._largest:
            return _NO_SIZE
        is_steady = first == _STEADY and not self._is_fragmented
        return head + length if is_steady else head

    def _pass(self, data: bytes, place: int) -> int:
        """Leave a frame whose head is complete to the machine; return where it, or data, ends."""
        opcode, is_final = data[place] & _OPCODE, bool(data[place] & _FINAL)
        if opcode in (_TEXT, _BINARY):
            self._is_fragmented = self._is_fragmented or not is_final
        elif opcode == _CONTINUATION and is_final:
            self._is_fragmented = False
        head, length = _head(data, place)
        end = min(place + head + length, len(data))
        self._passing = place + head + length - end
        return end
