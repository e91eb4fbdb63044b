from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars import Retention
from kitepolars.frames.store import TICK_BYTES
from kitepolars.health import judge
from kitepolars.sim import SimulatedKite
from kitepolars.ticker import runtime
from kitepolars.ticker.memory import (
    GIB,
    HORIZON,
    MEMORY_EVERY,
    RATE_WINDOW,
    MemoryWatch,
    free_memory,
    seconds_until_full,
)
from patience import PATIENCE, eventually


class Machine:
    """A machine whose clock and memory a test sets, and a market that fills it."""

    def __init__(self, free: int | None, retention: Retention | None = None) -> None:
        self.now, self.free, self.rows = 1_000.0, free, 0
        self.is_recorded = False
        self.reports: list[str] = []
        self.watch = MemoryWatch(
            retention or Retention(),
            self.reports.append,
            is_recorded=lambda: self.is_recorded,
            clock=lambda: self.now,
            free=lambda: self.free,
        )
        self.look()

    def look(self) -> None:
        self.watch.look(self.rows, self.rows)

    def run(self, seconds: float, ticks_a_second: float) -> None:
        """Receive ticks for some time, looking after each flush."""
        for _ in range(round(seconds)):
            self.now += 1.0
            self.rows += round(ticks_a_second)
            if self.free is not None:
                self.free -= round(ticks_a_second) * TICK_BYTES
            self.look()


MARKET = 9_000.0
"""Ticks a second of an account's 9,000 instruments."""


def test_a_market_that_will_fill_the_machine_is_said_within_a_minute_or_two() -> None:
    machine = Machine(free=4 * GIB)
    machine.run(2 * RATE_WINDOW, MARKET)
    [report] = machine.reports
    assert "memory full in 30 min" in report
    assert "Retention(max_bytes=...)" in report
    assert "recorder=" in report
    assert "GiB more an hour" in report
    left = machine.watch.outlook.full_in
    assert left is not None
    assert left == pytest.approx((machine.free or 0) / (MARKET * TICK_BYTES), rel=0.1)


def test_a_machine_that_has_enough_for_hours_is_not_warned_of() -> None:
    machine = Machine(free=64 * GIB)
    machine.run(10 * RATE_WINDOW, MARKET)
    assert machine.reports == []
    assert machine.watch.outlook.full_in is None
    assert machine.watch.outlook.warning == ""


def test_it_is_said_once_and_withdrawn_when_it_is_over() -> None:
    machine = Machine(free=4 * GIB)
    machine.run(10 * RATE_WINDOW, MARKET)
    assert len(machine.reports) == 1
    machine.run(2 * RATE_WINDOW, MARKET / 1_000)  # the market has closed
    assert len(machine.reports) == 2
    assert "not fill the memory" in machine.reports[1]
    assert machine.watch.outlook.full_in is None


def test_around_the_horizon_it_does_not_flicker() -> None:
    rate = MARKET * TICK_BYTES
    machine = Machine(free=round((HORIZON + 2 * RATE_WINDOW) * rate))
    for _ in range(20):
        machine.run(30, MARKET)
        assert machine.free is not None
        machine.free += round(30 * rate) - 1  # as much is freed
    assert len(machine.reports) <= 1


def test_a_burst_is_no_rate() -> None:
    machine = Machine(free=20 * GIB)
    machine.run(10, 1_000_000)  # a notebook catches up with the morning
    machine.run(10 * RATE_WINDOW, MARKET / 100)
    assert machine.reports == []


def test_memory_that_fills_in_seconds_is_said_before_it_is_full() -> None:
    machine = Machine(free=20 * GIB)
    seconds = 0
    while not machine.reports:  # a recorded day is replayed as fast as possible
        machine.run(1, 4_000_000)
        seconds += 1
    assert machine.free is not None
    assert machine.free > 10 * GIB
    assert seconds < RATE_WINDOW


