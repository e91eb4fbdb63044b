"""Token → slot, against a dictionary."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.frames.index import TokenIndex

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
