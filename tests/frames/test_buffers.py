"""What a buffer notes of its rows besides what is in their packets."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frames.ticks import packet_message
from kitepolars.frames.buffers import NEW_SEGMENT, NEW_TOKEN, WRONG_TIME, TickBuffer
from kitepolars.frames.index import TokenIndex
from kitepolars.wire.layouts import LTP
from kitepolars.wire.scan import Packets, Scanner

AT = 1_700_000_000_000_000

counts_of_reads = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=8)
"""Of each read, how many packets each of its messages has."""


@given(counts_of_reads, st.data())
def test_every_row_knows_its_read(messages: list[list[int]], data: st.DataObject) -> None:
    reads = np.array(
        [(10**15 + number, number % 250, len(read)) for number, read in enumerate(messages)],
        np.int64,
    ).reshape(-1, 3)
    packets = Scanner().scan(
        [packet_message([257] * count, [1] * count, LTP) for count in chain(*messages)]
    )
    rows = np.repeat(np.arange(len(messages)), [sum(read) for read in messages])
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    buffer = TickBuffer(200)
    buffer.length = 7
    found = buffer.write(packets, start, stop, reads=reads, index=TokenIndex(), ahead=0)
    assert found == (NEW_TOKEN if stop > start else 0)
    written = slice(7, 7 + stop - start)
    assert buffer.columns["received_at"][written].tolist() == (10**15 + rows[start:stop]).tolist()
    assert buffer.columns["connection"][written].tolist() == (rows[start:stop] % 250).tolist()
    for name in ("received_at", "connection"):
        assert not buffer.columns[name][:7].any()
        assert not buffer.columns[name][7 + stop - start :].any()


def test_nothing_is_noted_where_there_is_no_room() -> None:
    with pytest.raises(IndexError, match="5 rows are more than the 4 that fit"):
        write(
            TickBuffer(4), Scanner().scan([packet_message([257] * 5, [1] * 5, LTP)]), TokenIndex()
        )


def test_what_is_unusual_about_rows_is_said() -> None:
    index = TokenIndex()
    index.slots(np.array([257], np.uint32))
    usual = packet_message([257], [1], second=AT // 10**6)
    early, late = (packet_message([257], [1], second=AT // 10**6 + by) for by in (-(10**9), 2))
    unknown = packet_message([0x1FF], [1], LTP)
    for sent, found in (
        ([usual], 0),
        ([usual, early], WRONG_TIME),
        ([late, usual], WRONG_TIME),
        ([usual, unknown], NEW_TOKEN | NEW_SEGMENT),
    ):
        buffer = TickBuffer(4)
        assert write(buffer, Scanner().scan(sent), index) == found
        assert buffer.take_unknown_segments() == ([0xFF] if unknown in sent else [])
        assert buffer.take_unknown_segments() == []


def write(buffer: TickBuffer, packets: Packets, index: TokenIndex) -> int:
    reads = np.array([[AT, 0, len(packets.counts)]])
    return buffer.write(packets, 0, len(packets), reads=reads, index=index, ahead=1_000_000)