@pytest.mark.parametrize(
    "retention",
    [
        Retention(max_bytes=2 * GIB),
        Retention(max_rows=5_000_000),
        Retention(max_age=600),
    ],
)
def test_a_bound_that_is_low_enough_is_no_reason_to_warn(retention: Retention) -> None:
    machine = Machine(free=4 * GIB, retention=retention)
    machine.run(5 * RATE_WINDOW, MARKET)
    assert machine.reports == []


def test_a_bound_beyond_what_there_is_does_not_help() -> None:
    machine = Machine(free=4 * GIB, retention=Retention(max_bytes=32 * GIB))
    machine.run(5 * RATE_WINDOW, MARKET)
    assert len(machine.reports) == 1


def test_what_is_recorded_may_be_dropped_without_loss() -> None:
    machine = Machine(free=4 * GIB)
    machine.is_recorded = True
    machine.run(2 * RATE_WINDOW, MARKET)
    [report] = machine.reports
    assert "Retention(max_age=600)" in report
    assert "scan()" in report


def test_where_memory_is_not_known_nothing_is_said() -> None:
    machine = Machine(free=None)
    machine.run(5 * RATE_WINDOW, MARKET)
    assert machine.reports == []
    assert machine.watch.outlook.free is None
    assert machine.watch.outlook.held == machine.rows * TICK_BYTES


def test_it_looks_now_and_then_only() -> None:
    looked: list[None] = []

    def free() -> int:
        looked.append(None)
        return GIB

    now = 0.0
    watch = MemoryWatch(Retention(), print, clock=lambda: now, free=free)
    for _ in range(1_000):
        watch.look(0, 0)
        now += MEMORY_EVERY / 100
    assert len(looked) == 10


@given(
    held=st.integers(0, 2**40),
    rate=st.just(0.0) | st.floats(1, 1e9),
    free=st.integers(0, 2**40),
    max_bytes=st.none() | st.integers(10_000, 2**41),
    max_age=st.none() | st.floats(1, 1e6),
)
def test_it_is_full_only_if_the_bounds_let_it(
    held: int, rate: float, free: int, max_bytes: int | None, max_age: float | None
) -> None:
    left = seconds_until_full(held, rate, free, Retention(max_bytes=max_bytes, max_age=max_age))
    most = min(max_bytes or float("inf"), (max_age or float("inf")) * rate if rate else 0.0)
    if left is None:
        assert rate == 0 or most - held <= free + TICK_BYTES
    else:
        assert left * rate == pytest.approx(free)
        assert most - held > free


# -- what there is -------------------------------------------------------------------------------


