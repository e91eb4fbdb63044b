"""What Kite allows for each account, and how instruments share the room. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from kitepolars.errors import check_whole_number

MAX_PLACES: Final = 256
"""Connections over all accounts: their index is a UInt8 column of a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What Kite allows per account (API key). Source: Kite Connect v3, "WebSocket streaming".

    Parameters
    ----------
    connections
        Simultaneous WebSocket connections, 1 to 256; Kite rejects a further one with HTTP 429.
    instruments_per_connection
        Instruments per connection, 1 and up; the server ignores further ones.

    Raises
    ------
    ConfigError
        When a value is out of range.

    Examples
    --------
    >>> Limits().connections * Limits().instruments_per_connection
    9000
    """

    connections: int = 3
    instruments_per_connection: int = 3000

    def __post_init__(self) -> None:
        check_whole_number("connections", self.connections, 1, MAX_PLACES)
        per_connection = self.instruments_per_connection
        check_whole_number("instruments_per_connection", per_connection, 1)


def instruments_per_opening(limits: Limits) -> int:
    """Return for how many instruments each a connection is opened: 1,000 with Kite's limits."""
    return -(-limits.instruments_per_connection // limits.connections)


def spread(loads: Collection[int], count: int, limit: int) -> list[int]:
    """Return how many of `count` new instruments each connection gets, to balance the loads.

    Parameters
    ----------
    loads
        Instruments per connection.
    count
        Instruments to add. Those that do not fit are left out.
    limit
        The most instruments per connection.

    Examples
    --------
    >>> spread([0, 0, 0], 9_000, limit=3_000)
    [3000, 3000, 3000]
    >>> spread([10, 2, 5], 6, limit=3_000)
    [0, 5, 1]
    """
    if not loads:
        return []
    low, high = min(loads), limit
    while low < high:  # the highest level to which all can be filled
        level = (low + high + 1) // 2
        fits = sum(max(0, level - load) for load in loads) <= count
        low, high = (level, high) if fits else (low, level - 1)
    shares = [max(0, low - load) for load in loads]
    rest = count - sum(shares)
    for n, load in enumerate(loads):
        if rest and load <= low < limit:
            shares[n] += 1
            rest -= 1
    return shares
