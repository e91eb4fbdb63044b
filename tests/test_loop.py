"""The background event-loop thread: calls, restarts, interrupts, and the end of a process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from kitepolars.errors import NotRunning
from kitepolars.loop import SWITCH_INTERVAL, LoopThread
from patience import PATIENCE
from script import run_script


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("test-loop")
    yield loop
    loop.stop()
    for thread in threading.enumerate():
        if thread.name == "test-loop":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def name() -> str:
    return threading.current_thread().name


def test_calls_run_on_the_loop_thread_while_it_is_there(loop: LoopThread) -> None:
    assert loop.call(name) == name()
    loop.start()
    assert (loop.is_running, loop.call(name)) == (True, "test-loop")
    loop.stop()
    assert (loop.is_running, loop.call(name)) == (False, name())


def test_starting_and_stopping_twice_is_harmless(loop: LoopThread) -> None:
    for _ in range(3):
        loop.start()
        loop.start()
        assert loop.call(name) == "test-loop"
        loop.stop()
        loop.stop()


def test_a_call_from_the_loop_thread_runs_at_once(loop: LoopThread) -> None:
    loop.start()
    assert loop.call(lambda: loop.call(name)) == "test-loop"


def test_a_call_raises_what_the_function_raises(loop: LoopThread) -> None:
    loop.start()
    with pytest.raises(ZeroDivisionError):
        loop.call(lambda: 1 // 0)


def test_coroutines_run_on_the_loop_thread(loop: LoopThread) -> None:
    async def where() -> str:
        await asyncio.sleep(0)
        return name()

    with pytest.raises(NotRunning):
        loop.run(where())
    loop.start()
    assert loop.run(where()) == "test-loop"


def test_a_coroutine_that_takes_too_long_is_cancelled(
    loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, cancelled = threading.Event(), threading.Event()
    submit = loop.submit

    def submit_and_begin(coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        future = submit(coroutine)
        assert started.wait(PATIENCE)
        return future

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    loop.start()
    monkeypatch.setattr(loop, "submit", submit_and_begin)  # the time-out begins after it
    with pytest.raises(TimeoutError):
        loop.run(wait(), timeout=0.01)
    assert cancelled.wait(PATIENCE)


def test_stop_cancels_what_runs(loop: LoopThread) -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    loop.start()
    loop.submit(wait())
    assert started.wait(PATIENCE)
    loop.stop()
    assert cancelled.wait(PATIENCE)


def test_posts_arrive_and_are_dropped_without_a_thread(loop: LoopThread) -> None:
    arrived = threading.Event()
    loop.post(arrived.set)
    assert not arrived.is_set()
    loop.start()
    loop.post(arrived.set)
    assert arrived.wait(PATIENCE)


def test_calls_from_many_threads_are_serialised(loop: LoopThread) -> None:
    count = 0

    def add() -> None:
        nonlocal count
        before = count
        count = before + 1

    def work() -> None:
        for _ in range(500):
            loop.call(add)

    loop.start()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 2_000


def test_threads_take_shorter_turns_while_any_loop_runs(loop: LoopThread) -> None:
    before = sys.getswitchinterval()
    other = LoopThread("other")
    loop.start()
    other.start()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
    loop.stop()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
    other.stop()
    assert sys.getswitchinterval() == before


def test_exit_runs_the_closing_hook() -> None:
    script = """
from kitepolars.loop import SWITCH_INTERVAL, LoopThread
loop = LoopThread()
loop.before_exit = lambda: print("closing", loop.call(lambda: loop.is_current))
loop.start()
"""
    done = run_script(script)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "closing True", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_no_loop_and_ends_while_the_parent_runs() -> None:
    script = """
import os, sys, threading, warnings
from kitepolars.errors import NotRunning
from kitepolars.loop import LoopThread
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks of threaded processes
before = sys.getswitchinterval()
loop = LoopThread()
loop.before_exit = lambda: print("closing in the", "child" if child == 0 else "parent")
loop.start()
child = os.fork()
if child == 0:
    assert not loop.is_running
    assert sys.getswitchinterval() == before
    assert loop.call(threading.current_thread) is threading.current_thread()
    loop.stop()
    try:
        loop.start()
    except NotRunning as error:
        assert "forked" in str(error)
        other = LoopThread()
        other.start()
        assert other.call(lambda: other.is_current)
        sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
print("parent", loop.call(lambda: loop.is_current))
"""
    done = run_script(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["parent True", "closing in the parent", ""]


def test_starts_and_stops_from_many_threads_leave_one_state() -> None:
    loop = LoopThread("contended")
    before = sys.getswitchinterval()

    def work(number: int) -> None:
        for turn in range(20):
            (loop.start if (number + turn) % 2 else loop.stop)()
            loop.call(lambda: None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    loop.stop()
    assert not loop.is_running
    assert sys.getswitchinterval() == before
