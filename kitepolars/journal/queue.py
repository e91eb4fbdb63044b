"""The bounded queue between the loop thread, which puts records in, and the writer's thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from kitepolars.journal.codec import time_of
from kitepolars.source import Heartbeats, Listing, Messages, Record, Text
from kitepolars.wire.stream import RawMessages

OVERHEAD: Final = 200
"""Bytes that a record takes in memory besides its content, about."""


class Refused(NamedTuple):
    """Messages that the queue had no room for, in their place.

    Parameters
    ----------
    since
        The time of the last record before them.
    at
        The time of the record after them.
    messages
        How many they are.
    """

    since: int
    at: int
    messages: int


class RecordQueue:
    """Records that wait to be encoded. Only messages are refused: other records are few.

    Parameters
    ----------
    limit
        Bytes of records from which on messages are refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: deque[Record | Refused] = deque()
        # Of the loop thread:
        self._put_bytes = self._refused_since = self._refused = 0
        self.last_at = 0
        """The time of the last record put in."""
        self.not_recorded = 0
        """Messages refused so far."""
        # Of the writer's thread:
        self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def bytes(self) -> int:
        """Bytes of the records that wait."""
        return self._put_bytes - self._taken_bytes

    def put(self, record: Record) -> None:
        """Put a record in, or refuse it. Loop thread."""
        size = _size(record)
        # once messages were refused, until half of the queue is free: one gap, not hundreds
        limit = self._limit // (2 if self._refused else 1)
        if self.bytes + size <= limit:
            self.end(time_of(record))
        elif isinstance(record, Messages | Heartbeats):
            self._refuse(record)
            return
        self.last_at = time_of(record)
        self._put_bytes += size
        self._records.append(record)

    def end(self, at: int) -> None:
        """Put in that messages were refused until a time, if any were. Loop thread."""
        if self._refused:
            self._records.append(Refused(self._refused_since, at, self._refused))
            self._refused = 0

    def _refuse(self, record: Messages | Heartbeats) -> None:
        count = len(record.messages) if isinstance(record, Messages) else 0
        if not self._refused:
            self._refused_since = self.last_at or record.received_at
        self._refused += count
        self.not_recorded += count

    @contextmanager
    def next(self) -> Iterator[Record | Refused]:
        """Yield the next record, which counts as waiting until the block ends. Writer's thread."""
        record = self._records.popleft()
        yield record
        if not isinstance(record, Refused):
            self._taken_bytes += _size(record)


def _size(record: Record) -> int:
    """Return about how many bytes a record keeps in memory."""
    match record:
        case Messages():
            messages = record.messages
            return len(messages.data) if isinstance(messages, RawMessages) else _total(messages)
        case Text():
            return OVERHEAD + len(record.text)
        case Listing():
            return OVERHEAD + len(record.csv)
        case _:
            return OVERHEAD


def _total(messages: Sequence[bytes]) -> int:
    return OVERHEAD + sum(map(len, messages))
