"""Encoded records until they are written: in order, and readable by other threads meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Roll(NamedTuple):
    """The place where the next segment begins, with its first record's number and time."""

    sequence: int
    at: int


class Encoded(NamedTuple):
    """An encoded record, and how many messages it has."""

    sequence: int
    at: int
    data: bytes
    messages: int


class Unwritten:
    """Records that wait to be written. The writer's thread changes it."""

    def __init__(self) -> None:
        self.bytes = 0
        """Bytes of the records."""
        self._items: deque[Encoded | Roll] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: Encoded | Roll) -> None:
        """Add a record, or the place of a segment, at the end."""
        with self._lock:
            self._items.append(item)
        self._count(item, 1)

    def prepend(self, items: Iterable[Encoded | Roll]) -> None:
        """Add records at the beginning, in their order."""
        for item in reversed(tuple(items)):
            with self._lock:
                self._items.appendleft(item)
            self._count(item, 1)

    def first(self) -> Encoded | Roll:
        """Return what is next."""
        return self._items[0]

    def batch(self, most: int) -> list[Encoded]:
        """Return records before the next segment begins, of `most` bytes or one record more."""
        batch, size = list[Encoded](), 0
        for item in self._items:
            if isinstance(item, Roll) or size >= most:
                break
            batch.append(item)
            size += len(item.data)
        return batch

    def remove_first(self, count: int = 1) -> None:
        """Remove what has been written."""
        for _ in range(count):
            with self._lock:
                item = self._items.popleft()
            self._count(item, -1)

    def data(self, first: int, most: int) -> bytes:
        """Return the bytes of records from a sequence number on. Any thread.

        Parameters
        ----------
        first
            The sequence number.
        most
            Bytes after which no further record is added.
        """
        found, size = [], 0
        with self._lock:
            for item in self._items:
                if isinstance(item, Encoded) and item.sequence >= first:
                    found.append(item.data)
                    size += len(item.data)
                    if size >= most:
                        break
        return b"".join(found)

    def oldest(self, target: int, least: int) -> tuple[int | None, list[Encoded]]:
        """Return the oldest records of messages without which `target` bytes would be left.

        Parameters
        ----------
        target
            Bytes of all records that may be left.
        least
            The least number of records to return, if there are as many.

        Returns
        -------
        tuple
            The time of the record before them, if that waits, too; and the records.
        """
        before, chosen, left = None, list[Encoded](), self.bytes
        for item in self._items:
            if left <= target and len(chosen) >= least:
                break
            if isinstance(item, Encoded) and item.messages:
                chosen.append(item)
                left -= len(item.data)
            elif not chosen:
                before = item.at
        return before, chosen

    def replace(self, others: Mapping[int, Encoded | None]) -> None:
        """Put other records in the place of some, or none: sequence number → record."""
        kept: deque[Encoded | Roll] = deque()
        for item in self._items:
            other = others.get(item.sequence, item) if isinstance(item, Encoded) else item
            if other is None:
                continue
            if kept and isinstance(kept[-1], Roll):  # a segment is named for its first record
                kept.pop()
                if isinstance(other, Encoded):
                    kept.append(Roll(other.sequence, other.at))
            kept.append(other)
        with self._lock:
            self._items = kept
        self.bytes = sum(len(item.data) for item in kept if isinstance(item, Encoded))

    def _count(self, item: Encoded | Roll, sign: int) -> None:
        if isinstance(item, Encoded):
            self.bytes += sign * len(item.data)
