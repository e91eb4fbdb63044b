"""Token → slot, against a dictionary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from frames.ticks import packet_message
from kitepolars.frames.index import InstrumentFilter, TokenIndex
from kitepolars.wire.decode import Target, decode
from kitepolars.wire.layouts import FULL, LTP
from kitepolars.wire.scan import Packets, Scanner

tokens = st.integers(0, 2**32 - 1) | st.integers(0, 40)


@given(st.lists(st.lists(tokens, max_size=50), max_size=8))
def test_slots_are_numbers_in_order_of_first_appearance(batches: list[list[int]]) -> None:
    index = TokenIndex()
    expected: dict[int, int] = {}
    for batch in batches:
        for token in batch:
            expected.setdefault(token, len(expected))
        slots = index.slots(np.array(batch, np.uint32))
        assert slots.tolist() == [expected[token] for token in batch]
    assert index.tokens.tolist() == list(expected)
    assert len(index) == len(expected)


def test_twenty_thousand_instruments_keep_their_slots() -> None:
    index = TokenIndex()
    numbers = np.random.default_rng(1).choice(2**24, 20_000, replace=False)
    all_tokens = (numbers * 256 + 1).astype(np.uint32)
    for part in np.array_split(all_tokens, 7):
        index.slots(part)
    assert index.slots(all_tokens).tolist() == list(range(20_000))
    assert index.tokens.tolist() == all_tokens.tolist()


few = st.integers(0, 9)
LAYOUTS = (LTP, FULL)


@given(st.lists(st.lists(st.lists(few, max_size=5), max_size=3), max_size=4), st.sets(few))
def test_packets_are_selected_as_if_no_others_had_come(
    batches: list[list[list[int]]], wanted: set[int]
) -> None:
    asked: list[int] = []

    def wants(tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        asked.extend(tokens.tolist())
        return np.isin(tokens, list(wanted))

    selection, scanner = InstrumentFilter(wants), Scanner()
    for batch in batches:
        sent = [packet_message(some, some, LAYOUTS[len(some) % 2]) for some in batch]
        found = selection.select(scanner.scan(sent))
        kept = [[token for token in some if token in wanted] for some in batch]
        assert tokens_of(found) == [token for some in kept for token in some]
        assert found.counts.tolist() == list(map(len, kept))
        layouts = [LAYOUTS[len(some) % 2] for some in batch for token in some if token in wanted]
        assert found.codes.tolist() == [layout.code for layout in layouts]
    assert sorted(asked) == sorted({token for batch in batches for some in batch for token in some})


def tokens_of(packets: Packets) -> list[int]:
    column = np.zeros(len(packets), np.uint32)
    decode(packets, 0, len(packets), Target({"instrument_token": column}), 0)
    found: list[int] = column.tolist()
    return found
