"""Messages in, ticks out: batching, snapshots after a subscribe, rejections, and torn frames."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from kitepolars.errors import ConfigError
from kitepolars.frames.store import Retention, TickStore
from kitepolars.ledger.events import Events
from kitepolars.loop import LoopThread
from kitepolars.pipeline import LISTENED, Flush, Pipeline, PipelineStats
from kitepolars.source import ClockMoved, Messages, SnapshotsExpected
from kitepolars.wire.layouts import FULL, LTP
from patience import PATIENCE

NOW = 1_700_000_000_000_000


def ltp(*ticks: tuple[int, int]) -> bytes:
    packets = np.array([(LTP.length, tick) for tick in ticks], LTP.framed_dtype)
    return struct.pack(">H", len(ticks)) + packets.tobytes()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def pipeline(events: Events) -> Pipeline:
    return Pipeline(TickStore(), events, Flush(interval=60))


async def test_messages_wait_until_a_flush(pipeline: Pipeline) -> None:
    pipeline.take(Messages(NOW, 1, [ltp((257, 100), (513, 200))]))
    pipeline.take(Messages(NOW + 7, 2, [ltp((257, 101))]))
    assert pipeline.store.held.height == 0
    pipeline.flush()
    frame = pipeline.store.held.frame()
    assert frame["received_at"].dt.epoch("us").to_list() == [NOW, NOW, NOW + 7]
    assert frame["connection"].to_list() == [1, 1, 2]
    assert frame["last_price"].to_list() == [1.0, 2.0, 1.01]
    assert pipeline.stats().ticks == pipeline.stats().packets == 3
    pipeline.flush()
    assert pipeline.store.held.height == 3


async def test_the_timer_flushes_and_listeners_hear_of_it(events: Events) -> None:
    pipeline = Pipeline(TickStore(), events, Flush(interval=0.001))
    published = asyncio.Event()
    unlisten = pipeline.listen(published.set)
    pipeline.take(Messages(NOW, 0, [ltp((257, 100))]))
    await asyncio.wait_for(published.wait(), PATIENCE)
    assert pipeline.store.held.height == 1
    unlisten()
    published.clear()
    pipeline.take(Messages(NOW, 0, [ltp((257, 100))]))
    pipeline.flush()
    assert not published.is_set()


async def test_the_timer_flushes_what_arrives_until_then(
    events: Events,
) -> None:
    arrived = [Messages(NOW + 1, 0, [ltp((257, 101))])]

    def catch_up(then: Callable[[], object]) -> None:
        while arrived:
            timed.take(arrived.pop())
        then()

    timed = Pipeline(TickStore(), events, Flush(interval=0.001), catch_up=catch_up)
    published = asyncio.Event()
    timed.listen(published.set)
    timed.take(Messages(NOW, 0, [ltp((257, 100))]))
    await asyncio.wait_for(published.wait(), PATIENCE)
    assert timed.store.held.frame()["last_price"].to_list() == [1.0, 1.01]


@pytest.mark.parametrize(
    ("flush", "patient", "interval"),
    [
        (None, True, 0.05),
        (None, False, LISTENED),
        (Flush(interval=0.05), False, 0.05),
    ],
)
async def test_flushes_are_more_frequent_by_default_while_anything_listens(
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    flush: Flush | None,
    patient: bool,  # noqa: FBT001 - a parameter of the test
    interval: float,
) -> None:
    loop = asyncio.get_running_loop()
    call_at, scheduled = loop.call_at, list[float]()

    def recorded(when: float, *arguments: Any) -> asyncio.TimerHandle:
        scheduled.append(when)
        return call_at(when, *arguments)

    monkeypatch.setattr(loop, "call_at", recorded)
    pipeline = Pipeline(TickStore(), events, flush)
    told: list[int] = []
    pipeline.listen(lambda: told.append(pipeline.store.held.height), patient=patient)
    before = loop.time()
    pipeline.take(Messages(NOW, 0, [ltp((257, 100))]))
    assert scheduled.pop() <= before + interval  # none was flushed before it: it need not wait
    for _ in range(3):  # turns of the loop
        await asyncio.sleep(0)
    assert told == [pipeline.store.held.height] == [1]
    after = loop.time()
    pipeline.take(Messages(NOW, 0, [ltp((257, 100))]))
    assert before <= scheduled.pop() - interval <= after


async def test_many_bytes_flush_at_once(events: Events) -> None:
    pipeline = Pipeline(TickStore(), events, Flush(interval=60, max_bytes=30))
    pipeline.take(Messages(NOW, 0, [ltp((257, 100))]))
    assert pipeline.store.held.height == 0
    pipeline.take(Messages(NOW, 0, [ltp((257, 100), (513, 2))]))
    assert pipeline.store.held.height == 3


async def test_the_first_tick_after_a_subscribe_is_a_snapshot(pipeline: Pipeline) -> None:
    pipeline.take(Messages(NOW, 0, [ltp((257, 1))]))  # came before the subscribe was sent
    pipeline.take(SnapshotsExpected(NOW, 0, (257, 513, 769)))
    pipeline.take(Messages(NOW, 0, [ltp((257, 2), (257, 3), (1025, 9))]))
    pipeline.take(Messages(NOW, 0, [ltp((513, 4), (257, 5))]))
    pipeline.flush()
    pipeline.take(Messages(NOW, 0, [ltp((513, 6), (769, 7))]))
    pipeline.take(SnapshotsExpected(NOW, 0, (257,)))
    pipeline.take(Messages(NOW, 0, [ltp((257, 8))]))
    pipeline.flush()
    frame = pipeline.store.held.frame()
    paise = (pl.col("last_price") * 100).round()
    assert dict(frame.select(paise, "is_snapshot").rows()) == {
        1: False, 2: True, 3: False, 9: False, 4: True, 5: False, 6: False, 7: True, 8: True,
    }  # fmt: skip


async def test_a_clock_that_was_set_forward_makes_no_tick_older(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.frames.store.SMALLEST_CHUNK", 4)
    hour = 3_600_000_000
    pipeline = Pipeline(TickStore(Retention(max_age=60)), events, Flush(interval=60))
    for at in range(NOW, NOW + 6):
        pipeline.take(Messages(at, 0, [ltp((257, 1))]))  # the last waits when the clock is set
    pipeline.take(ClockMoved(NOW + 6 + hour, hour))
    for at in range(NOW + 7 + hour, NOW + 20 + hour):
        pipeline.take(Messages(at, 0, [ltp((257, 1))]))
    pipeline.flush()
    assert pipeline.store.held.height == 19


async def test_rejections_become_events_with_bytes_and_place(
    pipeline: Pipeline, events: Events
) -> None:
    pipeline.take(Messages(NOW, 0, [ltp((257, 1))]))
    pipeline.take(Messages(NOW, 2, [b"\x00\x02\x00\x03abc\x00\x08\x00\x00\x01"]))
    pipeline.flush()
    stats = pipeline.stats()
    assert (stats.packets, stats.ticks) == (2, 1)
    assert (stats.rejected_packets, stats.rejected_messages, stats.dropped) == (1, 1, 0)
    noted = {(event.kind, event.connection) for event in events.snapshot()}
    assert noted == {("rejected", 2)}
    details = " / ".join(event.detail for event in events.snapshot())
    assert "unknown length: length 3, offset 2, first bytes 61 62 63" in details
    assert "cut message: length 5, offset 7" in details


async def test_an_unknown_segment_is_reported_once(pipeline: Pipeline, events: Events) -> None:
    for _ in range(3):
        pipeline.take(Messages(NOW, 0, [ltp((256 + 77, 12345))]))
        pipeline.flush()
    assert pipeline.store.held.frame()["last_price"].to_list() == [123.45] * 3
    assert [event.kind for event in events.snapshot()] == ["unknown_segment"]


async def test_a_failure_is_counted_and_the_next_messages_are_kept(
    pipeline: Pipeline, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.store, "slots", broken)
        pipeline.take(Messages(NOW, 0, [ltp((257, 1))]))
        pipeline.flush()
    assert pipeline.stats().dropped == 1
    assert [event.kind for event in events.snapshot()] == ["dropped"]
    pipeline.take(Messages(NOW, 0, [ltp((257, 2))]))
    pipeline.flush()
    assert pipeline.store.held.frame()["last_price"].to_list() == [0.02]


@pytest.mark.parametrize("setting", [{"interval": -1}, {"interval": 61}, {"max_bytes": 0}])
def test_wrong_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Flush(**setting)  # type: ignore[arg-type]


FIRST_SECOND = 1_600_000_000


class Exchange:
    """Feeds full ticks whose fields all follow from their number."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.sent = 0
        self.packets = np.zeros(rows, FULL.framed_dtype)
        self.packets["length"] = FULL.length
        self.packets["packet"]["instrument_token"] = np.arange(rows) % 900 << 8 | 1

    def message(self) -> bytes:
        numbers = np.arange(self.sent + 1, self.sent + self.rows + 1)
        packet = self.packets["packet"]
        for field in ("last_price", "volume_traded", "oi"):
            packet[field] = numbers
        packet["exchange_timestamp"] = FIRST_SECOND + numbers
        packet["asks"]["quantity"] = numbers[:, None]
        self.sent += self.rows
        return struct.pack(">H", self.rows) + self.packets.tobytes()


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    loop.start()
    yield loop
    loop.stop()


