from __future__ import annotations

import random
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kitepolars import native
from kitepolars.journal import format as journal_format
from kitepolars.journal.format import (
    BAD_HEADER,
    BAD_PAYLOAD,
    MARKER,
    RECORD_HEADER_SIZE,
    SEGMENT_HEADER_SIZE,
    TORN,
    Damage,
    Entry,
    Scan,
    SegmentHeader,
)

entries = st.builds(
    Entry,
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.one_of(st.binary(max_size=200), st.just(MARKER * 20)),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    blocks = []
    for size in sizes:
        blocks.append(data[:size])
        data = data[size:]
    return [*blocks, data]


def read(blocks: list[bytes]) -> tuple[list[Entry], list[Damage], int]:
    scan = Scan()
    found = [entry for block in blocks for entry in scan.feed(block)]
    return found, scan.finish(), scan.intact


@given(st.lists(entries, max_size=6), st.lists(st.integers(0, 60), max_size=12))
def test_what_was_written_is_read_however_it_is_cut_into_blocks(
    written: list[Entry], sizes: list[int]
) -> None:
    stored = b"".join(entry.encode() for entry in written)
    assert read(cut(stored, sizes)) == (written, [], len(stored))


@given(
    st.lists(entries, min_size=1, max_size=5),
    st.data(),
    st.lists(st.integers(0, 60), max_size=12),
)
def test_a_flipped_bit_costs_its_record_only_and_is_reported_with_its_place(
    written: list[Entry], data: st.DataObject, sizes: list[int]
) -> None:
    stored = bytearray(b"".join(entry.encode() for entry in written))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    found, damages, _ = read(cut(bytes(stored), sizes))

    ends, end = [], 0
    for entry in written:
        end += RECORD_HEADER_SIZE + len(entry.payload)
        ends.append(end)
    hit = next(number for number, end in enumerate(ends) if bit // 8 < end)
    begin = ends[hit - 1] if hit else 0
    assert found == written[:hit] + written[hit + 1 :]
    [damage] = damages
    in_header = bit // 8 < begin + RECORD_HEADER_SIZE
    assert damage == Damage(begin, ends[hit] - begin, BAD_HEADER if in_header else BAD_PAYLOAD)


@given(st.lists(entries, min_size=1, max_size=4), st.data())
def test_a_torn_tail_is_found_and_what_is_before_it_is_intact(
    written: list[Entry], data: st.DataObject
) -> None:
    stored = b"".join(entry.encode() for entry in written)
    last = RECORD_HEADER_SIZE + len(written[-1].payload)
    lost = data.draw(st.integers(1, last - 1))
    found, damages, intact = read([stored[:-lost]])
    assert found == written[:-1]
    assert intact == len(stored) - last
    assert damages == [Damage(intact, last - lost, TORN)]


@given(st.lists(entries, max_size=3), st.binary(max_size=500), st.lists(entries, max_size=3))
def test_foreign_bytes_cost_nothing_but_themselves(
    before: list[Entry], foreign: bytes, after: list[Entry]
) -> None:
    parts = [b"".join(entry.encode() for entry in some) for some in (before, after)]
    found, damages, _ = read([foreign.join(parts)])
    assert found == before + after
    assert sum(damage.length for damage in damages) == len(foreign)


def test_a_file_that_is_no_journal_is_not_held_in_memory() -> None:
    scan = Scan()
    noise = random.Random(1)
    for _ in range(100):
        assert list(scan.feed(noise.randbytes(10_000))) == []
    assert len(scan._rest) < RECORD_HEADER_SIZE
    assert scan.finish() == [Damage(0, 1_000_000, BAD_HEADER)]


def test_bytes_that_are_skipped_take_the_incomplete_record_before_them_along() -> None:
    stored = Entry(1, 2, 3, 4, b"payload").encode()
    scan = Scan(offset=1_000)
    assert len(list(scan.feed(stored + stored[:-1]))) == 1
    scan.skip(500, "torn out")
    assert [entry.sequence for entry in scan.feed(stored)] == [1]
    end = 1_000 + len(stored)
    assert scan.finish() == [
        Damage(end, len(stored) - 1, TORN),
        Damage(end + len(stored) - 1, 500, "torn out"),
    ]


@given(st.binary(max_size=50), st.integers(0, 400), st.integers(0, 20))
def test_the_compiled_checksum_is_that_of_zlib(seed: bytes, size: int, skipped: int) -> None:
    data = (seed + b"\x00\xff") * size
    assert native.checksum(data, len(data)) == zlib.crc32(data)
    array = np.frombuffer(data[:skipped] + data, np.uint8)[len(data[:skipped]) :]  # unaligned
    assert native.checksum(native.address(array), len(array)) == zlib.crc32(data)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_segments_header_is_read_as_written(version: int, sequence: int, at: int) -> None:
    header = SegmentHeader(version, sequence, at)
    assert SegmentHeader.decode(header.encode()) == header


@given(st.integers(0, 8 * SEGMENT_HEADER_SIZE - 1))
def test_a_damaged_header_of_a_segment_is_not_believed(bit: int) -> None:
    stored = bytearray(SegmentHeader(1, 2, 3).encode())
    stored[bit // 8] ^= 1 << bit % 8
    assert SegmentHeader.decode(bytes(stored)) is None
    assert SegmentHeader.decode(bytes(stored[:-1])) is None


def test_the_bytes_of_a_record_are_these() -> None:
    stored = Entry(7, 1_764_216_900_000_000, 3, 2, b"hello").encode()
    assert (
        stored.hex(" ", -4)
        == (
            "f54b5052 "  # the marker
            f"{stored[4:8].hex()} "
            "07000000 00000000 "  # sequence
            "0099a1c1 8b440600 "  # time
            "05000000 "  # length
            "86a61036 "  # CRC-32 of "hello", 0x3610a686
            "03020000 "  # kind, connection, nothing
            "68656c6c 6f"
        )
    )
    assert journal_format.VERSION == 1
