from __future__ import annotations

import pytest

from timing import best_of


def test_contestants_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def contestant(name: str) -> int:
        calls.append(name)
        return 10

    timings = best_of(
        {"a": lambda: contestant("a"), "b": lambda: contestant("b")},
        repeats=2,
        prepare={"a": lambda: calls.append("-")},
    )
    assert "".join(calls) == "-ab" * 3
    assert set(timings) == {"a", "b"}
    assert all(timing.items == 10 and timing.wall > 0 for timing in timings.values())


def test_the_best_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 10.0, 14.0, 20.0, 26.0])  # runs of 9, 4 and 6 seconds
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert best_of({"a": lambda: 2}, repeats=2)["a"].wall == 2.0
