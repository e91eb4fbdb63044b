from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.recorded import plain, records
from kitepolars.journal.codec import KINDS, UnreadableRecord, decode, encode
from kitepolars.journal.format import Entry
from kitepolars.source import Lost, MessageBlock, Messages, Record, Text
from kitepolars.wire.stream import RawMessages, frames_of


@given(records, st.integers(0, 2**64 - 1))
def test_any_record_is_decoded_as_it_was(record: Record, sequence: int) -> None:
    entry = encode(record, sequence)
    assert entry.sequence == sequence
    assert plain(decode(entry)) == record


def test_every_type_of_record_has_a_code() -> None:
    assert set(KINDS.values()) == set(get_args(Record)) - {MessageBlock}


@given(st.lists(st.binary(min_size=2, max_size=70_000), min_size=1, max_size=3))
def test_messages_are_stored_as_the_frames_that_bring_them(messages: list[bytes]) -> None:
    frames = frames_of(messages)
    raw = RawMessages.of(frames)
    assert list(raw) == messages
    assert frames_of(raw) == frames


def test_the_frames_of_a_read_are_stored_as_they_lie() -> None:
    read = b"\x81\x01x" + frames_of([b"first", b"\x00", b"second"]) + b"\x82\x09cut"
    raw = RawMessages(read, 3, len(read) - 5, count=2, size=11, heartbeats=1)
    decoded = decode(encode(Messages(1, 0, raw), 0))
    assert isinstance(decoded, Messages)
    assert list(decoded.messages) == [b"first", b"second"]


@given(st.integers(0, 255), st.binary(max_size=100))
def test_whatever_the_payload_is_it_is_a_record_or_unreadable(kind: int, payload: bytes) -> None:
    try:
        record = decode(Entry(0, 0, kind, 0, payload))
    except UnreadableRecord:
        return
    assert isinstance(record, KINDS[kind])


@pytest.mark.parametrize(
    "payload",
    [b"", b"[1]", b"{}", b'{"account":"a","since":1,"reason":"r"}', b"\xff", b"[" * 10**5],
)
def test_a_record_without_its_fields_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableRecord, match="kind 7"):
        decode(Entry(0, 0, 7, 0, payload))


def test_a_field_that_a_newer_version_added_is_passed_over() -> None:
    lost = Lost(5, 1, "main", 3, "reset", (1, 2))
    entry = encode(lost, 0)
    newer = entry._replace(payload=entry.payload[:-1] + b',"severity":3}')
    assert decode(newer) == lost


def test_a_kind_that_a_newer_version_added_is_named() -> None:
    with pytest.raises(UnreadableRecord, match="kind 200 is unknown"):
        decode(Entry(0, 0, 200, 0, b""))


def test_half_a_surrogate_pair_does_not_stop_a_recording() -> None:
    assert decode(encode(Text(1, 0, "a\ud800b"), 0)) == Text(1, 0, "a?b")
