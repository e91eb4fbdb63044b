"""The health of a ticker: rates computed from its counters, and a verdict in one word. Pure.

The monitor in a notebook and the terminal demo show the same figures and the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import polars as pl

from kitepolars.source import ConnectionState

QUIET_AFTER: Final = 5.0
"""Seconds without a byte, heartbeats included, after which an open connection is suspect."""

TONE_OF_STATE: Final = {
    ConnectionState.IDLE: "idle",
    ConnectionState.CONNECTING: "warn",
    ConnectionState.OPEN: "good",
    ConnectionState.WAITING: "warn",
    ConnectionState.EXPIRED: "bad",
    ConnectionState.FAILED: "bad",
}
"""Connection state → the tone in which it is shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of a ticker at one moment; messages and bytes by index of the connection.

    Parameters
    ----------
    at
        Seconds, on a monotonic clock.
    ticks
        Ticks received so far.
    messages, bytes
        What each connection has received so far.
    """

    at: float
    ticks: int
    messages: Mapping[int, int]
    bytes: Mapping[int, int]

    @classmethod
    def read(cls, at: float, ticks: int, connections: pl.DataFrame) -> Self:
        """Take the counters of connections from the frame that ``connections()`` returns."""
        index = connections["connection"]
        messages, size = connections["messages"], connections["bytes"]
        return cls(
            at, ticks, dict(zip(index, messages, strict=True)), dict(zip(index, size, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What arrived per second between two moments; 0 where a counter started over."""

    ticks: float
    messages: Mapping[int, float]
    bytes: Mapping[int, float]

    @classmethod
    def between(cls, before: Sample, now: Sample) -> Self:
        """Return the rates from one moment to a later one; all are 0 between a moment and itself.

        Examples
        --------
        >>> before, now = Sample(5.0, 100, {0: 1}, {0: 0}), Sample(7.0, 500, {0: 5}, {0: 0})
        >>> Rates.between(before, now)
        Rates(ticks=200.0, messages={0: 2.0}, bytes={0: 0.0})
        """
        seconds = now.at - before.at

        def rate(count: int, earlier: int) -> float:
            return max(0, count - earlier) / seconds if seconds > 0 else 0.0

        def rates(counts: Mapping[int, int], earlier: Mapping[int, int]) -> dict[int, float]:
            # A connection that has just been added starts with what it has received.
            return {index: rate(n, earlier.get(index, n)) for index, n in counts.items()}

        return cls(
            rate(now.ticks, before.ticks),
            rates(now.messages, before.messages),
            rates(now.bytes, before.bytes),
        )


def silence(last_message_at: datetime | None, now: float) -> float | None:
    """Return for how many seconds a connection has been silent, None before its first byte.

    Parameters
    ----------
    last_message_at
        The column of that name in the frame that ``connections()`` returns.
    now
        The current time in seconds since the Unix epoch.
    """
    return None if last_message_at is None else max(0.0, now - last_message_at.timestamp())


@dataclass(frozen=True, kw_only=True)
class Health:
    """One word, its tone (good, warn, bad or idle), and why."""

    word: str
    tone: str
    why: str


def judge(
    connections: pl.DataFrame,
    gaps: pl.DataFrame,
    *,
    running: bool,
    now: float,
    rejected: int = 0,
    dropped: int = 0,
    memory: str = "",
) -> Health:
    """Judge the health of a ticker; the most serious finding wins.

    Parameters
    ----------
    connections, gaps
        The frames that ``connections()`` and ``gaps()`` return.
    running
        Whether the ticker is started.
    now
        The current time in seconds since the Unix epoch.
    rejected
        Packets and messages that could not be decoded.
    dropped
        Messages that were dropped.
    memory
        When memory will be full, and what to do; empty if all is well.
    """
    count = dict.fromkeys(ConnectionState, 0)
    for state in connections["state"]:
        count[ConnectionState(state)] += 1
    needed = connections.height - count[ConnectionState.IDLE]
    opened = count[ConnectionState.OPEN]
    silent = max(_silences_of_open(connections, now), default=0.0)
    open_gaps = gaps.filter(pl.col("ended_at").is_null())["instruments"].sum()
    findings = (
        (
            count[ConnectionState.EXPIRED] > 0,
            Health(word="Expired", tone="bad", why="Kite refused the access token: log in again"),
        ),
        (
            count[ConnectionState.FAILED] > 0,
            Health(word="Failed", tone="bad", why="a connection was given up: stop and start"),
        ),
        (not running, Health(word="Stopped", tone="idle", why="ticker.start() connects")),
        (
            needed > 0 and opened == 0,
            Health(word="Down", tone="bad", why="no connection is open; trying again"),
        ),
        (
            opened < needed,
            Health(word="Degraded", tone="warn", why=f"{opened} of {needed} connections are open"),
        ),
        (bool(memory), Health(word="Filling", tone="warn", why=memory)),
        (
            silent > QUIET_AFTER,
            Health(word="Silent", tone="warn", why=f"no byte for {silent:.0f} s"),
        ),
        (
            open_gaps > 0,
            Health(word="Catching up", tone="warn", why=f"{open_gaps:,} instruments lack data"),
        ),
        (
            dropped > 0,
            Health(word="Lossy", tone="warn", why=f"{dropped:,} messages were dropped"),
        ),
        (
            rejected > 0,
            Health(word="Odd", tone="warn", why=f"{rejected:,} could not be decoded; see events"),
        ),
    )
    healthy = Health(word="Healthy", tone="good", why=_healthy(opened, gaps.height))
    return next((health for found, health in findings if found), healthy)


def _silences_of_open(connections: pl.DataFrame, now: float) -> list[float]:
    opened = connections.filter(pl.col("state") == ConnectionState.OPEN.value)
    silences = (silence(moment, now) for moment in opened["last_message_at"])
    return [seconds for seconds in silences if seconds is not None]


def _healthy(opened: int, gaps: int) -> str:
    plural = "connection" if opened == 1 else "connections"
    closed = f"; {gaps} closed gap{'' if gaps == 1 else 's'}" if gaps else ""
    return f"{opened} {plural} open{closed}"
