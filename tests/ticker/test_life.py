"""Start, stop, and everything a notebook does in the wrong order, twice, and from other threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from patience import PATIENCE
from script import run_script

from ticker.conftest import INFY, SBIN, MakeTicker  # isort: skip


def test_start_returns_connected(make_ticker: MakeTicker, kite: SimulatedKite) -> None:
    ticker = make_ticker()
    assert not ticker.is_running
    assert ticker.start() is ticker
    assert ticker.is_running
    assert ticker.stats().connected == 1
    assert ticker.connections()["state"].to_list() == ["open"]
    assert kite.wait_for(lambda kite: [shake.status for shake in kite.handshakes] == [101])


def test_running_cells_again_is_harmless(make_ticker: MakeTicker, kite: SimulatedKite) -> None:
    ticker = make_ticker()
    for _ in range(3):
        ticker.start()
        ticker.subscribe(["NSE:INFY", SBIN], mode="full")
    assert kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
    assert len(kite.handshakes) == 1
    for _ in range(2):
        ticker.stop()
    assert not ticker.is_running
    ticker.start()
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full", SBIN: "full"})


def test_a_newer_ticker_takes_over_the_accounts_connections(
    make_ticker: MakeTicker, kite: SimulatedKite
) -> None:
    older = make_ticker().start()
    other_account = make_ticker(api_key="another").start()
    newer = make_ticker().start()
    newer.subscribe([INFY])
    assert kite.wait_for(lambda kite: len(kite.subscribed()) == 1)
    assert (older.is_running, other_account.is_running, newer.is_running) == (False, True, True)
    assert "replaced" in older.events()["kind"].to_list()


def test_tickers_that_leave_room_for_each_other_live_side_by_side(make_ticker: MakeTicker) -> None:
    one = make_ticker(limits=kp.Limits(connections=1)).start()
    two = make_ticker(limits=kp.Limits(connections=2)).start()
    assert one.is_running
    assert two.is_running


def test_in_a_notebook_a_demonstration_replaces_the_one_before() -> None:
    script = """
import threading
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import kitepolars as kp")
for _ in range(3):
    shell.run_cell("ticker = kp.demo(instruments=['NSE:INFY'])")
    shell.run_cell("kept = globals().setdefault('kept', []); kept.append(ticker)")
shell.run_cell("print([one.is_running for one in kept])")
loops = [t for t in threading.enumerate() if t.name == "kitepolars"]
for loop in loops[:-1]:
    loop.join(60)
