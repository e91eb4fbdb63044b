"""A source, its thread and what it fills: start and stop from any thread, and companions."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import kitepolars as kp
from kitepolars.feed.limits import Limits
from kitepolars.instruments import Instruments
from kitepolars.sim import SimulatedKite
from kitepolars.source import Event, Messages, Source
from kitepolars.ticker.runtime import Runtime
from patience import PATIENCE
from script import run_script

from ticker.conftest import INFY, MakeTicker  # isort: skip

TOKEN = "s3cr3t-t0ken"


class Recording(Source):
    """A source that delivers what a test gives it."""

    def __init__(self, failing: BaseException | None = None) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._failing = failing

    def now(self) -> int:
        return 1_700_000_000_000_000

    async def start(self) -> None:
        self.calls.append("start")
        if self._failing is not None:
            raise self._failing
        self.deliver(Messages(self.now(), 0, [b"\x00\x01\x00\x08\x00\x00\x01\x01\x00\x00\x00\x64"]))

    async def stop(self) -> None:
        self.calls.append("stop")


class Companion:
    """Something that starts and stops with a ticker."""

    def __init__(self, on_start: Callable[[], object] = lambda: None) -> None:
        self.calls: list[str] = []
        self._on_start = on_start

    def start(self) -> None:
        self.calls.append("start")
        self._on_start()

    def stop(self) -> None:
        self.calls.append("stop")


def test_companions_and_the_host_start_and_stop_with_the_source() -> None:
    source, host, companion = Recording(), Companion(), Companion()
    runtime = Runtime(source, host=host)
    runtime.companions.append(companion)
    runtime.start()
    assert runtime.held().height == 1
    assert runtime.stats().messages == 1
    runtime.stop()
    assert source.calls == host.calls == companion.calls == ["start", "stop"]


def test_a_source_that_does_not_start_leaves_nothing_running() -> None:
    source, host, companion = Recording(ValueError("no good")), Companion(), Companion()
    runtime = Runtime(source, host=host)
    runtime.companions.append(companion)
    with pytest.raises(ValueError, match="no good"):
        runtime.start()
    assert not runtime.is_running
    assert (host.calls, companion.calls) == (["start", "stop"], ["stop"])


def test_a_host_that_does_not_start_leaves_nothing_running() -> None:
    def fail() -> None:
        raise OSError("address already in use")

    source, host = Recording(), Companion(fail)
    runtime = Runtime(source, host=host)
    with pytest.raises(OSError, match="in use"):
        runtime.start()
    assert not runtime.is_running
    assert source.calls == ["stop"]


def test_a_stop_that_comes_before_the_companions_start_ends_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime, companion = Runtime(Recording()), Companion()
    runtime.companions.append(companion)
    run = runtime._loop.run

    def run_and_be_stopped(coroutine: Any) -> None:
        run(coroutine)
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(runtime.stop).result(PATIENCE)

    monkeypatch.setattr(runtime._loop, "run", run_and_be_stopped)
    with pytest.raises(kp.NotRunning, match="stopped while it started"):
        runtime.start()
    assert companion.calls == ["stop"]


def test_starts_and_stops_from_many_threads_raise_only_our_own_errors(
    make_ticker: MakeTicker, kite: SimulatedKite
) -> None:
    ticker = make_ticker()
    ticker.on_batch(lambda _: None)
    ticker.subscribe([INFY])

    def work(number: int) -> list[BaseException]:
        errors: list[BaseException] = []
        for turn in range(6):
            try:
                (ticker.start if (number + turn) % 2 else ticker.stop)()
            except kp.NotRunning as error:
                errors.append(error)
        return errors

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    ticker.stop()
    assert not ticker.is_running
    assert kite.wait_for(lambda kite: not any(one.is_open for one in kite.connections))
    ticker.start()
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "quote"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_was_forked_from_a_running_ticker_ends_and_may_not_start_it() -> None:
    script = """
import os, sys, warnings
import kitepolars as kp
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks of threaded processes
ticker = kp.demo(instruments=["NSE:INFY"])
ticker.on_batch(lambda _: None)
ticker.wait(rows=2, timeout=60)
child = os.fork()
if child == 0:
    assert not ticker.is_running
    try:
        ticker.start()
    except kp.NotRunning as error:
        assert "forked" in str(error)
        ticker.stop()
        sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
rows = ticker.stats().rows
print(ticker.wait(rows=rows + 2, timeout=60))
"""
    done = run_script(script)
    assert (done.stdout.split(), done.stderr) == (["3", "True"], "")


def test_what_needs_a_live_feed_is_refused_by_the_name_of_the_source() -> None:
    ticker = kp.Ticker._over(Recording(), instruments=Instruments.from_records([]))
    with pytest.raises(kp.NotLive, match="runs on a source of type Recording, which"):
        ticker.subscribe([INFY])
    with pytest.raises(kp.NotLive, match="access tokens need a live ticker"):
        ticker.set_access_token(TOKEN)


def test_a_ticker_runs_on_the_time_of_its_source() -> None:
    ticker = kp.Ticker._over(Recording(), instruments=Instruments.from_records([]))
    ticker.start(strict=True)
    assert ticker.frame().height == 1
    ticker.note("mine", "noted on the recording's time")
    ticker.stop()
    assert ticker.events()["at"].dt.epoch("us").to_list() == [1_700_000_000_000_000]


def _wrong_limits() -> None:
    kp.Ticker("my_api_key_1", TOKEN, limits=Limits(connections=200), default_mode="all")


def _wrong_url() -> None:
    kp.Ticker("my_api_key_1", TOKEN, url="ws://ws.kite.trade/")


def _both() -> None:
    kp.Ticker("my_api_key_1", TOKEN, accounts=[kp.Account("main", "my_api_key_1", TOKEN)])


def _unknown_account() -> None:
    kp.Ticker("my_api_key_1", TOKEN).set_access_token(TOKEN, "nobody")


def _empty_token() -> None:
    kp.Ticker("my_api_key_1", f"{TOKEN}\x07")


@pytest.mark.parametrize(
    "mistake", [_wrong_limits, _wrong_url, _both, _unknown_account, _empty_token]
)
def test_no_frame_of_ours_shows_a_credential_in_a_traceback_with_locals(
    mistake: Callable[[], None],
) -> None:
    with pytest.raises(kp.ConfigError) as caught:
        mistake()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "kitepolars/" in frame.filename.replace("\\", "/")]
    ours = [frame for frame in ours if "/tests/" not in frame.filename.replace("\\", "/")]
    assert ours
    for frame in ours:
        assert "s3cr3t" not in repr(frame.locals), frame
        assert "my_api_key_1" not in repr(frame.locals), frame
        assert "repr() failed" not in repr(frame.locals), frame


def test_an_event_of_a_source_is_kept() -> None:
    source = Recording()
    runtime = Runtime(source)
    source.deliver(Event(5, None, "kind", "detail"))
    assert [event.detail for event in runtime.ledger.events.snapshot()] == ["detail"]
