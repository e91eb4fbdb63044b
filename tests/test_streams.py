"""Cursors, bounded queues, and the threads of callbacks."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.streams import FAILURES_REPORTED, Queue, Worker
from patience import PATIENCE

PUT_OR_TAKE = st.lists(st.one_of(st.none(), st.integers(0, 12)))
"""The sizes of items that are put; None is a take."""


@given(PUT_OR_TAKE, st.integers(1, 5), st.integers(1, 20))
def test_a_queue_is_bounded_in_items_and_bytes_and_counts_what_it_drops(
    steps: list[int | None], capacity: int, max_bytes: int
) -> None:
    queue = Queue[bytes](capacity, max_bytes=max_bytes, size=len)
    waiting: deque[bytes] = deque()
    in_hand: list[bytes] = []
    missed = 0
    for number, size in enumerate(steps):
        if size is None:
            taken, told = queue.take()
            assert (taken, told) == (list(waiting), missed)
            in_hand, missed = list(waiting), 0
            waiting.clear()
            continue
        item = bytes([number % 256]) * size
        queue.put(item)
        kept = [*in_hand, *waiting, item]
        if len(kept) <= capacity and sum(map(len, kept)) <= max_bytes:
            waiting.append(item)
        else:
            missed += 1


def test_what_the_reader_has_in_hand_counts_until_it_comes_back() -> None:
    queue = Queue[bytes](max_bytes=10, size=len)
    queue.put(bytes(8))
    assert queue.take() == ([bytes(8)], 0)
    queue.put(bytes(8))
    assert queue.take() == ([], 1)
    queue.put(bytes(8))
    assert queue.take() == ([bytes(8)], 0)


@pytest.mark.parametrize(
    "error", [ValueError("no good"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]
)
def test_a_callback_that_raises_anything_is_reported_and_called_again(
    error: BaseException,
) -> None:
    queue, seen, done = Queue[int](), list[int](), threading.Event()
    reports: list[str] = []

    def fragile(item: int) -> None:
        seen.append(item)
        if item == 1:
            raise error
        done.set()

    worker = Worker(fragile, queue, reports.append)
    worker.start()
    for item in (1, 2):
        queue.put(item)
    worker.ring()
    assert done.wait(PATIENCE)
    worker.finish()
    worker.join(PATIENCE)
    assert seen == [1, 2]
    (report,) = reports
    assert report.endswith(f"fragile failed (1): {error!r}")


def test_a_callback_that_always_fails_is_described_a_few_times() -> None:
    queue, reports = Queue[int](), list[str]()

    def broken(_: int) -> None:
        raise ValueError

    worker = Worker(broken, queue, reports.append)
    for item in range(FAILURES_REPORTED + 5):
        queue.put(item)
    worker.start()
    worker.finish()
    worker.join(PATIENCE)
    assert len(reports) == FAILURES_REPORTED
