"""Batches, orders, events and messages as they come, on threads and loops of the user's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.frames.schema import SCHEMA
from kitepolars.sim import SimulatedKite
from kitepolars.streams import Queue
from patience import PATIENCE

from ticker.conftest import INFY, SBIN  # isort: skip


class Collector:
    """A callback that collects what it gets, and can be waited for."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.threads: set[threading.Thread] = set()
        self._changed = threading.Condition()

    def __call__(self, item: object) -> None:
        with self._changed:
            self.items.append(item)
            self.threads.add(threading.current_thread())
            self._changed.notify_all()

    def has(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.size >= count, PATIENCE)

    def has_ended(self) -> bool:
        for thread in self.threads:
            thread.join(PATIENCE)
        return not any(thread.is_alive() for thread in self.threads)

    @property
    def size(self) -> int:
        return sum(item.height if isinstance(item, pl.DataFrame) else 1 for item in self.items)


@pytest.fixture
def subscribed(ticker: kp.Ticker, kite: SimulatedKite) -> kp.Ticker:
    ticker.subscribe([INFY, SBIN], mode="full")
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full", SBIN: "full"})
    assert ticker.wait(rows=2, timeout=PATIENCE)
    return ticker


async def first(stream: AsyncIterator[pl.DataFrame], kite: SimulatedKite) -> pl.DataFrame:
    """Begin a stream, let every instrument tick, and return the first batch."""
    coming = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)  # it runs until it waits: it listens
    kite.step()
    async with asyncio.timeout(PATIENCE):
        return await coming


