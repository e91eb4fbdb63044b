"""The links of a manager against a Kite that fails: aborts, silence, refusals, failover, gaps."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kitepolars.errors import AuthenticationError, ConnectionLost
from kitepolars.feed.account import Account
from kitepolars.feed.connection import Connection, open_connection
from kitepolars.feed.limits import Limits
from kitepolars.feed.reconnect import Failure, ReconnectPolicy
from kitepolars.ledger.connections import ConnectionStatus
from kitepolars.source import ConnectionState, Messages, Record, SnapshotsExpected
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from feed.conftest import Clock, Kite, MakeRig, Rig

QUICK = ReconnectPolicy(initial_delay=0.02, max_delay=0.2, silence=60.0, connect_timeout=60.0)
SMALL = Limits(connections=3, instruments_per_connection=10)
NOWHERE = "ws://127.0.0.1:1/"


async def test_an_aborted_connection_is_restored_and_the_gap_is_reported(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    tokens = await rig.streaming(kite, 3)
    rig.manager.set_mode(tokens[:1], Mode.LTP)
    kite.abort()
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    wanted = {tokens[0]: Mode.LTP, tokens[1]: Mode.FULL, tokens[2]: Mode.FULL}
    await kite.happens(lambda kite: kite.subscribed() == wanted)
    (gap,) = rig.manager.gaps()
    assert gap.ended_at is not None
    times = [at for at, _, _ in rig.sink.received]
    assert gap.started_at >= max(at for at in times if at < gap.ended_at)
    assert gap.ended_at in times
    assert (gap.connection, gap.account, gap.instruments) == (0, "main", 3)
    assert gap.reason.startswith("closed (code 1006")  # reset, where the server had not read all
    assert rig.sink.expected == tokens * 2
    (status,) = rig.manager.connections()
    assert status.reconnects == rig.manager.stats().reconnects == 1
    assert rig.count("disconnected") == 1
    assert rig.count("connected") == 2


async def test_changes_made_while_disconnected_take_effect_on_return(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    a, b, c, d = await rig.streaming(kite, 4)
    e = kite.listed(5)[4]
    kite.reject(503)
    kite.abort()
    await rig.until(lambda: "refused" in rig.kinds())
    rig.manager.set_mode([a], Mode.LTP)
    rig.manager.subscribe([b, e], Mode.QUOTE)
    rig.manager.unsubscribe([c])
    assert rig.sink.unsubscribed == [c]
    requests = len(kite.requests)
    kite.accept()
    wanted = {a: Mode.LTP, b: Mode.QUOTE, d: Mode.FULL, e: Mode.QUOTE}
    await kite.happens(lambda kite: kite.subscribed() == wanted)
    subscribed = [r.tokens for r in kite.requests[requests:] if r.action == "subscribe"]
    assert sorted(token for tokens in subscribed for token in tokens) == sorted(wanted)
    assert "HTTP 503" in next(e.detail for e in rig.manager.events() if e.kind == "refused")


@pytest.mark.parametrize("pongs", [True, False])
async def test_a_silent_connection_is_replaced(
    kite: Kite, make_rig: MakeRig, clock: Clock, *, pongs: bool
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 1)
    kite.silence(pongs=pongs)
    await clock.run(QUICK.silence + 5)  # what was under way arrives in the first turns
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    assert rig.manager.gaps()[0].reason.startswith("silent for 6")
    assert rig.manager.stats().reconnects == 1


async def test_heartbeats_are_signs_of_life(
    make_rig: MakeRig, quiet_kite: Kite, clock: Clock
) -> None:
    rig = make_rig(quiet_kite.url)
    await rig.manager.start()
    for _ in range(3):
        await clock.run(QUICK.silence * 0.7)
        heard = rig.manager.stats().heartbeats
        await rig.until(lambda: rig.manager.stats().heartbeats > heard)  # noqa: B023
    assert rig.manager.stats().reconnects == 0


async def test_a_loop_that_stood_still_is_not_taken_for_a_silent_server(
    make_rig: MakeRig, quiet_kite: Kite, clock: Clock
) -> None:
    rig = make_rig(quiet_kite.url)
    await rig.manager.start()
    for _ in range(2):
        sent = quiet_kite.connections[0].messages_sent
        quiet_kite.wait_for(lambda kite: kite.connections[0].messages_sent > sent)  # noqa: B023
        clock.jump(QUICK.silence * 2)  # what a cell does that holds the interpreter lock
        await clock.run(2.0)
        await quiet_kite.happens(lambda kite: kite.connections[0].messages_sent > sent + 1)  # noqa: B023
    assert rig.manager.stats().reconnects == 0


async def test_a_token_that_expires_while_a_connection_lives_is_tried_once(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url, limits=SMALL)
    tokens = await rig.streaming(kite, 15)
    kite.expire_tokens()
    for connection in kite.connections[1:]:
        kite.abort(connection.id)
    await rig.until(lambda: rig.states().count(ConnectionState.EXPIRED) == 2)
    assert [shake.status for shake in kite.handshakes].count(403) == 1
    assert sorted(one.instruments for one in rig.manager.connections()) == [0, 5, 10]
    assert rig.manager.stats().connected == 1
    rig.manager.set_access_token("the token of today")
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.FULL))
    await rig.until(lambda: rig.states() == [ConnectionState.OPEN] * 3)
    assert sum(shake.status == 101 for shake in kite.handshakes) == 5


async def test_a_server_that_accepts_and_drops_is_called_a_few_times_only(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url, reconnect=replace(QUICK, max_attempts=4))
    await rig.streaming(kite, 1)
    kite.flap()
    kite.abort()
    await rig.until(lambda: rig.states() == [ConnectionState.FAILED])
    assert len(kite.handshakes) == 4
    error = rig.manager.error()
    assert isinstance(error, ConnectionLost)
    assert error.attempts == 4
    assert "given up after 4 attempts" in rig.manager.events()[-1].detail
    kite.accept()
    await rig.manager.start()
    await rig.until(lambda: rig.manager.gaps()[0].ended_at)
    assert rig.manager.error() is None


async def test_an_expired_token_is_tried_once_however_many_connections_want_it(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    tokens = await rig.streaming(kite, 2_001)
    kite.expire_tokens()
    kite.abort()
    await rig.until(lambda: rig.states() == [ConnectionState.EXPIRED] * 3)
    assert [shake.status for shake in kite.handshakes] == [101] * 3 + [403]
    error = rig.manager.error()
    assert isinstance(error, AuthenticationError)
    assert "06:00 IST" in str(error)
    assert "HTTP 403: Incorrect `api_key` or `access_token`" in str(error)
    assert [event.detail for event in rig.manager.events() if event.kind == "expired"] == [
        str(error)
    ]
    assert [gap.ended_at for gap in rig.manager.gaps()] == [None] * 3
    with pytest.raises(AuthenticationError):
        await rig.manager.start()
    assert rig.manager.is_running
    assert len(kite.handshakes) == 4

    rig.manager.set_access_token("the token of today")
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.FULL))
    await rig.until(lambda: all(gap.ended_at for gap in rig.manager.gaps()))
    assert rig.manager.error() is None
    assert rig.states() == [ConnectionState.OPEN] * 3


async def test_what_is_subscribed_while_expired_is_there_afterwards(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 1)
    kite.expire_tokens()
    kite.abort()
    await rig.until(lambda: rig.manager.error() is not None)
    tokens = kite.listed(3_001)
    rig.manager.subscribe(tokens, Mode.LTP)
    rig.manager.set_access_token("the token of today")
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.LTP))
    assert [shake.status for shake in kite.handshakes].count(403) == 1


@pytest.mark.parametrize("status", [403, 400])
async def test_refused_credentials_end_the_start_at_once(
    kite: Kite, make_rig: MakeRig, status: int
) -> None:
    rig = make_rig(kite.url)
    rig.manager.subscribe(kite.listed(9_000), Mode.FULL)
    kite.reject(status)
    with pytest.raises(AuthenticationError, match=rf"HTTP {status}.*06:00 IST") as caught:
        await rig.manager.start()
    assert len(kite.handshakes) == 1
    assert not rig.manager.is_running
    assert caught.value.__cause__ is None
    kite.accept()
    rig.manager.set_access_token("a better one")
    await rig.manager.start()
    await kite.happens(lambda kite: len(kite.subscribed()) == 9_000)


async def test_one_account_of_two_that_expires_leaves_its_instruments_to_the_other(
    kite: Kite, make_rig: MakeRig
) -> None:
    accounts = (Account("one", "key_of_one", "good"), Account("two", "key_of_two", "expired"))
    rig = make_rig(kite.url, *accounts)
    with pytest.raises(AuthenticationError, match="'two'"):
        await rig.manager.start(strict=True)
    assert not rig.manager.is_running
    rig.manager.set_access_token("better", "two")
    tokens = await rig.streaming(kite, 10)
    assert [one.instruments for one in rig.manager.connections()] == [5, 5]
    kite.reject(403, times=1)
    kite.abort(
        next(one.id for one in kite.connections if one.api_key == "key_of_two" and one.is_open)
    )
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[-1].ended_at)
    assert rig.manager.error("one") is None
    assert isinstance(rig.manager.error("two"), AuthenticationError)
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.FULL))
    assert [one.instruments for one in rig.manager.connections()] == [10, 0]
    (gap,) = rig.manager.gaps()
    assert (gap.account, gap.connection, gap.instruments) == ("two", 3, 5)


async def test_an_account_that_is_refused_at_the_start_does_not_stop_the_other(
    kite: Kite, make_rig: MakeRig
) -> None:
    accounts = (Account("one", "key_of_one", "good"), Account("two", "key_of_two", "expired"))
    rig = make_rig(kite.url, *accounts)
    tokens = kite.listed(10)
    rig.manager.subscribe(tokens, Mode.FULL)
    await rig.manager.start()
    await kite.happens(lambda kite: len(kite.subscribed()) == 10)
    assert isinstance(rig.manager.error("two"), AuthenticationError)
    assert [one.instruments for one in rig.manager.connections()] == [10, 0]
    (told,) = [event.detail for event in rig.manager.events() if event.kind == "expired"]
    assert "'two'" in told
    rig.manager.set_access_token("better", "two")
    await rig.until(lambda: rig.states() == [ConnectionState.OPEN] * 2)
    assert kite.subscribed().keys() == set(tokens)


async def test_a_start_fails_when_every_account_is_refused(kite: Kite, make_rig: MakeRig) -> None:
    accounts = (Account("one", "key_of_one", "expired"), Account("two", "key_of_two", "expired"))
    rig = make_rig(kite.url, *accounts)
    with pytest.raises(AuthenticationError, match="'one'"):
        await rig.manager.start()
    assert not rig.manager.is_running


async def test_an_account_that_is_not_connected_in_time_is_still_retried(
    kite: Kite, make_rig: MakeRig, clock: Clock
) -> None:
    accounts = (Account("one", "key_of_one", "good"), Account("two", "key_of_two", "good"))
    patient = replace(QUICK, initial_delay=30.0, max_delay=30.0, silence=600.0)
    rig = make_rig(kite.url, *accounts, reconnect=patient)
    kite.reject(503, times=1)
    starting = asyncio.create_task(rig.manager.start())
    await rig.until(lambda: rig.manager.stats().connected == 1 and "refused" in rig.kinds())
    clock.jump(QUICK.connect_timeout)
    await starting
    (told,) = [event.detail for event in rig.manager.events() if event.kind == "start"]
    assert "no connection within 60 s" in told
    clock.jump(30.0)
    await rig.until(lambda: rig.manager.stats().connected == 2)


@pytest.mark.parametrize(
    ("hours", "told"), [(1, "3,6.. s ahead of the server's"), (-1, "3,6.. s behind the server's")]
)
async def test_a_clock_that_differs_from_the_servers_is_reported_once(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, hours: int, told: str
) -> None:
    rig = make_rig(kite.url)
    real = rig.manager._clock._wall
    monkeypatch.setattr(rig.manager._clock, "_wall", lambda: real() + hours * 3_600 * 10**9)
    await rig.streaming(kite, 2_001)
    kite.abort()
    await rig.until(lambda: rig.manager.stats().reconnects == 3)
    (detail,) = [event.detail for event in rig.manager.events() if event.kind == "clock"]
    assert re.search(told.replace("3,6", "3,[56]"), detail)


async def test_a_clock_that_agrees_with_the_servers_is_not_mentioned(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 2)
    assert rig.manager._links.all[0].server_time is not None
    assert "clock" not in rig.kinds()


async def test_too_many_connections_wait_longer_and_their_instruments_move(
    make_rig: MakeRig, narrow_kite: Kite
) -> None:
    kite = narrow_kite
    rig = make_rig(kite.url, reconnect=replace(QUICK, initial_delay=15.0, max_delay=60.0))
    tokens = kite.listed(2_001)
    rig.manager.subscribe(tokens, Mode.LTP)
    await rig.manager.start()
    await kite.happens(lambda kite: len(kite.subscribed()) == 2_001)
    assert [shake.status for shake in kite.handshakes] == [101, 101, 429]
    assert rig.states() == [ConnectionState.OPEN, ConnectionState.OPEN, ConnectionState.WAITING]
    assert [one.instruments for one in rig.manager.connections()] == [1_001, 1_000, 0]
    (refused,) = [event for event in rig.manager.events() if event.kind == "refused"]
    assert "HTTP 429" in refused.detail
    assert float(refused.detail.split()[-2]) >= 30.0
    assert kite.subscribed().keys() == set(tokens)


async def test_a_start_outlasts_passing_errors(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    kite.reject(503, times=2)
    await rig.manager.start()
    assert [shake.status for shake in kite.handshakes] == [503, 503, 101]
    assert rig.manager.gaps() == ()


async def test_a_start_ends_when_the_attempts_are_exhausted(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url, reconnect=replace(QUICK, max_attempts=2))
    kite.reject(502)
    with pytest.raises(ConnectionLost, match=r"'main'.*HTTP 502") as caught:
        await rig.manager.start()
    assert caught.value.attempts == 2
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert len(kite.handshakes) == 2
    assert not rig.manager.is_running


async def test_a_start_ends_when_nothing_answers_in_time(make_rig: MakeRig, clock: Clock) -> None:
    rig = make_rig(NOWHERE, reconnect=replace(QUICK, initial_delay=30.0, max_delay=30.0))
    starting = asyncio.create_task(rig.manager.start())
    await rig.until(lambda: "refused" in rig.kinds())
    clock.jump(QUICK.connect_timeout)
    with pytest.raises(ConnectionLost, match="within 60 s") as caught:
        await starting
    assert caught.value.attempts >= 1
    assert "ConnectionRefusedError" in str(caught.value.__cause__)
    assert rig.states() == [ConnectionState.IDLE]


async def test_a_lost_connections_instruments_move_to_others(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url, limits=SMALL)
    tokens = await rig.streaming(kite, 15)
    assert [one.instruments for one in rig.manager.connections()] == [5, 5, 5]
    kite.reject(503)
    kite.abort(1)
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.FULL))
    await rig.until(lambda: rig.manager.gaps() and all(g.ended_at for g in rig.manager.gaps()))
    assert sorted(one.instruments for one in rig.manager.connections()) == [0, 7, 8]
    (gap,) = rig.manager.gaps()  # it belongs to the instruments, wherever they are now
    assert (gap.connection, gap.instruments) == (1, 5)
    assert gap.reason == "closed (code 1006)"
    assert rig.count("failover") == 2
    kite.accept()
    await rig.until(lambda: rig.states() == [ConnectionState.OPEN] * 3)
    assert kite.subscribed() == dict.fromkeys(tokens, Mode.FULL)


async def test_without_room_they_wait_and_come_back_with_the_connection(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url, limits=SMALL)
    tokens = await rig.streaming(kite, 30)
    kite.reject(503)
    kite.abort(1)
    await rig.until(lambda: rig.count("refused") >= 3)
    (gap,) = rig.manager.gaps()
    assert (gap.ended_at, gap.instruments) == (None, 10)
    kite.accept()
    await rig.until(lambda: rig.manager.gaps()[0].ended_at)
    await kite.happens(lambda kite: kite.subscribed() == dict.fromkeys(tokens, Mode.FULL))
    assert [one.instruments for one in rig.manager.connections()] == [10, 10, 10]
    assert rig.count("failover") == 0


async def test_a_stop_ends_open_gaps_and_attempts(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 2)
    kite.reject(503)
    kite.abort()
    await rig.until(lambda: "refused" in rig.kinds())
    await rig.manager.stop()
    assert [gap.ended_at is None for gap in rig.manager.gaps()] == [False]
    assert rig.states() == [ConnectionState.IDLE]


async def test_a_stop_does_not_wait_for_the_server(
    kite: Kite, make_rig: MakeRig, clock: Clock
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 2_001)
    kite.silence(pongs=False)
    stopping = asyncio.create_task(rig.manager.stop())
    await clock.run(2.0, turn=0.01)
    assert stopping.done()
    assert rig.states() == [ConnectionState.IDLE] * 3


async def test_a_close_by_the_server_is_a_loss_like_any_other(
    kite: Kite, make_rig: MakeRig
) -> None:
    rig = make_rig(kite.url)
    await rig.streaming(kite, 1)
    kite.close(code=1001, reason="maintenance\n")
    await rig.until(lambda: rig.manager.gaps() and rig.manager.gaps()[0].ended_at)
    assert rig.manager.gaps()[0].reason == "closed (code 1001: maintenance\\n)"


async def test_listeners_get_states_as_they_change(kite: Kite, make_rig: MakeRig) -> None:
    rig = make_rig(kite.url)
    told: list[ConnectionStatus] = []
    rig.manager.on_state(told.append)
    await rig.streaming(kite, 1)
    kite.abort()
    await rig.until(lambda: rig.manager.stats().reconnects == 1)
    await rig.manager.stop()
    assert [status.state.value for status in told] == [
        "connecting",
        "open",
        "waiting",
        "connecting",
        "open",
        "idle",
    ]


def fail_once(
    rig: Rig, kind: type[Messages | SnapshotsExpected], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """Let the sink fail at the next record of a kind; return where the loop's faults are put."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    take = rig.sink.take

    def broken(record: Record) -> None:
        if isinstance(record, kind):
            monkeypatch.undo()
            raise RuntimeError("no more memory")  # noqa: TRY004
        take(record)

    monkeypatch.setattr(rig.sink, "take", broken)
    return told


