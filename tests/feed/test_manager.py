"""The manager against a Kite that behaves: subscriptions, orders, events, life."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kitepolars.errors import CapacityExceeded, ConfigError, NotRunning, UnknownInstrument
from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.feed.manager import TickerManager
from kitepolars.source import ConnectionState
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from feed.conftest import Kite, MakeRig, RecordingSink

TWO = (Account("one", "key_of_one", "token_of_one"), Account("two", "key_of_two", "token_of_two"))


async def test_what_is_wanted_before_the_start_is_subscribed_on_it(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    full, ltp = kite.listed(6)[:3], kite.listed(6)[3:]
    rig.manager.subscribe(full, Mode.FULL)
    rig.manager.subscribe(ltp, Mode.LTP)
    await rig.manager.start()
    wanted = dict.fromkeys(full, Mode.FULL) | dict.fromkeys(ltp, Mode.LTP)
    await kite.happens(lambda kite: kite.subscribed() == wanted)
    await rig.until(lambda: rig.sink.received)
    assert sorted(rig.sink.expected) == sorted(wanted)
    assert len(kite.handshakes) == 1
    received_at, connection, data = rig.sink.received[0]
    assert connection == 0
    assert received_at > 1_700_000_000_000_000
    assert len(data) > 1


async def test_9000_instruments_make_three_times_3000_in_requests_of_500(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    await rig.manager.start()
    rig.manager.subscribe(kite.listed(9_000), Mode.FULL)
    await kite.happens(lambda kite: list(kite.subscribed().values()) == [Mode.FULL] * 9_000)
    assert [len(one.subscriptions) for one in kite.connections] == [3_000] * 3
    assert [one.instruments for one in rig.manager.connections()] == [3_000] * 3
    assert max(len(request.tokens) for request in kite.requests) == 500
    assert len(kite.requests) == 2 * 18
    with pytest.raises(CapacityExceeded):
        rig.manager.subscribe([1], Mode.LTP)
    assert "error" not in rig.kinds()


async def test_two_accounts_take_18_000(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url, *TWO)
    rig.manager.subscribe(kite.listed(18_000), Mode.LTP)
    await rig.manager.start()
    await kite.happens(lambda kite: len(kite.subscribed()) == 18_000)
    assert (
        sorted(one.api_key for one in kite.connections) == ["key_of_one"] * 3 + ["key_of_two"] * 3
    )
    status = rig.manager.connections()
    assert [one.index for one in status] == list(range(6))
    assert [one.account for one in status] == ["one"] * 3 + ["two"] * 3
    assert {one.instruments for one in status} == {3_000}


async def test_modes_and_subscriptions_change_without_reconnecting(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    a, b, c = kite.listed(3)
    await rig.manager.start()
    rig.manager.subscribe([a, b], Mode.FULL)
    rig.manager.subscribe([a, b], Mode.FULL)
    rig.manager.set_mode([a], Mode.LTP)
    rig.manager.subscribe([a, c], Mode.QUOTE)
    rig.manager.unsubscribe([b, 5])
    await kite.happens(lambda kite: kite.subscribed() == {a: Mode.QUOTE, c: Mode.QUOTE})
    asked = [(request.action, request.tokens, request.mode) for request in kite.requests]
    assert asked == [
        ("subscribe", (a, b), None),
        ("mode", (a, b), Mode.FULL),
        ("mode", (a,), Mode.LTP),
        ("mode", (a,), Mode.QUOTE),
        ("subscribe", (c,), None),
        ("unsubscribe", (b,), None),
    ]
    assert rig.sink.expected == [a, b, c]
    assert rig.sink.unsubscribed == [b]
    assert len(kite.handshakes) == 1
    assert rig.manager.subscriptions() == {a: (Mode.QUOTE, 0), c: (Mode.QUOTE, 0)}


async def test_tokens_of_numpy_and_modes_as_text_are_accepted(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    await rig.manager.start()
    tokens: Any = np.array(kite.listed(2), np.uint32)
    mode: Any = "full"
    rig.manager.subscribe(tokens, mode)
    await kite.happens(lambda kite: list(kite.subscribed().values()) == [Mode.FULL] * 2)


@pytest.mark.parametrize("token", [-1, 2**32])
async def test_a_token_that_cannot_be_changes_nothing(make_rig: MakeRig, token: int) -> None:
    manager = make_rig("ws://127.0.0.1:1/").manager
    with pytest.raises(UnknownInstrument, match="32-bit"):
        manager.subscribe([1, token], Mode.LTP)
    with pytest.raises(UnknownInstrument, match="subscribe first"):
        manager.set_mode([1], Mode.LTP)
    assert manager.subscriptions() == {}


async def test_what_is_unsubscribed_while_nothing_is_open_is_forgotten_at_once(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("ws://127.0.0.1:1/")
    rig.manager.subscribe([1, 2], Mode.LTP)
    rig.manager.unsubscribe([2, 3])
    assert rig.sink.unsubscribed == [2]
    assert rig.manager.subscriptions() == {1: (Mode.LTP, 0)}


async def test_an_order_update_is_kept_once_though_three_connections_deliver_it(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    heard: list[object] = []
    rig.manager.on_order(heard.append)
    rig.manager.subscribe(kite.listed(2_001), Mode.LTP)
    await rig.manager.start()
    await rig.until(lambda: rig.manager.stats().texts == 3 * 2)  # each connection's greeting
    kite.order_update(order_id="1", status="OPEN", filled_quantity=0)
    kite.order_update(order_id="1", status="COMPLETE", filled_quantity=1)
    await rig.until(lambda: rig.manager.stats().texts == 3 * 4)
    orders = rig.manager.orders()
    assert [order.data["status"] for order in orders] == ["OPEN", "COMPLETE"]
    assert heard == list(orders)
    assert rig.manager.stats().orders == 2
    assert not isinstance(orders[0].data, dict)


async def test_other_texts_become_events(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    await rig.manager.start()
    kite.send('{"type":"error","data":"Too many"}')
    kite.send('{"type":"message","data":"Markets close early\\n"}')
    kite.send("what is this?")
    await rig.until(lambda: "unknown" in rig.kinds())
    events = {event.kind: event.detail for event in rig.manager.events()}
    assert events["error"] == "Too many"
    assert events["message"] == "Markets close early\\n"
    assert events["unknown"] == "what is this?"
    assert {"instruments_meta", "app_code", "connected"} <= set(events)


async def test_status_and_stats_of_a_running_feed(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(f"{kite.url}?user_id=AB1234")
    assert rig.manager.connections() == ()
    rig.manager.subscribe(kite.listed(5), Mode.FULL)
    await rig.manager.start()
    await rig.until(lambda: rig.sink.received)
    (status,) = rig.manager.connections()
    assert (status.index, status.account, status.url) == (0, "main", kite.url)
    assert (status.state, status.instruments, status.reconnects) == (ConnectionState.OPEN, 5, 0)
    assert status.messages == len(rig.sink.received)
    assert status.bytes == sum(len(data) for _, _, data in rig.sink.received)
    assert status.last_message_at is not None
    assert status.last_message_at >= status.since
    stats = rig.manager.stats()
    assert (stats.connected, stats.instruments, stats.gaps) == (1, 5, 0)
    assert stats.messages == status.messages


async def test_its_repr_is_a_status_line(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(f"{kite.url}?user_id=AB1234")
    rig.manager.subscribe(kite.listed(5), Mode.FULL)
    await rig.manager.start()
    assert repr(rig.manager) == (
        f"<TickerManager {kite.url} accounts=['main'] connected=1 instruments=5>"
    )


async def test_heartbeats_are_counted_and_not_delivered(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    await rig.manager.start()
    kite.send(b"\x00")
    kite.send(b"")
    kite.send(b"\x00\x01")
    await rig.until(lambda: rig.sink.received)
    assert [data for _, _, data in rig.sink.received] == [b"\x00\x01"]
    assert rig.manager.stats().heartbeats >= 2


async def test_a_failing_listener_does_not_affect_the_others(
    kite: Kite, make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(kite.url)

    def broken(_: object) -> None:
        raise RuntimeError("mine")

    leave = rig.manager.on_event(broken)
    rig.manager.on_state(broken)
    await rig.manager.start()
    rig.manager.subscribe(kite.listed(1), Mode.LTP)
    await rig.until(lambda: rig.sink.received)
    assert "a listener failed" in caplog.text
    leave()
    leave()


async def test_start_and_stop_in_any_order(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    manager = rig.manager
    await manager.stop()
    manager.subscribe(kite.listed(2), Mode.LTP)
    for times in (1, 2):
        await manager.start()
        await manager.start()
        assert manager.is_running
        await kite.happens(lambda kite: len(kite.subscribed()) == 2)
        await manager.stop()
        await manager.stop()
        assert not manager.is_running
        assert len(kite.handshakes) == times
        await kite.happens(lambda kite: not any(one.is_open for one in kite.connections))
    assert manager.stats().connected == 0
    assert manager.stats().reconnects == 0
    assert manager.gaps() == ()
    assert [one.state for one in manager.connections()] == [ConnectionState.IDLE]


async def test_a_manager_starts_again_on_another_loop(kite: Kite, make_rig: MakeRig) -> None:
    manager = make_rig(kite.url).manager

    def once() -> None:
        async def life() -> None:
            await manager.start()
            await manager.stop()

        asyncio.run(life())

    await asyncio.to_thread(once)
    await asyncio.to_thread(once)
    await kite.happens(lambda kite: len(kite.handshakes) == 2)


async def test_a_stop_during_the_start_ends_it(make_rig: MakeRig) -> None:
    manager = make_rig("ws://127.0.0.1:1/").manager
    starting = asyncio.create_task(manager.start())
    await asyncio.sleep(0)
    await manager.stop()
    with pytest.raises(NotRunning):
        await starting


@pytest.mark.parametrize(
    ("accounts", "limits"),
    [
        ((), Limits()),
        ((TWO[0], TWO[0]), Limits()),
        (TWO, Limits(connections=200)),
    ],
)
def test_accounts_that_cannot_be_are_refused(
    accounts: tuple[Account, ...], limits: Limits, sink: RecordingSink
) -> None:
    with pytest.raises(ConfigError) as caught:
        TickerManager(accounts, sink=sink, limits=limits)
    assert caught.value.field == "accounts"
    assert "token_of" not in str(caught.value)
