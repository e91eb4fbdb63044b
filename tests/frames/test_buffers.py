"""What a buffer notes of its rows besides what is in their packets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.frames.buffers import TickBuffer

counts_of_reads = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=8)
"""Of each read, how many packets each of its messages has."""


@given(counts_of_reads, st.data())
def test_every_row_knows_its_read(messages: list[list[int]], data: st.DataObject) -> None:
    reads = np.array(
        [(10**15 + number, number % 250, len(read)) for number, read in enumerate(messages)],
        np.int64,
    ).reshape(-1, 3)
    counts = np.array([count for read in messages for count in read], np.int64)
    rows = np.repeat(np.arange(len(messages)), [sum(read) for read in messages])
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    buffer = TickBuffer(200)
    buffer.length = 7
    buffer.stamp(reads, counts, start, stop)
    written = slice(7, 7 + stop - start)
    assert buffer.columns["received_at"][written].tolist() == (10**15 + rows[start:stop]).tolist()
    assert buffer.columns["connection"][written].tolist() == (rows[start:stop] % 250).tolist()
    for name in ("received_at", "connection"):
        assert not buffer.columns[name][:7].any()
        assert not buffer.columns[name][7 + stop - start :].any()


def test_nothing_is_noted_where_there_is_no_room() -> None:
    buffer = TickBuffer(4)
    with pytest.raises(IndexError, match="5 rows are more than the 4 that fit"):
        buffer.stamp(np.array([[1, 0, 1]]), np.array([5]), 0, 5)
