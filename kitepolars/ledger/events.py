"""The latest events, bounded. Loop thread only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from kitepolars.listeners import Listeners
from kitepolars.source import Event, Record, now_us
from kitepolars.wire.control import printable

EVENTS_KEPT: Final = 10_000
"""Events that are held before the oldest are forgotten."""


class Events:
    """The latest events, and a count of those forgotten.

    Parameters
    ----------
    capacity
        How many events are held.
    clock
        Gives the time in microseconds since the Unix epoch, UTC.

    Examples
    --------
    >>> events = Events(capacity=2)
    >>> for n in range(3):
    ...     events.add("alert", f"number {n}")
    >>> [event.detail for event in events.snapshot()], events.dropped
    (['number 1', 'number 2'], 1)
    """

    def __init__(self, capacity: int = EVENTS_KEPT, *, clock: Callable[[], int] = now_us) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._clock = clock
        self._total = 0
        self._listeners = Listeners[Event]()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def total(self) -> int:
        """How many events there were in all."""
        return self._total

    @property
    def dropped(self) -> int:
        """How many events were forgotten for newer ones."""
        return self._total - len(self._events)

    def add(self, kind: str, detail: str, connection: int | None = None) -> None:
        """Keep an event of this moment; see `take`."""
        self.take(Event(self._clock(), connection, kind, detail))

    def take(self, record: Record) -> None:
        """Keep an event, its text made printable and cut to a bounded length; ignore the rest."""
        if isinstance(record, Event):
            event = record._replace(kind=printable(record.kind), detail=printable(record.detail))
            self._events.append(event)
            self._total += 1
            self._listeners.tell(event)

    def clear(self) -> None:
        """Forget everything but who listens."""
        self._events.clear()
        self._total = 0

    def snapshot(self) -> tuple[Event, ...]:
        """Return the events held, oldest first."""
        return tuple(self._events)

    def listen(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener` with every event from now on; what is returned ends that."""
        return self._listeners.add(listener)
