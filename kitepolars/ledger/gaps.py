"""The gaps in the data. Loop thread only.

A gap belongs to instruments: it opens when the connection that delivered them is lost, and an
instrument is out of it with its own next packet, wherever that comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Heartbeats,
    Lost,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Text,
    Unsubscribed,
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap in the data: when it began and ended, and how many instruments it affects.

    Parameters
    ----------
    connection
        Index of the connection that was lost.
    account
        Name of its account.
    started_at
        The last message before the loss, in microseconds since the Unix epoch, UTC.
    ended_at
        The first packet of one of the instruments after it, likewise; None while open.
    reason
        Why the connection was lost.
    instruments
        The number of affected instruments; 0 where only order updates may be missing.
    waiting
        How many of them have not had a packet since. Kite sends nothing for an instrument
        without a cached value until it trades.
    """

    connection: int
    account: str
    started_at: int
    ended_at: int | None
    reason: str
    instruments: int
    waiting: int = 0


class _Open:
    """A gap some of whose instruments have not had a packet, or that continues all the same."""

    def __init__(self, gap: Gap, tokens: Iterable[int], *, continues: bool) -> None:
        self.gap = gap
        self.waiting = set(tokens)
        self.continues = continues

    def arrived(self, tokens: Iterable[int], at: int) -> None:
        """Take note that instruments of it have had a packet, the first of them at a time."""
        self.waiting.difference_update(tokens)
        self.gap = replace(
            self.gap,
            ended_at=at if self.gap.ended_at is None else min(at, self.gap.ended_at),
            waiting=len(self.waiting),
        )

    def forget(self, tokens: Iterable[int], at: int) -> None:
        """Take note that instruments were unsubscribed."""
        self.waiting.difference_update(tokens)
        ended_at = at if not self.waiting and self.gap.ended_at is None else self.gap.ended_at
        self.gap = replace(self.gap, waiting=len(self.waiting), ended_at=ended_at)


