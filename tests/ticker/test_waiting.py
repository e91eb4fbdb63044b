"""Waiting for ticks: what is waited for, how long, and what happens meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import kitepolars as kp
from patience import PATIENCE
from script import run_script

from ticker.conftest import INFY, SBIN, MakeTicker  # isort: skip


def test_wait_returns_whether_the_condition_held(ticker: kp.Ticker) -> None:
    ticker.subscribe([INFY, SBIN])
    assert ticker.wait(rows=2, timeout=PATIENCE)
    assert not ticker.wait(rows=3, timeout=0.02)
    assert ticker.wait(until=lambda ticker: ticker.latest().height == 2, timeout=PATIENCE)
    assert not ticker.wait(timeout=0.01)


def test_wait_needs_a_condition_or_a_timeout(ticker: kp.Ticker) -> None:
    with pytest.raises(kp.ConfigError, match="timeout"):
        ticker.wait()


def test_wait_refuses_a_negative_number_of_rows(ticker: kp.Ticker) -> None:
    with pytest.raises(kp.ConfigError, match="rows must be a whole number from 1"):
        ticker.wait(rows=-5)


def test_wait_raises_what_its_condition_raises(ticker: kp.Ticker) -> None:
    ticker.subscribe([INFY])
    with pytest.raises(ZeroDivisionError):
        ticker.wait(until=lambda _: 1 / 0, timeout=PATIENCE)


def test_wait_can_be_interrupted() -> None:
    script = """
import os, signal, threading
import kitepolars as kp
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
with kp.demo(instruments=[]) as ticker:
    waiting = threading.Event()
    def interrupt():
        waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        ticker.wait(until=lambda _: waiting.set(), timeout=60)
    except KeyboardInterrupt:
        print("interrupted", ticker.is_running)
    thread.join()
print("stopped", not ticker.is_running)
"""
    done = run_script(script)
    assert (done.stdout.split(), done.stderr) == (["interrupted", "True", "stopped", "True"], "")


async def test_a_running_event_loop_waits_too(make_ticker: MakeTicker) -> None:
    with make_ticker() as ticker:
        ticker.subscribe([INFY], mode="full")
        assert await ticker.wait_async(rows=1, timeout=PATIENCE)
        assert not await ticker.wait_async(rows=10_000, timeout=0.02)


async def test_a_wait_that_is_cancelled_leaves_no_task(ticker: kp.Ticker) -> None:
    looked = asyncio.Event()
    waiting = asyncio.create_task(ticker.wait_async(until=lambda _: looked.set()))
    await looked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in left if not task.cancelling()] == []


NESTED = """
import asyncio
import warnings
import kitepolars as kp

async def cell():
    turns = 0
    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)
    task = asyncio.ensure_future(other())
    with kp.demo(instruments=["NSE:INFY"]) as ticker:
        with warnings.catch_warnings(action="ignore"):
            ticker.wait(timeout=0.2)
        still = turns
        assert ticker.wait(rows=1, timeout=60, keep_loop=True)
        moved = ticker.wait(until=lambda _: turns > 3, timeout=60, keep_loop=True)
        assert kp.run(asyncio.sleep(0, result=7)) == 7
    task.cancel()
    print(still, moved)

assert not hasattr(asyncio, "_nest_patched")
asyncio.run(cell())
"""


def test_keep_loop_lets_the_callers_tasks_run() -> None:
    done = run_script(NESTED)
    assert (done.stdout.split(), done.stderr) == (["0", "True"], "")


@pytest.mark.parametrize("rows", [-5, 1.5, True])
def test_an_impossible_number_of_rows_is_refused(ticker: kp.Ticker, rows: Any) -> None:
    with pytest.raises(kp.ConfigError, match="rows"):
        ticker.wait(rows=rows)


async def test_blocking_an_event_loop_is_warned_of(ticker: kp.Ticker) -> None:
    with pytest.warns(RuntimeWarning, match="wait_async"):
        assert not ticker.wait(timeout=0.01)
    assert not await ticker.wait_async(timeout=0.01)
