from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.feed.reconnect import (
    HEALTHY_AFTER,
    Backoff,
    Failure,
    FailureKind,
    ReconnectPolicy,
    authentication_error,
)

LOST = Failure("closed (code 1006)")
THROTTLED = Failure("HTTP 429", 429)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initial_delay", 0),
        ("initial_delay", -1.0),
        ("initial_delay", math.inf),
        ("max_delay", math.nan),
        ("max_delay", 0.5),
        ("max_delay", "60"),
        ("silence", 0),
        ("silence", True),
        ("connect_timeout", None),
        ("max_attempts", 0),
        ("max_attempts", 2.0),
        ("max_attempts", True),
    ],
)
def test_a_wrong_setting_is_named_with_its_range(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        ReconnectPolicy(**{field: value})
    assert caught.value.field == field
    assert caught.value.value is value
    assert f"{field} must be " in str(caught.value)
    assert repr(value) in str(caught.value)


def test_settings_are_by_name_and_frozen() -> None:
    with pytest.raises(TypeError):
        ReconnectPolicy(1.0)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        ReconnectPolicy().silence = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (403, FailureKind.FATAL),
        (400, FailureKind.FATAL),
        (429, FailureKind.THROTTLED),
        (404, FailureKind.TRANSIENT),
        (500, FailureKind.TRANSIENT),
        (502, FailureKind.TRANSIENT),
        (503, FailureKind.TRANSIENT),
        (None, FailureKind.TRANSIENT),
    ],
)
def test_what_a_refusal_means(status: int | None, verdict: FailureKind) -> None:
    assert Failure("so", status).kind is verdict


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(ReconnectPolicy(initial_delay=0.5, max_delay=3.0), chance=lambda: 0.0)
    assert [backoff.delay(LOST) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 2_000))
def test_delays_are_shortened_by_half_at_most(chance: float, attempts: int) -> None:
    backoff = Backoff(ReconnectPolicy(), chance=lambda: chance)
    delays = [backoff.delay(LOST) for _ in range(attempts)]
    for n, delay in enumerate(delays):
        full = min(60.0, 2.0 ** min(n, 100))
        assert delay is not None
        assert full / 2 <= delay <= full


def test_a_handshake_alone_does_not_start_the_delays_over() -> None:
    backoff = Backoff(ReconnectPolicy(), chance=lambda: 0.0)
    delays = [backoff.delay(LOST, lived=0.01) for _ in range(8)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert backoff.delay(LOST, lived=HEALTHY_AFTER) == 1.0
    assert backoff.attempts == 1


@pytest.mark.parametrize(
    ("lived", "at_least"), [(1.0, 0.11), (3.0, 0.54), (5.0, 0.76), (9.0, 0.91)]
)
def test_a_connection_that_keeps_dying_is_connected_most_of_the_time(
    lived: float, at_least: float
) -> None:
    backoff = Backoff(ReconnectPolicy(), chance=random.Random(1).random)
    delays = [backoff.delay(LOST, lived=lived) or 0.0 for _ in range(2_000)]
    connected = lived * len(delays)
    assert connected / (connected + sum(delays)) >= at_least
    handshakes_a_minute = 60 * len(delays) / (connected + sum(delays))
    assert handshakes_a_minute < 11.5


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_longer_data_never_means_a_longer_delay(shorter: float, longer: float) -> None:
    shorter, longer = sorted((shorter, longer))
    delays = []
    for lived in (shorter, longer):
        backoff = Backoff(ReconnectPolicy(), chance=lambda: 0.0)
        delays.append([backoff.delay(LOST, lived=lived) or 0.0 for _ in range(8)])
    assert all(before >= after for before, after in zip(*delays, strict=True))


def test_a_place_that_becomes_free_is_found_soon() -> None:
    backoff = Backoff(ReconnectPolicy(), chance=lambda: 0.0)
    assert [backoff.delay(THROTTLED) for _ in range(8)] == [4, 4, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("freed_after", [1.0, 5.0, 15.0, 40.0])
def test_a_429_costs_at_most_twice_the_time_that_the_places_were_taken(freed_after: float) -> None:
    backoff = Backoff(ReconnectPolicy(), chance=lambda: 0.0)
    now = 0.0
    while now < freed_after:
        now += backoff.delay(THROTTLED) or 0.0
    assert now <= 2 * freed_after + 4.0


def test_attempts_are_exhausted_and_can_be_renewed() -> None:
    backoff = Backoff(ReconnectPolicy(max_attempts=3), chance=lambda: 0.0)
    assert [backoff.delay(LOST) for _ in range(3)] == [1.0, 2.0, None]
    backoff.reset()
    assert backoff.delay(LOST) == 1.0


def test_lasting_data_gives_new_attempts() -> None:
    backoff = Backoff(ReconnectPolicy(max_attempts=2), chance=lambda: 0.0)
    assert [backoff.delay(LOST, lived=60.0) for _ in range(5)] == [1.0] * 5


def test_refused_credentials_say_what_to_do() -> None:
    text = str(authentication_error("main", Failure("HTTP 403: Incorrect `access_token`.", 403)))
    for part in ("'main'", "HTTP 403", "06:00 IST", "ticker.set_access_token("):
        assert part in text