async def test_a_stream_yields_new_ticks_and_ends_with_the_ticker(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    stream = subscribed.stream()
    kite.step()  # before the stream begins
    assert await subscribed.wait_async(rows=4, timeout=PATIENCE)
    batches = [await first(stream, kite)]
    kite.step()
    async for batch in stream:
        batches.append(batch)
        if sum(batch.height for batch in batches) >= 4:
            subscribed.stop()
    ticks = pl.concat(batches)
    assert ticks.schema == SCHEMA
    assert ticks.equals(subscribed.frame().tail(4))


async def test_streams_can_be_of_some_instruments_or_one_connection(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    stream = subscribed.stream(["NSE:SBIN"], connection=0)
    assert (await first(stream, kite))["instrument_token"].to_list() == [SBIN]


def test_a_stream_whose_event_loop_was_closed_is_unregistered_and_breaks_nothing(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    loop = asyncio.new_event_loop()
    stream = subscribed.stream()
    coming = loop.create_task(anext(stream))
    loop.run_until_complete(asyncio.sleep(0))  # it runs until it waits: it listens
    listening = len(subscribed._runtime.pipeline._listeners)
    kite.step()
    loop.run_until_complete(asyncio.wait_for(coming, PATIENCE))
    loop.close()  # as a notebook's cell does that runs its own loop
    for rows in (6, 8, 10):
        kite.step()
        assert subscribed.wait(rows=rows, timeout=PATIENCE)
    assert len(subscribed._runtime.pipeline._listeners) == listening - 1
    assert subscribed.stats().reconnects == 0
    assert subscribed.stats().dropped == 0
    subscribed.stop()
    assert not subscribed.is_running


def test_batches_come_on_a_thread_of_their_own(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    every = Collector()
    assert subscribed.on_batch(every) is every
    kite.step()
    kite.step()
    assert every.has(4)
    assert pl.concat(every.items).equals(subscribed.frame().tail(4))
    assert {thread.name.split("-")[1] for thread in every.threads} == {"callback"}


def test_batches_can_be_limited_to_some_instruments(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    some = Collector()
    subscribed.on_batch(instruments=["NSE:INFY"])(some)
    kite.step()
    kite.step()
    assert some.has(2)
    assert set(pl.concat(some.items)["symbol"]) == {"NSE:INFY"}


def test_a_callback_that_is_off_is_not_called_any_more(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    off, on = Collector(), Collector()
    subscribed.on_batch(off)
    subscribed.on_batch(on)
    kite.step()
    assert off.has(2)
    subscribed.off(off)
    assert off.has_ended()
    kite.step()
    assert on.has(4)
    assert off.size == 2


def test_a_failing_callback_is_reported_and_called_again(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    seen = Collector()

    @subscribed.on_batch
    def fragile(batch: pl.DataFrame) -> None:
        seen(batch)
        raise ValueError("no good")

    kite.step()
    assert seen.has(2)
    kite.step()
    assert seen.has(4)
    assert subscribed.wait(
        until=lambda ticker: (ticker.events()["kind"] == "callback").any(), timeout=PATIENCE
    )
    details = subscribed.events().filter(kind="callback")["detail"]
    assert "fragile failed (1): ValueError('no good')" in details[0]
    assert subscribed.stats().dropped == 0


def test_a_slow_callback_misses_with_a_count_and_the_feed_does_not(
    subscribed: kp.Ticker, kite: SimulatedKite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.ticker.callbacks.Queue", partial(Queue, 5))
    busy, release, seen = threading.Event(), threading.Event(), Collector()

    @subscribed.on_event
    def slow(event: kp.Event) -> None:
        seen(event)
        busy.set()
        release.wait(PATIENCE)

    kite.send('{"type": "message", "data": "number 0"}')
    assert busy.wait(PATIENCE)
    for number in range(1, 21):
        kite.send(f'{{"type": "message", "data": "number {number}"}}')
    assert subscribed.wait(
        until=lambda ticker: ticker.events()["detail"].str.contains("number 20").any(),
        timeout=PATIENCE,
    )
    release.set()
    assert subscribed.wait(
        until=lambda ticker: (ticker.events()["kind"] == "callback").any(), timeout=PATIENCE
    )
    missed = subscribed.events().filter(kind="callback")["detail"][0]
    assert "slow was too slow and missed" in missed
    assert seen.size < 21


def test_orders_that_wait_for_a_slow_callback_are_bounded_in_bytes(
    subscribed: kp.Ticker, kite: SimulatedKite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.ticker.callbacks.Queue", partial(Queue, max_bytes=7_000))
    busy, release, seen = threading.Event(), threading.Event(), Collector()

    @subscribed.on_order
    def slow(update: kp.OrderUpdate) -> None:
        seen(update)
        busy.set()
        release.wait(PATIENCE)

    kite.order_update(order_id="0")
    assert busy.wait(PATIENCE)
    for number in range(1, 11):
        kite.order_update(order_id=str(number), tag="x" * 2_000)
    assert subscribed.wait(
        until=lambda ticker: ticker.orders()["order_id"].n_unique() == 11, timeout=PATIENCE
    )
    release.set()
    assert subscribed.wait(
        until=lambda ticker: (ticker.events()["kind"] == "callback").any(), timeout=PATIENCE
    )
    assert "missed 8" in subscribed.events().filter(kind="callback")["detail"][0]
    assert seen.has(3)  # the one in hand, and two that had room behind it
    assert [update.size > 2_000 for update in seen.items] == [False, True, True]


def test_orders_come_once_as_they_are(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    orders = Collector()
    subscribed.on_order(orders)
    kite.order_update(order_id="1", status="OPEN", tradingsymbol="INFY")
    assert orders.has(1)
    assert orders.items[0].data["order_id"] == "1"
    assert subscribed.orders()["status"].to_list() == ["OPEN"]


def test_messages_come_as_they_were_sent(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    messages = Collector()
    subscribed.on_message(messages)
    kite.step()
    assert messages.has(1)
    (run,) = kp.packets(messages.items[0].data)
    assert run.layout.name == "full"
    assert set(run.packets["instrument_token"].tolist()) <= {INFY, SBIN}


def test_callbacks_rest_with_the_ticker_and_wake_with_it(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    every = Collector()
    subscribed.on_batch(every)
    kite.step()
    assert every.has(2)
    subscribed.stop()
    assert every.has_ended()
    subscribed.start()
    assert every.has(4)  # the snapshots of the new connection


def test_a_callback_that_was_busy_at_the_stop_resumes_after_a_start(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    busy, release, seen = threading.Event(), threading.Event(), Collector()

    @subscribed.on_batch
    def slow(batch: pl.DataFrame) -> None:
        busy.set()
        release.wait(PATIENCE)
        seen(batch)

    kite.step()
    assert busy.wait(PATIENCE)
    subscribed.stop()
    subscribed.start()
    release.set()
    assert seen.has(4)  # the snapshots of the new connection
    kite.step()
    assert seen.has(6)
