"""Which first packets are cached values, and which end a gap."""

from __future__ import annotations

import numpy as np
import pytest

from kitepolars.frames.first_packets import ANSWER, FirstPackets
from kitepolars.frames.store import NewRows
from kitepolars.wire.layouts import FULL, LTP, Layout

SUBSCRIBED_AT = 1_700_000_000_000_000
FRESH = SUBSCRIBED_AT + ANSWER + 1


def rows(*slots: int, received_at: int, exchanged_at: int, layout: Layout = FULL) -> NewRows:
    count = len(slots)
    return NewRows(
        slots=np.array(slots, np.int32),
        codes=np.full(count, layout.code, np.uint8),
        columns={
            "instrument_token": np.array(slots, np.uint32) + 1000,
            "received_at": np.full(count, received_at, np.int64),
            "exchange_timestamp": np.full(count, exchanged_at, np.int64),
        },
        place=slice(0, count),
    )


def slots(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def test_only_the_first_packet_after_a_subscription_is_cached() -> None:
    first = FirstPackets()
    first.expect(slots(3), SUBSCRIBED_AT)
    batch = rows(2, 3, 3, received_at=SUBSCRIBED_AT + 1, exchanged_at=SUBSCRIBED_AT - 1)
    found = first.cached(batch)
    assert found is not None
    assert found.tolist() == [False, True, False]
    assert first.cached(batch) is None


@pytest.mark.parametrize(
    ("received_at", "exchanged_at", "layout", "is_cached"),
    [
        (FRESH, SUBSCRIBED_AT + 1, FULL, False),
        (FRESH, SUBSCRIBED_AT, FULL, True),
        (FRESH - 1, SUBSCRIBED_AT + 1, FULL, True),
        (FRESH, SUBSCRIBED_AT + 1, LTP, True),
    ],
    ids=["traded later", "traded before", "in the answer", "no exchange time"],
)
def test_a_packet_that_happened_later_is_not_cached(
    received_at: int, exchanged_at: int, layout: Layout, *, is_cached: bool
) -> None:
    first = FirstPackets()
    first.expect(slots(0), SUBSCRIBED_AT)
    batch = rows(0, received_at=received_at, exchanged_at=exchanged_at, layout=layout)
    found = first.cached(batch)
    assert found is not None
    assert found.tolist() == [is_cached]


def test_what_is_still_expected_can_be_listed() -> None:
    first = FirstPackets()
    first.expect(slots(1, 5), SUBSCRIBED_AT)
    first.cached(rows(5, received_at=FRESH, exchanged_at=FRESH))
    waiting, times = first.expected()
    assert (waiting.tolist(), times.tolist()) == ([1], [SUBSCRIBED_AT])


def test_the_first_packet_after_a_loss_is_found_once() -> None:
    first = FirstPackets()
    first.lose(slots(4, 700))
    batch = rows(4, 4, 6, received_at=FRESH, exchanged_at=FRESH)
    assert first.found(batch) == {1004: FRESH}
    assert first.found(batch) == {}
    assert first.found(rows(700, received_at=FRESH + 1, exchanged_at=FRESH)) == {1700: FRESH + 1}


def test_a_forgotten_instrument_is_not_found() -> None:
    first = FirstPackets()
    first.lose(slots(4))
    first.forget(slots(4))
    assert first.found(rows(4, received_at=FRESH, exchanged_at=FRESH)) == {}