print(sum(loop.is_alive() for loop in loops))
"""
    done = run_script(script)
    assert done.stdout.splitlines() == ["[False, False, True]", "1"], done.stderr


def test_subscriptions_before_start_and_after_stop_are_remembered(
    make_ticker: MakeTicker, kite: SimulatedKite
) -> None:
    ticker = make_ticker()
    ticker.subscribe("NSE:INFY", mode="ltp")
    assert ticker.subscriptions()["mode"].to_list() == ["ltp"]
    ticker.start()
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "ltp"})
    ticker.stop()
    ticker.set_mode("NSE:INFY", "full")
    with pytest.warns(RuntimeWarning, match=r"is stopped.*start\(\)"):
        ticker.subscribe(SBIN)
    ticker.start()
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full", SBIN: "quote"})


def test_ticks_stay_readable_after_stop(ticker: kp.Ticker, kite: SimulatedKite) -> None:
    ticker.subscribe([INFY], mode="full")
    assert ticker.wait(rows=1, timeout=PATIENCE)
    kite.step()
    assert ticker.wait(rows=2, timeout=PATIENCE)
    ticker.stop()
    frame = ticker.frame()
    assert frame["is_snapshot"].to_list() == [True, False]
    assert frame["symbol"].to_list() == ["NSE:INFY"] * 2
    assert ticker.latest().height == 1
    assert ticker.lazy().collect().equals(frame)


def test_a_with_block_starts_and_stops(make_ticker: MakeTicker) -> None:
    with make_ticker() as ticker:
        assert ticker.is_running
    assert not ticker.is_running


def test_expired_token_is_fatal_and_a_new_one_resumes(
    make_ticker: MakeTicker, kite: SimulatedKite
) -> None:
    ticker = make_ticker(access_token="expired")
    ticker.subscribe([INFY])
    with pytest.raises(kp.AuthenticationError, match="06:00 IST"):
        ticker.start()
    assert not ticker.is_running
    assert [handshake.status for handshake in kite.handshakes] == [403]
    ticker.set_access_token("fresh")
    ticker.start()
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "quote"})


def test_a_missing_server_is_reported_in_time(make_ticker: MakeTicker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        ticker = make_ticker(
            url=f"ws://127.0.0.1:{taken.getsockname()[1]}/",
            reconnect=kp.ReconnectPolicy(initial_delay=0.01, connect_timeout=0.3),
        )
        with pytest.raises(kp.ConnectionLost) as caught:
            ticker.start()
    assert caught.value.attempts >= 1
    assert not ticker.is_running
    assert ticker.frame().height == 0


def test_a_server_that_answers_nothing_cannot_delay_stop(
    ticker: kp.Ticker, kite: SimulatedKite
) -> None:
    kite.silence(on=True)
    ticker.stop()
    assert not ticker.is_running


def test_stop_does_not_wait_for_a_start_that_gets_no_answer(make_ticker: MakeTicker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts, and says nothing
        ticker = make_ticker(url=f"ws://127.0.0.1:{mute.getsockname()[1]}/")
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(ticker.start)
            peer, _ = mute.accept()
            with peer:
                ticker.stop()
            with pytest.raises(kp.NotRunning):
                starting.result(PATIENCE)
    assert not ticker.is_running


def test_every_method_works_from_any_thread(ticker: kp.Ticker, kite: SimulatedKite) -> None:
    tokens = ticker.instruments.frame["instrument_token"].head(400).to_list()

    def work(number: int) -> int:
        mine = tokens[number * 50 : (number + 1) * 50]
        for mode in ("ltp", "full", "quote"):
            ticker.subscribe(mine, mode=mode)
            ticker.frame()
            ticker.stats()
        ticker.unsubscribe(mine[:25])
        return ticker.subscriptions().height

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    subscribed = ticker.subscriptions()["instrument_token"]
    assert len(subscribed) == 200
    assert kite.wait_for(lambda kite: kite.subscribed() == dict.fromkeys(subscribed, "quote"))


def test_a_script_that_never_stops_ends_cleanly() -> None:
    script = """
import kitepolars as kp
ticker = kp.demo(instruments=["NSE:INFY"])
ticker.wait(rows=2, timeout=60)
frame = ticker.frame()
print(frame.height >= 2)
"""
    done = run_script(script)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "True", "")


def test_ten_lines_fill_every_column_of_the_contract() -> None:
    with kp.demo(rate=5) as ticker:
        assert ticker.wait(rows=60, timeout=PATIENCE)
        frame = ticker.frame()
    assert [name for name in frame.columns if frame[name].null_count() == frame.height] == []


def test_constructing_starts_nothing(make_ticker: MakeTicker) -> None:
    before = set(threading.enumerate())
    ticker = make_ticker()
    ticker.subscribe([INFY])
    ticker.stats()
    assert set(threading.enumerate()) <= before


async def test_no_event_loop_of_the_caller_is_touched(make_ticker: MakeTicker) -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks(loop)
    with make_ticker() as ticker:
        ticker.subscribe([INFY])
        with pytest.warns(RuntimeWarning, match="wait_async"):
            ticker.wait(rows=1, timeout=PATIENCE)
    assert asyncio.all_tasks(loop) == tasks
    assert not hasattr(asyncio, "_nest_patched")
