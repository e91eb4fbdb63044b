"""The HTML of the subscription panel: messages, status, capacity. Pure; every text is escaped."""

from __future__ import annotations

from html import escape
from typing import Final

import polars as pl

from kitepolars.source import ConnectionState

NEARLY_FULL: Final = 0.9
"""Share of the capacity from which a bar warns."""

_EXPIRED: Final = (
    "Kite refused the access token of {accounts}: it has expired or is wrong. "
    "Log in again, then ticker.set_access_token(token)."
)
_FAILED: Final = "{accounts}: gave up after too many attempts. Stop and start again."

TONES: Final = {"": "", "good": " kp-good", "error": " kp-error"}
"""Class of a message by its tone."""


def message(text: str, tone: str = "") -> str:
    """Return the line with the result of a command; without a text it is hidden.

    Examples
    --------
    >>> message("a < b", "error")
    '<div class="kp-message kp-error" role="status">a &lt; b</div>'
    """
    return f'<div class="kp-message{TONES[tone]}" role="status">{escape(text)}</div>'


def meters(connections: pl.DataFrame) -> str:
    """Return one bar per account and per connection: instruments out of capacity.

    Parameters
    ----------
    connections
        The frame of ``connections()``.
    """
    accounts = connections.group_by("account", maintain_order=True).agg(
        pl.col("instruments", "capacity").sum()
    )
    bars = []
    for account, used, room in accounts.iter_rows():
        bars.append(_meter(account, used, room, "kp-account"))
        own = connections.filter(pl.col("account") == account)
        rows = own.select("connection", "instruments", "capacity").iter_rows()
        bars.extend(_meter(f"connection #{place}", *numbers) for place, *numbers in rows)
    return f'<div class="kp kp-meters">{"".join(bars)}</div>'


def _meter(label: str, used: int, room: int, kind: str = "") -> str:
    share = used / room if room else 0.0
    classes = f"kp-meter {kind} {'kp-high' if share >= NEARLY_FULL else ''}"
    return (
        f'<div class="{classes}"><span>{escape(label)}</span>'
        f"<span>{used:,} / {room:,}</span>"
        f'<i><i style="width:{min(share, 1.0):.2%}"></i></i></div>'
    )


def status_line(connections: pl.DataFrame, *, running: bool) -> str:
    """Return the panel's first line: whether the ticker runs, and what is wrong."""
    states = connections["state"]
    opened = int((states == ConnectionState.OPEN).sum())
    needed = int((states != ConnectionState.IDLE).sum())
    for state, text in ((ConnectionState.EXPIRED, _EXPIRED), (ConnectionState.FAILED, _FAILED)):
        accounts = connections.filter(pl.col("state") == state)["account"].unique().to_list()
        if accounts:
            return _status("kp-down", text.format(accounts=", ".join(sorted(accounts))))
    if not running:
        return _status("kp-soft", "Stopped")
    tone = "kp-up" if opened and opened == needed else "kp-warn"
    plural = "connection" if needed == 1 else "connections"
    return _status(tone, f"Running: {opened} of {needed} {plural} open")


def _status(tone: str, text: str) -> str:
    return f'<span class="kp {tone}"><span class="kp-dot"></span><b>{escape(text)}</b></span>'
