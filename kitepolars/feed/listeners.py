"""Callables that are told of something as it happens. Loop thread only.

A listener belongs to someone else: when it raises, that is logged with its
traceback, and the feed goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Listeners(Generic[T]):
    """A list of listeners, told one after the other.

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
        self._listeners: tuple[Callable[[T], object], ...] = ()

    def add(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Tell `listener` from now on; what is returned ends that, and may be called twice."""
        entry = _Entry(listener)
        self._listeners = (*self._listeners, entry)
        return lambda: self._remove(entry)

    def tell(self, item: T) -> None:
        """Hand an item to every listener."""
        for listener in self._listeners:
            try:
                listener(item)
            except Exception:  # noqa: BLE001 - whatever it is, it is not the feed that failed
                _log.exception("a listener failed")

    def _remove(self, entry: Callable[[T], object]) -> None:
        self._listeners = tuple(one for one in self._listeners if one is not entry)


class _Entry(Generic[T]):
    """One registration, so that the same callable may be added twice and removed once."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Callable[[T], object]) -> None:
        self._listener = listener

    def __call__(self, item: T) -> object:
        return self._listener(item)
