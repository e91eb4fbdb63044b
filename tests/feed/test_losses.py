"""What may be missing: after a loss, after a stall of the loop, after a step of the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kitepolars.feed.limits import Limits
from kitepolars.source import ConnectionState
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from feed.conftest import Kite, MakeRig


async def test_instruments_subscribed_while_their_connection_is_down_are_in_a_gap(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url, limits=Limits(connections=1))
    a, b = kite.listed(2)
    rig.manager.subscribe([a], Mode.FULL)
    await rig.manager.start()
    await rig.until(lambda: rig.sink.received)
    kite.reject(503)
    kite.abort()
    await rig.until(lambda: "refused" in rig.kinds())
    rig.manager.subscribe([a, b], Mode.FULL)
    lost, late = rig.manager.gaps()
    assert (lost.instruments, late.instruments) == (1, 1)
    assert late.started_at > lost.started_at
    assert "subscribed while the connection was down" in late.reason
    kite.accept()
    await rig.until(lambda: all(gap.ended_at for gap in rig.manager.gaps()))
    assert len(rig.manager.gaps()) == 2


async def test_a_loop_that_stood_still_is_a_gap_of_all_instruments(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 2_001)
    before, reads = rig.manager.now(), len(rig.sink.received)
    monkeypatch.setattr("kitepolars.feed.losses.SETTLING", 0.1)
    monkeypatch.setattr(rig.manager._clock, "_deadline", 0)  # the next pulse is overdue
    await rig.until(rig.manager.gaps)
    assert "stalled" in rig.kinds()
    assert [gap.instruments for gap in rig.manager.gaps()] == [667] * 3
    await rig.until(lambda: all(gap.ended_at for gap in rig.manager.gaps()))
    for gap in rig.manager.gaps():
        assert "stood still" in gap.reason
        assert gap.started_at <= before + 10_000_000
        assert gap.ended_at is not None
        assert gap.ended_at >= gap.started_at
    assert len(rig.sink.received) > reads
    assert rig.manager.stats().reconnects == 0


async def test_a_loop_that_stood_still_may_have_missed_order_updates(
    make_rig: MakeRig, quiet_kite: Kite, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(quiet_kite.url)
    await rig.manager.start()
    monkeypatch.setattr("kitepolars.feed.losses.SETTLING", 0.1)
    monkeypatch.setattr(rig.manager._clock, "_deadline", 0)
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    assert [gap.instruments for gap in rig.manager.gaps()] == [0]


async def test_a_clock_set_back_moves_no_row_back_and_is_reported(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    real = rig.manager._clock._wall
    await rig.streaming(kite, 2)
    monkeypatch.setattr(rig.manager._clock, "_wall", lambda: real() - 3_600 * 10**9)
    await rig.until(lambda: "clock" in rig.kinds())
    kite.abort()
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    times = [at for at, _, _ in rig.sink.received]
    assert times == sorted(times)
    (gap,) = rig.manager.gaps()
    assert gap.ended_at is not None
    assert gap.ended_at >= gap.started_at
    told, behind = [event.detail for event in rig.manager.events() if event.kind == "clock"]
    assert "stays 3,6" in told
    assert "behind the server's" in behind
    assert rig.sink.moved == []


async def test_a_clock_set_forward_moves_the_rows_forward_and_is_reported(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    real = rig.manager._clock._wall
    await rig.streaming(kite, 2)
    monkeypatch.setattr("kitepolars.feed.losses.SETTLING", 0.1)
    monkeypatch.setattr(rig.manager._clock, "_wall", lambda: real() + 3_600 * 10**9)
    await rig.until(lambda: "clock" in rig.kinds())
    (moved,) = rig.sink.moved
    assert moved == pytest.approx(3_600e6, abs=60e6)
    count = len(rig.sink.received)
    await rig.until(lambda: len(rig.sink.received) > count)
    assert rig.sink.received[-1][0] - rig.sink.received[0][0] >= moved
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    (gap,) = rig.manager.gaps()  # a virtual machine that was paused looks the same
    assert gap.reason.startswith("the wall clock was set forward")
    assert gap.ended_at is not None
    assert gap.ended_at - gap.started_at >= moved


async def test_a_clock_that_is_set_forward_a_little_is_no_gap(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    real = rig.manager._clock._wall
    await rig.streaming(kite, 2)
    monkeypatch.setattr(rig.manager._clock, "_wall", lambda: real() + 10**9)
    await rig.until(lambda: rig.sink.moved)
    assert [gap for gap in rig.manager.gaps() if "wall clock" in gap.reason] == []


async def test_a_gap_whose_instruments_are_unwanted_ends_with_the_return(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    tokens = await rig.streaming(kite, 2)
    kite.reject(503)
    kite.abort()
    await rig.until(lambda: "refused" in rig.kinds())
    rig.manager.unsubscribe(tokens)
    kite.accept()
    await rig.until(lambda: rig.states() == [ConnectionState.OPEN])
    assert rig.manager.gaps()[0].ended_at is not None
