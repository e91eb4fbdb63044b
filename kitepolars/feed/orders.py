"""The order updates, each kept once. Loop thread only.

Kite sends an update to every connection of the user: with three connections
each arrives three times. Two updates are the same when all their fields are.
"""

from __future__ import annotations

from hashlib import blake2b
from types import MappingProxyType

from kitepolars.feed.records import OrderUpdate
from kitepolars.wire.control import TextMessage


class OrderLog:
    """All distinct order updates, in the order of their first arrival.

    Examples
    --------
    >>> from kitepolars.wire.control import parse
    >>> filled = parse('{"type": "order", "data": {"order_id": "1", "filled_quantity": 5}}')
    >>> log = OrderLog()
    >>> [log.add(1_000_000, connection, filled) is None for connection in (0, 1, 2)]
    [False, True, True]
    """

    def __init__(self) -> None:
        self._updates: list[OrderUpdate] = []
        self._seen: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._updates)

    def add(self, at: int, connection: int, message: TextMessage) -> OrderUpdate | None:
        """Keep an update and return it, or None when it is known already.

        Parameters
        ----------
        at
            When it arrived, in microseconds since the Unix epoch, UTC.
        connection
            Index of the connection that delivered it.
        message
            An order message.
        """
        key = blake2b(message.canonical.encode(), digest_size=16).digest()
        if message.order is None or key in self._seen:
            return None
        self._seen.add(key)
        update = OrderUpdate(at, connection, MappingProxyType(dict(message.order)))
        self._updates.append(update)
        return update

    def snapshot(self) -> tuple[OrderUpdate, ...]:
        """Return all of them, oldest first."""
        return tuple(self._updates)