async def test_a_failing_sink_ends_its_connection_but_not_the_feed(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    told = fail_once(rig, Messages, monkeypatch)
    rig.manager.subscribe(kite.listed(1), Mode.LTP)
    await rig.manager.start()
    await rig.until(lambda: rig.sink.received)
    assert isinstance(told[0]["exception"], RuntimeError)
    assert rig.manager.stats().reconnects == 1


async def test_a_failing_writer_ends_its_connection_but_not_the_feed(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    told = fail_once(rig, SnapshotsExpected, monkeypatch)
    tokens = kite.listed(1)
    rig.manager.subscribe(tokens, Mode.LTP)
    await rig.manager.start()
    await rig.until(lambda: rig.sink.received)
    assert [str(context["exception"]) for context in told] == ["no more memory"]
    assert rig.sink.expected == tokens
    assert rig.manager.stats().reconnects == 1


async def test_a_defect_in_the_feed_is_reported_and_a_new_start_recovers(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    await rig.streaming(kite, 1)

    def broken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("a defect")

    monkeypatch.setattr(rig.manager._links, "ended", broken)
    kite.abort()
    await rig.until(lambda: rig.states() == [ConnectionState.FAILED])
    assert [str(context["exception"]) for context in told] == ["a defect"]
    assert isinstance(rig.manager.error(), ConnectionLost)
    assert "defect: RuntimeError" in str(rig.manager.error())
    await rig.manager.start()
    await rig.until(lambda: rig.manager.stats().reconnects == 1)


async def test_a_refusal_of_the_old_token_does_not_count_against_the_new_one(
    kite: Kite, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(kite.url)
    kite.reject(403, times=1)

    async def open_and_be_overtaken(*arguments: Any, **options: Any) -> Connection | Failure:
        opened = await open_connection(*arguments, **options)
        monkeypatch.undo()
        rig.manager.set_access_token("the token of today")
        return opened

    monkeypatch.setattr("kitepolars.feed.connection.open_connection", open_and_be_overtaken)
    await rig.manager.start()
    assert [shake.status for shake in kite.handshakes] == [403, 101]
    assert rig.manager.error() is None