class Gaps:
    """All gaps, closed and open.

    Who decodes packets reports the first ones of instruments that wait by `arrived`, once
    `decoded` is set. Until then the first message after a subscription counts for all its
    instruments, and the first after a loss on a connection that stayed open for all that were
    lost. A gap without instruments ends with whatever its connection delivers next.

    Examples
    --------
    >>> gaps = Gaps()
    >>> gaps.take(Lost(9_000_000, 1, "main", 5_000_000, "silent for 5.0 s", (408065, 884737)))
    >>> gaps.arrived({408065: 11_000_000})
    >>> gap, = gaps.snapshot()
    >>> gap.ended_at, gap.waiting
    (11000000, 1)
    """

    def __init__(self) -> None:
        self.decoded = False
        self._closed: list[Gap] = []
        self._open: list[_Open] = []
        self._subscribed: defaultdict[int, set[int]] = defaultdict(set)  # by connection
        self._connected: set[int] = set()
        self._unheard: set[int] = set()  # connections of open gaps without instruments

    def __len__(self) -> int:
        return len(self._closed) + len(self._open)

    def take(self, record: Record) -> None:
        """Take a record; those that say nothing about gaps are ignored."""
        if isinstance(record, (Messages, Heartbeats, Text)):
            self.hear(record)
        elif isinstance(record, MessageBlock):
            self._hear_block(record)
        elif isinstance(record, ConnectionChanged):
            is_open = record.state is ConnectionState.OPEN
            (self._connected.add if is_open else self._connected.discard)(record.connection)
            self._resume(record.connection)
        elif isinstance(record, Lost):
            self._lose(record)
        elif not self._open:
            return
        elif isinstance(record, SnapshotsExpected) and not self.decoded:
            self._subscribed[record.connection].update(record.instrument_tokens)
        elif isinstance(record, Unsubscribed):
            for entry in self._open:
                entry.forget(record.instrument_tokens, record.at)
            self._close()
        elif isinstance(record, Stopped):
            self._stop(record.at)

    def hear(self, record: Messages | Heartbeats | Text) -> None:
        """Take note that a connection delivered something."""
        connection, at = record.connection, record.received_at
        if connection in self._unheard:
            self._unheard.remove(connection)
            for entry in self._open:
                if not entry.gap.instruments and entry.gap.connection == connection:
                    entry.forget((), at)
            self._close()
        if self._subscribed and isinstance(record, Messages):
            self.arrived(dict.fromkeys(self._subscribed.pop(connection, ()), at))

    def clear(self) -> None:
        """Forget everything."""
        self._closed.clear()
        self._open.clear()
        self._subscribed.clear()

    def records(self, at: int) -> list[Lost]:
        """Return the gaps that are open as records of a time, for the instruments that wait."""
        return [
            Lost(
                at,
                entry.gap.connection,
                entry.gap.account,
                entry.gap.started_at,
                entry.gap.reason,
                tuple(entry.waiting),
                entry.continues,
            )
            for entry in self._open
        ]

    def arrived(self, first: Mapping[int, int]) -> None:
        """Take note of the first packets of instruments: instrument token → when it was read."""
        for entry in self._open:
            came = entry.waiting & first.keys()
            if came and not entry.continues:
                entry.arrived(came, min(first[token] for token in came))
        self._close()

    def snapshot(self) -> tuple[Gap, ...]:
        """Return all gaps by their start."""
        gaps = [*self._closed, *(entry.gap for entry in self._open)]
        return tuple(sorted(gaps, key=lambda gap: (gap.started_at, gap.connection)))

    def _lose(self, record: Lost) -> None:
        """Open a gap for the instruments that are not in an open one already.

        A loss that is delivered again, with the same beginning and reason, is the same gap: it
        did not end with what came in between.
        """
        self._subscribed.pop(record.connection, None)
        others = [entry for entry in self._open if not _is_same(entry.gap, record)]
        waiting = set().union(*(entry.waiting for entry in others))
        tokens = [token for token in record.instrument_tokens if token not in waiting]
        if tokens or not record.instrument_tokens:
            before = [gap.instruments for gap in self.snapshot() if _is_same(gap, record)]
            count = max(len(tokens), *before, 0)
            account, since = record.account, record.since
            gap = Gap(record.connection, account, since, None, record.reason, count, len(tokens))
            self._closed = [gap for gap in self._closed if not _is_same(gap, record)]
            entry = _Open(gap, tokens, continues=record.continues)
            self._open = [*others, entry]
            if not record.continues:
                self._listen(entry)

    def _listen(self, entry: _Open) -> None:
        """Let a gap end with what its connection delivers, where no packet can end it."""
        connection = entry.gap.connection
        if not entry.gap.instruments:
            self._unheard.add(connection)
        elif not self.decoded and connection in self._connected:
            self._subscribed[connection].update(entry.waiting)

    def _resume(self, connection: int) -> None:
        """Let packets end the gaps of a connection: a process that was killed repeats no loss."""
        for entry in self._open:
            if entry.continues and entry.gap.connection == connection:
                entry.continues = False
                self._listen(entry)

    def _hear_block(self, block: MessageBlock) -> None:
        if self._unheard or self._subscribed:
            for connection, reads in block.by_connection():
                self.hear(Messages(int(reads[0, 0]), connection, ()))

    def _stop(self, at: int) -> None:
        self._subscribed.clear()
        self._unheard.clear()
        for entry in self._open:
            entry.forget(tuple(entry.waiting), at)
        self._close()

    def _close(self) -> None:
        """Keep as they are the gaps that no instrument waits in any more."""
        done = [
            entry for entry in self._open if not entry.waiting and entry.gap.ended_at is not None
        ]
        self._closed += (entry.gap for entry in done)
        self._open = [entry for entry in self._open if entry not in done]


def _is_same(gap: Gap, record: Lost) -> bool:
    """Return whether a loss was delivered before, as a gap."""
    return (gap.connection, gap.started_at, gap.reason) == (
        record.connection,
        record.since,
        record.reason,
    )
