"""Says in one word whether all is well, and why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from kitepolars.feed.records import ConnectionState

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
"""State of a connection → tone in which it is shown."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One word, its tone (good, warn, bad or idle), and why."""

    word: str
    tone: str
    why: str


def judge(
    connections: pl.DataFrame,
    gaps: pl.DataFrame,
    *,
    running: bool,
    silence: float | None,
    rejected: int = 0,
    dropped: int = 0,
) -> Verdict:
    """Judge a ticker's health; the worst that is found is said.

    Parameters
    ----------
    connections, gaps
        The frames that ``connections()`` and ``gaps()`` give.
    running
        Whether the ticker is started.
    silence
        Seconds since the longest silent open connection received a byte; None without one.
    rejected
        Packets and messages that could not be decoded.
    dropped
        Messages that were dropped.
    """
    count = dict.fromkeys(ConnectionState, 0)
    for state in connections["state"]:
        count[ConnectionState(state)] += 1
    needed = connections.height - count[ConnectionState.IDLE]
    opened = count[ConnectionState.OPEN]
    open_gaps = gaps.filter(pl.col("ended_at").is_null())["instruments"].sum()
    findings = (
        (
            count[ConnectionState.EXPIRED] > 0,
            Verdict(word="Expired", tone="bad", why="Kite refused the access token: log in again"),
        ),
        (
            count[ConnectionState.FAILED] > 0,
            Verdict(word="Failed", tone="bad", why="a connection was given up: stop and start"),
        ),
        (not running, Verdict(word="Stopped", tone="idle", why="ticker.start() connects")),
        (
            needed > 0 and opened == 0,
            Verdict(word="Down", tone="bad", why="no connection is open; trying again"),
        ),
        (
            opened < needed,
            Verdict(word="Degraded", tone="warn", why=f"{opened} of {needed} connections are open"),
        ),
        (
            silence is not None and silence > QUIET_AFTER,
            Verdict(word="Silent", tone="warn", why=f"no byte for {silence or 0:.0f} s"),
        ),
        (
            open_gaps > 0,
            Verdict(word="Catching up", tone="warn", why=f"{open_gaps:,} instruments lack data"),
        ),
        (
            dropped > 0,
            Verdict(word="Lossy", tone="warn", why=f"{dropped:,} messages were dropped"),
        ),
        (
            rejected > 0,
            Verdict(word="Odd", tone="warn", why=f"{rejected:,} could not be decoded; see events"),
        ),
    )
    well = Verdict(word="Well", tone="good", why=_well(opened, gaps.height))
    return next((verdict for found, verdict in findings if found), well)


def _well(opened: int, gaps: int) -> str:
    plural = "connection" if opened == 1 else "connections"
    closed = f"; {gaps} closed gap{'' if gaps == 1 else 's'}" if gaps else ""
    return f"{opened} {plural} open{closed}"
