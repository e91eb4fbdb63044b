"""The holes in the data. Loop thread only.

A gap opens when a connection is lost. It ends with the first data after its
instruments have been subscribed again: on the same connection, or on the one
that they were moved to, in which case the gap is split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kitepolars.feed.records import Gap


@dataclass(slots=True)
class _Open:
    """A gap that has not ended, and the connection whose data will end it."""

    gap: Gap
    awaits: int


class GapLog:
    """All gaps, ended and open.

    Examples
    --------
    >>> log = GapLog()
    >>> log.open(Gap(1, "main", 5_000_000, None, "silent for 5.0 s", 3_000))
    >>> log.end(1, 9_000_000)
    >>> log.snapshot()[0].ended_at
    9000000
    """

    def __init__(self) -> None:
        self._ended: list[Gap] = []
        self._open: list[_Open] = []

    def __len__(self) -> int:
        return len(self._ended) + len(self._open)

    def pending(self, connection: int) -> int:
        """Count the instruments whose gap waits for a connection's data."""
        return sum(entry.gap.instruments for entry in self._open if entry.awaits == connection)

    def open(self, gap: Gap) -> None:
        """Note a hole that begins, and that data on its own connection will end."""
        self._open.append(_Open(gap, gap.connection))

    def move(self, source: int, target: int, instruments: int) -> None:
        """Let the data of another connection end the gap for some of the instruments."""
        for entry in [entry for entry in self._open if entry.awaits == source]:
            moved = min(instruments, entry.gap.instruments)
            if not moved:
                continue
            instruments -= moved
            self._open.append(_Open(replace(entry.gap, instruments=moved), target))
            entry.gap = replace(entry.gap, instruments=entry.gap.instruments - moved)
            if not entry.gap.instruments:
                self._open.remove(entry)

    def end(self, connection: int, at: int) -> None:
        """Note that a connection's data has come back."""
        for entry in [entry for entry in self._open if entry.awaits == connection]:
            self._open.remove(entry)
            self._ended.append(replace(entry.gap, ended_at=at))

    def end_all(self, at: int) -> None:
        """Note that no more data is wanted."""
        for connection in {entry.awaits for entry in self._open}:
            self.end(connection, at)

    def snapshot(self) -> tuple[Gap, ...]:
        """Return all gaps by their start; those still open have no end."""
        gaps = [*self._ended, *(entry.gap for entry in self._open)]
        return tuple(sorted(gaps, key=lambda gap: (gap.started_at, gap.connection)))