def linux(tmp_path: Path, cgroup: str, **files: str) -> int | None:
    """Return what is free on a machine with 8 GiB available and a control group."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {8 * 2**20} kB\n")
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        path = cgroups / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return free_memory(proc, cgroups)


STAT = "anon 5\ninactive_file 1073741824\n"


def test_a_machine_without_groups_has_what_is_available(tmp_path: Path) -> None:
    assert linux(tmp_path, "") == 8 * GIB


def test_a_container_has_what_its_group_leaves(tmp_path: Path) -> None:
    free = linux(
        tmp_path,
        "0::/\n",
        memory_max=f"{4 * GIB}\n",
        memory_current=f"{3 * GIB}\n",
        memory_stat=STAT,
    )
    assert free == 2 * GIB  # cached files make room


def test_a_group_around_it_may_have_the_limit(tmp_path: Path) -> None:
    free = linux(
        tmp_path,
        "0::/user/notebook\n",
        user__notebook__memory_max="max\n",
        user__notebook__memory_current="5\n",
        user__notebook__memory_stat=STAT,
        user__memory_max=f"{GIB}\n",
        user__memory_current=f"{2 * GIB}\n",
        user__memory_stat="inactive_file 0\n",
    )
    assert free == 0


def test_the_older_groups_are_read_as_well(tmp_path: Path) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup" / "memory" / "docker"
    (proc / "self").mkdir(parents=True)
    cgroups.mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemAvailable: {8 * 2**20} kB\n")
    (proc / "self" / "cgroup").write_text("5:cpu:/docker\n4:memory:/docker\n1:name=systemd:/\n")
    (cgroups / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (cgroups / "memory.usage_in_bytes").write_text(f"{GIB}\n")
    (cgroups / "memory.stat").write_text("total_inactive_file 0\n")
    assert free_memory(proc, tmp_path / "cgroup") == GIB


def test_elsewhere_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (free_memory(tmp_path, tmp_path) or 0) > 0  # it comes with Jupyter's kernel
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    assert free_memory(tmp_path, tmp_path) is None


# -- a ticker ------------------------------------------------------------------------------------


def test_a_ticker_says_it_everywhere() -> None:
    seconds = 0.0
    with SimulatedKite(rate=0) as kite:
        ticker = kp.Ticker("key", "token", url=kite.url)
        ticker._runtime._memory = MemoryWatch(
            Retention(),
            lambda detail: ticker.note("memory", detail),
            clock=lambda: seconds,
            free=lambda: TICK_BYTES,
        )
        ticker.subscribe([408065], mode="full")
        with ticker:
            kite.wait_for(lambda kite: bool(kite.subscribed()))

            def is_warned(ticker: kp.Ticker) -> bool:
                nonlocal seconds
                seconds += RATE_WINDOW
                kite.step()
                return bool(ticker.stats().history.warning)

            assert ticker.wait(until=is_warned, timeout=PATIENCE)
            seconds -= RATE_WINDOW  # it does not look again meanwhile
            history = ticker.stats().history
            assert history.warning in repr(ticker)
            assert history.warning in ticker._repr_html_()
            assert history.warning in ticker.events().filter(kind="memory")["detail"][0]
            assert history.warning in ticker.stats()._repr_html_()
            found = judge(
                ticker.connections(), ticker.gaps(), running=True, now=0.0, memory=history.warning
            )
            assert (found.word, found.tone, found.why) == ("Filling", "warn", history.warning)


def test_a_ticker_looks_at_its_memory_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "MEMORY_EVERY", 0.01)
    looks: list[int] = []
    with SimulatedKite(rate=0) as kite:
        ticker = kp.Ticker("key", "token", url=kite.url)
        monkeypatch.setattr(ticker._runtime._memory, "look", lambda rows, _: looks.append(rows))
        for _ in range(2):  # also after it has been stopped
            looks.clear()
            with ticker:
                eventually(lambda: len(looks) > 3)


@pytest.fixture
def bounded() -> Iterator[tuple[SimulatedKite, kp.Ticker]]:
    """Run a ticker that holds 160 ticks of one instrument."""
    with SimulatedKite(rate=0) as kite:
        ticker = kp.Ticker("key", "token", url=kite.url, retention=Retention(max_rows=160))
        assert ticker.stats().history.since is None
        ticker.subscribe([408065], mode="full")
        with ticker:
            kite.wait_for(lambda kite: bool(kite.subscribed()))
            yield kite, ticker


def receive(kite: SimulatedKite, ticker: kp.Ticker) -> None:
    for _ in range(300):
        kite.step()
    sent = kite.packets_sent
    assert ticker.wait(until=lambda t: t.stats().ticks == sent, timeout=PATIENCE)


def test_stats_say_what_is_held_in_memory(bounded: tuple[SimulatedKite, kp.Ticker]) -> None:
    receive(*bounded)
    _, ticker = bounded
    stats, frame = ticker.stats(), ticker.frame()
    assert stats.history.rows == frame.height == stats.rows
    assert stats.history.bytes == frame.height * TICK_BYTES
    assert stats.history.since == frame["received_at"][0]


def test_stats_say_where_earlier_ticks_are(
    bounded: tuple[SimulatedKite, kp.Ticker], tmp_path: Path
) -> None:
    _, ticker = bounded
    assert ticker.stats().history.journal is None
    recorder = ticker.record(tmp_path / "ticks")
    receive(*bounded)
    recorded = ticker.scan(tmp_path / "days").collect()
    assert recorded["received_at"][0] < ticker.frame()["received_at"][0]
    history = ticker.stats().history
    assert (history.journal, history.table) == (tmp_path / "ticks", None)
    ticker.stop()
    recorder.end()
    assert ticker.stats().history.journal is None
