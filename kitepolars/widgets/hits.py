"""What a search shows of each instrument. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import polars as pl

from kitepolars.widgets.changes import modes_of
from kitepolars.widgets.surface import Feed

LIMIT: Final = 50
"""Instruments shown for one search."""
MAX_QUERY: Final = 100
"""Longest text that is searched for."""


def found(feed: Feed, text: str, limit: int = LIMIT) -> list[dict[str, Any]]:
    """Search the feed's instruments, and say what there is to say about each.

    Parameters
    ----------
    feed
        Whose instruments are searched.
    text
        What was typed.
    limit
        How many at most.
    """
    words = text.strip()[:MAX_QUERY]
    if not words or feed.instruments is None:
        return []
    return [
        {"token": row["instrument_token"], "symbol": row["symbol"], "detail": described(row)}
        for row in feed.instruments.search(words, limit).iter_rows(named=True)
    ]


def marked(hits: list[dict[str, Any]], subscriptions: pl.DataFrame) -> list[dict[str, Any]]:
    """Add the mode to each that is subscribed."""
    tokens = [hit["token"] for hit in hits]
    modes = modes_of(subscriptions.filter(pl.col("instrument_token").is_in(tokens)))
    return [{**hit, "mode": modes.get(hit["token"], "")} for hit in hits]


def described(row: Mapping[str, Any]) -> str:
    """Say in few words what an instrument is.

    Examples
    --------
    >>> described({"name": "NIFTY", "expiry": date(2026, 11, 26), "lot_size": 75})
    'NIFTY · 26 Nov 2026 · lot 75'
    """
    expiry: date | None = row.get("expiry")
    lot = row.get("lot_size") or 0
    parts = [
        str(row.get("name") or ""),
        f"{expiry.day} {expiry:%b %Y}" if expiry is not None else "",
        f"lot {lot:,}" if lot > 1 else "",
    ]
    return " · ".join(part for part in parts if part)
