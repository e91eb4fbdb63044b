"""The feed's clock against a wall clock that is set, and a loop that stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.feed.clock import PULSE, STALL, ClockChange, FeedClock, Stall

SECOND = 10**9
NOON = 1_764_225_000 * SECOND


@dataclass
class Machine:
    """A machine's two clocks, which a test sets and lets run."""

    wall: int = NOON
    elapsed: int = 5 * SECOND
    stalls: list[Stall] = field(default_factory=list)

    def clock(self) -> FeedClock:
        clock = FeedClock(wall=lambda: self.wall, elapsed=lambda: self.elapsed)
        clock.on_stall = self.stalls.append
        clock.start()
        return clock

    def run(self, seconds: float) -> None:
        self.wall += round(seconds * SECOND)
        self.elapsed += round(seconds * SECOND)

    def set(self, seconds: float) -> None:
        self.wall += round(seconds * SECOND)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_it_runs_with_the_wall_clock(machine: Machine) -> None:
    clock = machine.clock()
    machine.run(1.5)
    assert clock.now() == clock.stamp() == NOON // 1_000 + 1_500_000
    assert clock.pulse() is None
    assert machine.stalls == []


def test_by_default_it_gives_the_real_time() -> None:
    before = time.time_ns() // 1_000
    now = FeedClock().now()
    assert before - 1_000_000 <= now <= time.time_ns() // 1_000 + 1_000_000


def test_it_moves_forward_with_the_wall_clock_and_reports_once(machine: Machine) -> None:
    clock = machine.clock()
    machine.run(PULSE)
    clock.pulse()
    looked_at = clock.stamp()
    machine.run(PULSE)
    machine.set(3600)
    assert clock.stamp() == looked_at + PULSE * 1_000_000  # what comes before the next pulse
    step = clock.pulse()
    assert step == ClockChange(3_600_000_000, 3_600_000_000, 0.0, looked_at)
    assert clock.now() == machine.wall // 1_000
    assert clock.pulse() is None
    assert "3,600.000 s" in str(step)


def test_it_does_not_go_back_with_the_wall_clock_and_reports_once(machine: Machine) -> None:
    clock = machine.clock()
    machine.set(-3600)
    step = clock.pulse()
    assert step == ClockChange(-3_600_000_000, 0, 3600.0, NOON // 1_000)
    assert clock.now() == NOON // 1_000
    assert clock.pulse() is None
    assert "stays 3,600.000 s ahead" in str(step)
    machine.set(3600)
    assert str(clock.pulse()) == "the wall clock was set: received_at agrees with it again"


def test_a_step_forward_that_leaves_it_ahead_is_a_step_forward(machine: Machine) -> None:
    clock = machine.clock()
    machine.set(-3600)
    clock.pulse()
    machine.set(60)
    step = clock.pulse()
    assert step == ClockChange(60_000_000, 0, 3540.0, NOON // 1_000)
    assert "set forward: received_at stays 3,540.000 s ahead" in str(step)


def test_a_slight_difference_is_no_setting(machine: Machine) -> None:
    clock = machine.clock()
    for _ in range(3):
        machine.set(0.01)
        assert clock.pulse() is None
    machine.set(0.03)
    assert clock.pulse() == ClockChange(60_000, 60_000, 0.0, NOON // 1_000)


def test_a_new_start_agrees_with_the_wall_clock_but_not_before_the_last_stop(
    machine: Machine,
) -> None:
    clock = machine.clock()
    machine.set(-60)
    clock.pulse()
    machine.run(20)
    clock.stop()
    stopped_at = clock.now()
    clock.start()
    assert clock.now() == stopped_at
    clock.stop()
    machine.run(100)
    clock.start()
    assert clock.now() == machine.wall // 1_000


def test_the_first_stamp_after_a_stall_reports_it(machine: Machine) -> None:
    clock = machine.clock()
    machine.run(PULSE)
    clock.pulse()
    machine.run(60)
    assert clock.stamp() == machine.wall // 1_000
    assert machine.stalls == [Stall((NOON + round(PULSE * SECOND)) // 1_000, 60.0)]
    machine.run(PULSE)
    clock.pulse()
    assert len(machine.stalls) == 1


def test_a_late_pulse_is_no_stall(machine: Machine) -> None:
    clock = machine.clock()
    for _ in range(3):
        machine.run(PULSE + STALL)
        clock.pulse()
    assert machine.stalls == []


def test_a_stopped_feed_does_not_stall(machine: Machine) -> None:
    clock = machine.clock()
    clock.stop()
    machine.run(3600)
    clock.stamp()
    clock.start()
    clock.stamp()
    assert machine.stalls == []


def test_readings_that_were_interrupted_say_nothing() -> None:
    moments = iter(range(0, 1_000 * SECOND, SECOND))  # a second passes between any two
    clock = FeedClock(wall=lambda: NOON, elapsed=lambda: next(moments))
    clock.start()
    assert clock.pulse() is None


@given(
    st.lists(st.tuples(st.sampled_from(["run", "set", "pulse", "restart"]), st.floats(-9e3, 9e3)))
)
def test_it_never_goes_back(steps: list[tuple[str, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    latest = clock.stamp()
    for what, seconds in steps:
        if what == "run":
            machine.run(abs(seconds))
        elif what == "set":
            machine.set(seconds)
        elif what == "pulse":
            clock.pulse()
        else:
            clock.stop()
            clock.start()
        assert clock.stamp() >= latest
        latest = clock.stamp()
        assert all(stall.seconds > STALL for stall in machine.stalls)
