"""The health of a ticker: rates from counters, and the verdict."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from kitepolars.health import QUIET_AFTER, Rates, Sample, judge, silence
from kitepolars.tables import CONNECTIONS, GAPS

NOW = dt.datetime(2026, 11, 20, 9, 30, tzinfo=dt.UTC)
NO_GAPS = pl.DataFrame(schema=GAPS)


def connections(*states: str, silent_for: float = 0.1) -> pl.DataFrame:
    last = NOW - dt.timedelta(seconds=silent_for)
    rows = [
        {"connection": n, "account": "a", "state": state, "last_message_at": last}
        for n, state in enumerate(states)
    ]
    return pl.DataFrame(rows, schema=CONNECTIONS)


def word(*states: str, silent_for: float = 0.1, running: bool = True, **facts: Any) -> str:
    health = judge(
        connections(*states, silent_for=silent_for),
        NO_GAPS,
        running=running,
        now=NOW.timestamp(),
        **facts,
    )
    assert health.why
    return health.word


@pytest.mark.parametrize(
    ("states", "facts", "expected"),
    [
        (["open", "idle"], {}, "Healthy"),
        (["open", "waiting"], {}, "Degraded"),
        (["waiting"], {}, "Down"),
        (["open", "expired"], {}, "Expired"),
        (["open", "failed"], {}, "Failed"),
        (["idle"], {"running": False}, "Stopped"),
        (["open"], {"silent_for": QUIET_AFTER + 1}, "Silent"),
        (["open"], {"dropped": 1}, "Lossy"),
        (["open"], {"rejected": 1}, "Odd"),
        (["expired", "waiting", "open"], {"dropped": 1, "rejected": 1}, "Expired"),
    ],
)
def test_the_most_serious_finding_wins(
    states: list[str], facts: dict[str, Any], expected: str
) -> None:
    assert word(*states, **facts) == expected


def test_only_open_connections_are_silent() -> None:
    assert word("idle", silent_for=QUIET_AFTER + 1) == "Healthy"


def test_an_open_gap_is_reported() -> None:
    gap = {"connection": 0, "account": "a", "started_at": NOW, "instruments": 7}
    gaps = pl.DataFrame([gap], schema=GAPS)
    health = judge(connections("open"), gaps, running=True, now=NOW.timestamp())
    assert (health.word, health.why) == ("Catching up", "7 instruments lack data")


def test_silence_is_never_negative_and_unknown_before_the_first_byte() -> None:
    assert silence(NOW, NOW.timestamp() + 2) == 2
    assert silence(NOW, NOW.timestamp() - 2) == 0  # the clock was set back
    assert silence(None, NOW.timestamp()) is None


def test_rates_are_differences_over_time() -> None:
    before = Sample(10.0, 100, {0: 5, 1: 5}, {0: 500, 1: 500})
    now = Sample(10.5, 140, {0: 11, 1: 7}, {0: 900, 1: 500})
    rates = Rates.between(before, now)
    assert rates.ticks == 80
    assert rates.messages == {0: 12, 1: 4}
    assert rates.bytes == {0: 800, 1: 0}


def test_a_counter_that_starts_over_and_a_new_connection_have_no_rate() -> None:
    rates = Rates.between(Sample(1.0, 100, {0: 9}, {0: 9}), Sample(2.0, 3, {1: 9}, {1: 9}))
    assert (rates.ticks, rates.messages, rates.bytes) == (0, {1: 0}, {1: 0})


def test_one_moment_has_no_rates() -> None:
    now = Sample(1.0, 100, {0: 9}, {0: 9})
    assert Rates.between(now, now) == Rates(0.0, {0: 0.0}, {0: 0.0})


def test_counters_are_read_from_connections() -> None:
    frame = connections("open", "open").with_columns(
        messages=pl.Series([3, 4], dtype=pl.UInt64), bytes=pl.Series([5, 6], dtype=pl.UInt64)
    )
    assert Sample.read(1.0, 7, frame) == Sample(1.0, 7, {0: 3, 1: 4}, {0: 5, 1: 6})