def assert_whole(frame: pl.DataFrame, last: int) -> None:
    """Every field of the frame's rows is that of the tick's number, without a hole."""
    numbers = pl.Series(range(last - frame.height + 1, last + 1), dtype=pl.UInt32)
    assert (frame["volume_traded"] == numbers).all()
    assert (frame["oi"] == numbers).all()
    assert (frame["last_price"].to_numpy() == numbers.to_numpy() / 100).all()
    assert (frame["exchange_timestamp"].dt.epoch("s") == FIRST_SECOND + numbers).all()
    assert (frame["ask_quantity"].arr.get(4) == numbers).all()


def test_a_thousand_snapshots_during_five_million_ticks(loop: LoopThread, events: Events) -> None:
    rows, messages, snapshots, ahead = 2_000, 2_500, 1_000, 5
    pipeline = Pipeline(TickStore(Retention(max_rows=600_000)), events)
    exchange = Exchange(rows)
    may_send = asyncio.Semaphore(ahead)

    async def feed() -> None:
        for _ in range(messages):
            await may_send.acquire()
            pipeline.take(Messages(NOW, 0, [exchange.message()]))

    fed = loop.submit(feed())
    kept: list[tuple[pl.DataFrame, int]] = []
    previous = 0
    for taken in range(snapshots):
        for _ in range((taken + 1) * messages // snapshots - taken * messages // snapshots):
            loop.post(may_send.release)
        loop.call(pipeline.flush)
        held = pipeline.store.held
        frame = held.frame()
        assert frame.height == held.height
        assert held.total >= previous
        previous = held.total
        assert_whole(frame.tail(3_000), held.total)
        if taken % 100 == 0:
            kept.append((frame, held.total))
    fed.result(PATIENCE)
    loop.call(pipeline.flush)
    assert pipeline.store.held.total == rows * messages == pipeline.stats().ticks
    assert pipeline.store.held.height > 500_000
    assert_whole(pipeline.store.held.frame(), rows * messages)
    for frame, total in kept:
        assert_whole(frame, total)
    assert not events.snapshot()


HOUR = 3_600


def full(*ticks: tuple[int, int, int]) -> bytes:
    """Return full packets of token, exchange time and time of the last trade."""
    packets = np.zeros(len(ticks), FULL.framed_dtype)
    packets["length"] = FULL.length
    for place, (token, exchange, trade) in enumerate(ticks):
        packets["packet"][place]["instrument_token"] = token
        packets["packet"][place]["exchange_timestamp"] = exchange
        packets["packet"][place]["last_trade_time"] = trade
    return struct.pack(">H", len(ticks)) + packets.tobytes()


NOW_S = NOW // 1_000_000


@pytest.mark.parametrize("odd", [1, 86_400, NOW_S + 24 * HOUR, NOW_S + HOUR, 2**32 - 1])
async def test_a_time_that_cannot_be_true_is_null_counted_and_reported(
    pipeline: Pipeline, events: Events, odd: int
) -> None:
    pipeline.take(
        Messages(NOW, 0, [full((257, NOW_S, NOW_S), (513, odd, NOW_S), (769, NOW_S, odd))])
    )
    pipeline.take(Messages(NOW, 0, [ltp((1025, 100))]))
    pipeline.flush()
    frame = pipeline.store.held.frame()
    assert frame["exchange_timestamp"].is_null().to_list() == [False, True, False, True]
    assert frame["last_trade_time"].is_null().to_list() == [False, False, True, True]
    assert pipeline.stats().rejected_times == 2
    details = [event.detail for event in events.snapshot()]
    assert ["exchange_timestamp of instrument 513" in details[0], len(details)] == [True, 2]
    assert "last_trade_time of instrument 769" in details[1]


async def test_old_times_of_a_snapshot_and_small_differences_of_clocks_are_kept(
    pipeline: Pipeline, events: Events
) -> None:
    month = NOW_S - 30 * 24 * HOUR
    pipeline.take(Messages(NOW, 0, [full((257, month, month), (513, NOW_S + 5 * 60, NOW_S))]))
    pipeline.flush()
    assert pipeline.store.held.frame()["exchange_timestamp"].null_count() == 0
    assert not events.snapshot()


async def test_where_most_times_are_ahead_it_is_this_machine_that_is_slow(
    pipeline: Pipeline, events: Events
) -> None:
    ahead = NOW_S + 19_800
    ticks = [(257 + 256 * n, ahead, ahead - n) for n in range(40)]
    pipeline.take(Messages(NOW, 0, [full(*ticks, (257, ahead + 24 * HOUR, 0))]))
    pipeline.flush()
    frame = pipeline.store.held.frame()
    assert frame["exchange_timestamp"].is_null().to_list() == [False] * 40 + [True]
    assert frame["last_trade_time"].null_count() == 1
    assert pipeline.stats().rejected_times == 1
    assert any("this machine's clock is slow" in event.detail for event in events.snapshot())


@pytest.mark.parametrize("odd", [NOW_S + 24 * HOUR, NOW_S + 13 * HOUR, 2**32 - 1, 1])
async def test_times_of_another_day_are_null_even_where_all_are(
    pipeline: Pipeline, odd: int
) -> None:
    pipeline.take(Messages(NOW, 0, [full(*((257 + 256 * n, odd, NOW_S) for n in range(40)))]))
    pipeline.take(Messages(NOW, 0, [full((257, NOW_S + HOUR, NOW_S))]))
    pipeline.flush()
    assert pipeline.store.held.frame()["exchange_timestamp"].null_count() == 41
    assert pipeline.stats().rejected_times == 41


async def test_wrong_times_are_described_a_few_times_and_all_counted(
    pipeline: Pipeline, events: Events
) -> None:
    for _ in range(50):
        pipeline.take(Messages(NOW, 0, [full((257, 1, NOW_S))]))
        pipeline.flush()
    assert pipeline.stats().rejected_times == 50
    assert len(events.snapshot()) == 10


async def test_a_cleared_pipeline_has_counted_nothing(pipeline: Pipeline) -> None:
    ahead = NOW_S + 19_800
    pipeline.take(Messages(NOW, 0, [full(*((257, ahead, 1) for _ in range(40)))]))
    pipeline.flush()
    assert pipeline.stats().rejected_times > 0
    pipeline.clear()
    assert pipeline.stats() == PipelineStats()
    pipeline.take(Messages(NOW, 0, [full((257, ahead, NOW_S))]))
    pipeline.flush()
    assert pipeline.store.held.frame()["exchange_timestamp"].null_count() == 1
