"""What is held at a moment: it never changes, and its frames are made from it by anyone."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from frames.ticks import packet_message, push
from kitepolars.frames import store as store_module
from kitepolars.frames.held import Held
from kitepolars.frames.schema import SCHEMA
from kitepolars.frames.store import TickStore
from kitepolars.wire.layouts import FULL, LTP


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> TickStore:
    """A store with chunks of four rows."""
    monkeypatch.setattr(store_module, "SMALLEST_CHUNK", 4)
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 4)
    return TickStore()


def fill(store: TickStore, start: int, stop: int) -> None:
    for n in range(start, stop):
        push(store, [packet_message([257 + 256 * (n % 3)], [n], LTP)])


def test_what_was_held_stays_as_it_was(store: TickStore) -> None:
    fill(store, 0, 6)
    held = store.held
    before = held.frame()
    fill(store, 6, 14)
    assert (held.height, held.total) == (6, 6)
    assert_frame_equal(held.frame(), before)
    assert store.held.height == 14


@pytest.mark.parametrize("number", range(15))
def test_since_is_the_end_of_the_frame(store: TickStore, number: int) -> None:
    fill(store, 0, 14)
    held = store.held
    assert_frame_equal(held.since(number), held.frame().slice(number))


@pytest.fixture(scope="module")
def held_of_two_modes() -> Held:
    store = TickStore()
    for layout in (LTP, FULL, FULL):
        push(store, [packet_message([257, 513], [1, 2], layout)])
    return store.held


@given(
    number=st.sampled_from([0, 5, 13]),
    columns=st.permutations(SCHEMA.names()),
    count=st.integers(2, len(SCHEMA)),
)
def test_some_columns_of_it_are_those_of_the_frame(
    held_of_two_modes: Held, number: int, columns: list[str], count: int
) -> None:
    held, some = held_of_two_modes, tuple(columns[:count])
    if not {*some} - {"symbol", "mode"}:
        return
    assert_frame_equal(held.since(number, some), held.frame().slice(number).select(some))


def test_latest_is_the_last_tick_of_each_instrument(store: TickStore) -> None:
    fill(store, 0, 14)
    held = store.held
    last = held.frame().unique("instrument_token", keep="last", maintain_order=True)
    assert_frame_equal(held.latest().sort("instrument_token"), last.sort("instrument_token"))


def test_sealed_chunks_are_joined_once(store: TickStore) -> None:
    fill(store, 0, 8)
    held = store.held
    assert len(held.chunks) == 2
    assert held.sealed.frame(held.chunks) is held.sealed.frame(held.chunks)


def test_ticks_that_were_dropped_still_count(store: TickStore) -> None:
    fill(store, 0, 6)
    store.clear()
    fill(store, 6, 8)
    held = store.held
    assert (held.height, held.total) == (2, 8)
    assert held.since(0).select(pl.len()).item() == 2
