"""What a client gets of packets, against a plain reading of the protocol."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.relay.packets import LastPackets, SlottedPackets, level_of
from kitepolars.source import Messages
from kitepolars.wire.encode import join_packets
from kitepolars.wire.layouts import LAYOUTS, MODES, Mode, layout_for
from kitepolars.wire.stream import RawMessages, frames_of

TRADABLE, INDEX = 408065, 256265
LENGTHS: Final = {
    (TRADABLE, "ltp"): 8,
    (TRADABLE, "quote"): 44,
    (TRADABLE, "full"): 184,
    (INDEX, "ltp"): 8,
    (INDEX, "quote"): 28,
    (INDEX, "full"): 32,
}
"""As Kite documents them."""

Sent = tuple[int, Mode, bytes]


def packet(token: int, mode: Mode, fill: bytes) -> bytes:
    """Return a packet with the lengths of the protocol and any content."""
    kind = INDEX if token & 0xFF == 9 else TRADABLE
    return struct.pack(">I", token) + (fill * 184)[: LENGTHS[kind, mode] - 4]


sent = st.tuples(
    st.sampled_from([TRADABLE, INDEX, 779521, 738561, 260105]),
    st.sampled_from(MODES),
    st.binary(min_size=1, max_size=3),
)
wanted = st.dictionaries(
    st.sampled_from([TRADABLE, INDEX, 779521, 738561]), st.sampled_from(MODES), max_size=4
)


def levels_of(
    last: LastPackets, modes: dict[int, Mode]
) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    slots = last.index.slots(np.fromiter(modes, np.uint32, len(modes)))
    levels = np.zeros(len(last.index), np.uint8)
    levels[slots] = [level_of(mode) for mode in modes.values()]
    return levels


def part(one: Sent, modes: dict[int, Mode]) -> bytes | None:
    """Return what a client that wants some modes gets of a packet."""
    token, mode, fill = one
    if token not in modes:
        return None
    kind = INDEX if token & 0xFF == 9 else TRADABLE
    lower = min(mode, modes[token], key=MODES.index)
    return packet(token, mode, fill)[: LENGTHS[kind, lower]]


def bodies(frames: bytes) -> list[bytes]:
    """Return the packets in WebSocket frames."""
    found: list[bytes] = []
    for message in RawMessages.of(frames):
        (count,) = struct.unpack_from(">H", message)
        place = 2
        for _ in range(count):
            (length,) = struct.unpack_from(">H", message, place)
            found.append(message[place + 2 : place + 2 + length])
            place += 2 + length
        assert place == len(message)
    return found


@given(st.lists(st.lists(sent, max_size=8), min_size=1, max_size=4), wanted)
def test_a_client_gets_its_part_of_every_packet_in_order(
    messages: list[list[Sent]], modes: dict[int, Mode]
) -> None:
    texts = [join_packets(packet(*one) for one in message) for message in messages]
    parts = [part(one, modes) for message in messages for one in message]
    expected = [one for one in parts if one is not None]
    for held in (texts, RawMessages.of(frames_of(texts))):
        last = LastPackets()
        levels_of(last, modes)
        batch = last.read([Messages(0, 0, held)])
        count, frames = batch.frames(levels_of(last, modes))
        assert bodies(frames) == expected
        assert count == len(expected)


@given(st.lists(sent, min_size=1, max_size=20), wanted)
def test_the_last_packet_of_each_is_kept(packets: list[Sent], modes: dict[int, Mode]) -> None:
    last = LastPackets()
    levels_of(last, modes)
    for one in packets:
        last.keep(last.read([Messages(0, 0, [join_packets([packet(*one)])])]))
    latest = {one[0]: one for one in packets}
    slots = last.index.slots(np.fromiter(modes, np.uint32, len(modes)))
    _, frames = last.of(slots).frames(levels_of(last, modes))
    expected = [part(latest[token], modes) for token in modes if token in latest]
    assert bodies(frames) == expected
    last.forget(slots)
    assert last.of(slots).frames(levels_of(last, modes)) == (0, b"")


def test_more_packets_than_a_message_holds_become_several() -> None:
    last = LastPackets()
    texts = [join_packets(packet(TRADABLE, Mode.FULL, b"x") for _ in range(2_000))] * 4
    batch = last.read([Messages(0, 0, texts)])
    count, frames = batch.frames(np.array([level_of(Mode.LTP)], np.uint8))
    assert count == 8_000
    assert [int.from_bytes(m[:2]) for m in RawMessages.of(frames)] == [3_000, 3_000, 2_000]


def test_a_lower_mode_is_the_beginning_of_a_higher_one() -> None:
    for layout in LAYOUTS:
        for mode in MODES[: MODES.index(layout.mode) + 1]:
            lower = layout_for(mode, index=bool(layout.index))
            assert layout.fields[: len(lower.fields)] == lower.fields
    assert len(SlottedPackets(np.empty(0, "u8"), np.empty(0, "u1"), np.empty(0, "i4"))) == 0
