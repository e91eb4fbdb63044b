"""Views over a message's bytes: the same values as decoding, the same memory, any bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from kitepolars.wire.layouts import FULL, QUOTE
from kitepolars.wire.views import packets

from wire.test_decode import INFY_FULL, INFY_QUOTE, hostile, message, walk  # isort: skip


def test_runs_of_one_kind_are_one_view() -> None:
    data = message(INFY_QUOTE, INFY_QUOTE, b"unknown", INFY_FULL, INFY_QUOTE)
    runs = packets(data)
    assert [(run.layout, len(run.packets)) for run in runs] == [(QUOTE, 2), (FULL, 1), (QUOTE, 1)]
    full = runs[1].packets[0]
    assert (full["instrument_token"], full["last_price"]) == (408065, 157370)
    assert full["asks"]["price"].tolist() == [157370, 157375, 157385, 157390, 157395]
    assert full["bids"]["orders"].tolist() == [1, 2, 1, 7, 1]


def test_views_share_the_messages_memory_and_cannot_be_written() -> None:
    data = message(INFY_QUOTE)
    (run,) = packets(data)
    assert np.shares_memory(run.packets, np.frombuffer(data, np.uint8))
    assert not run.packets.flags.writeable


@given(hostile)
def test_any_bytes(data: bytes) -> None:
    rows, _, _ = walk(data)
    assert sum(len(run.packets) for run in packets(data)) == rows
