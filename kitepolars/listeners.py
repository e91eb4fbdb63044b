"""Callables that are called with something as it happens: the one mechanism for all of it.

Owned by the loop thread. A listener is foreign code: when it raises, that is logged with
its traceback, and neither the other listeners nor the feed notice. One that can never work again,
such as a wake-up of an event loop that was closed, says so by raising `Gone` and is removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Gone(Exception):
    """Raised by a listener whose owner is gone: it is removed without a word."""


class Listeners(Generic[T]):
    """Listeners, called one after the other.

    Examples
    --------
    >>> heard: list[str] = []
    >>> listeners = Listeners[str]()
    >>> leave = listeners.add(heard.append)
    >>> listeners.tell("tick")
    >>> leave()
    >>> listeners.tell("tock")
    >>> heard
    ['tick']
    """

    def __init__(self) -> None:
        self.registered: tuple[_Registered[T], ...] = ()
        """Those registered; its truth costs a third of that of `len`, where every read asks."""

    def __len__(self) -> int:
        return len(self.registered)

    def add(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Call `listener` from now on; what is returned ends that, and may be called twice."""
        entry = _Registered(listener)
        self.registered = (*self.registered, entry)
        return lambda: self._remove(entry)

    def tell(self, item: T) -> None:
        """Call every listener with an item."""
        for entry in self.registered:
            try:
                entry.listener(item)
            except Gone:
                self._remove(entry)
            except Exception:  # noqa: BLE001 - whatever it is, it is not the feed that failed
                _log.exception("a listener failed")

    def _remove(self, entry: _Registered[T]) -> None:
        self.registered = tuple(one for one in self.registered if one is not entry)


class _Registered(Generic[T]):
    """One registration, so that the same callable may be added twice and removed once."""

    __slots__ = ("listener",)

    def __init__(self, listener: Callable[[T], object]) -> None:
        self.listener = listener
