"""The order updates, each kept once. Loop thread only.

Kite sends an update to every connection of the user: with three connections each arrives three
times. Two updates are the same when all their fields are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from kitepolars.listeners import Listeners
from kitepolars.wire.control import TextMessage


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One distinct order update, however many connections delivered it.

    Parameters
    ----------
    received_at
        When it first arrived, in microseconds since the Unix epoch, UTC.
    connection
        Index of the connection that delivered it first.
    data
        The order's fields as sent. Times in it are IST without an offset.
    size
        Characters of it as JSON: its part of what may wait for a callback.
    """

    received_at: int
    connection: int
    data: Mapping[str, Any]
    size: int = 0


class Orders:
    """All distinct order updates, in the order of their first arrival.

    Examples
    --------
    >>> from kitepolars.wire.control import parse
    >>> filled = parse('{"type": "order", "data": {"order_id": "1", "filled_quantity": 5}}')
    >>> orders = Orders()
    >>> [orders.add(1_000_000, connection, filled) for connection in (0, 1, 2)]
    [True, False, False]
    """

    def __init__(self) -> None:
        self._updates: list[OrderUpdate] = []
        self._seen: set[bytes] = set()
        self._listeners = Listeners[OrderUpdate]()

    def __len__(self) -> int:
        return len(self._updates)

    def add(self, at: int, connection: int, message: TextMessage) -> bool:
        """Keep an order message, unless it is known already; return whether it is new.

        Parameters
        ----------
        at
            When it arrived, in microseconds since the Unix epoch, UTC.
        connection
            Index of the connection that delivered it.
        message
            The message.
        """
        text = message.canonical
        key = blake2b(text.encode(), digest_size=16).digest()
        if message.order is None or key in self._seen:
            return False
        self._seen.add(key)
        fields = MappingProxyType(dict(message.order))
        update = OrderUpdate(at, connection, fields, len(text))
        self._updates.append(update)
        self._listeners.tell(update)
        return True

    def clear(self) -> None:
        """Forget everything but who listens."""
        self._updates.clear()
        self._seen.clear()

    def snapshot(self) -> tuple[OrderUpdate, ...]:
        """Return all of them, oldest first."""
        return tuple(self._updates)

    def listen(self, listener: Callable[[OrderUpdate], object]) -> Callable[[], None]:
        """Call `listener` with each distinct update; what is returned ends that."""
        return self._listeners.add(listener)
