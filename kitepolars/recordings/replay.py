"""A recording as a source: its records, delivered again on the time at which they were recorded.

Loop thread. Time is divided into steps of the same length. All records of a step are delivered and
decoded in one turn of the loop, so listeners get the same batches in every replay, at any speed,
independently of other threads.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterator
from itertools import takewhile
from os import PathLike
from typing import Final

from kitepolars.errors import ConfigError
from kitepolars.frames.store import Retention, TickStore
from kitepolars.journal.codec import time_of
from kitepolars.journal.reader import read_records
from kitepolars.ledger import Ledger
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.source import (
    Listing,
    Lost,
    Record,
    SnapshotsExpected,
    Source,
    Subscribed,
    Unsubscribed,
)

REPLAY_STEP: Final = 50_000
"""Microseconds of recorded time whose records are delivered together: a live ticker's flush."""

PAUSE: Final = 60_000_000
"""Microseconds without a record after which the next one follows at once: nights, weekends."""

TURN: Final = 0.002
"""Seconds that are not worth a wait: a fast replay delivers several steps, and waits then."""

_EARLIER_ROWS: Final = 100_000
"""Ticks before the beginning that are held while what stands there is found out."""


class ReplaySource(Source):
    """Delivers a recording's records.

    Parameters
    ----------
    path
        The recording's folder, a day's folder in it, or a segment.
    begin, end
        The first time, and the time before which it ends, in microseconds since the Unix epoch,
        UTC; None for all there is. What was subscribed and open at `begin` comes first.
    speed
        How many times as fast as it was recorded; None for as fast as possible, each step when the
        one before has been worked on.
    only
        Instrument tokens: records of others are left out. By default none is.

    Raises
    ------
    ConfigError
        When the speed is not above 0.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        begin: int | None = None,
        end: int | None = None,
        speed: float | None = 1.0,
        only: Collection[int] | None = None,
    ) -> None:
        super().__init__()
        self._path = path
        self._begin = begin
        self._end = end
        self._only = None if only is None else frozenset(only)
        self._records = self._open()
        self._next: Record | None = None
        self._now = 0
        self._changed = asyncio.Event()
        self._speed: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_paused = False
        self.is_over = False
        """Whether all of it has been delivered."""
        self.speed = speed
        self.flush: Callable[[], object] = lambda: None
        """Decodes what was delivered; called at the end of a step."""
        self.clear: Callable[[], object] = lambda: None
        """Forgets what was delivered; called before the recording restarts."""
        self.settled: Callable[[], Awaitable[object]] = _at_once
        """Waits until listeners have processed a step; awaited if there is no speed."""
        self._advance()
        self._now = self.first = 0 if self._next is None else time_of(self._next)
        """When the first record was recorded."""

    @property
    def description(self) -> str:
        """What it is, for error messages."""
        return f"a recording ({self._path})"

    @property
    def speed(self) -> float | None:
        """How many times as fast as it was recorded; None for as fast as possible."""
        return self._speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        if speed is not None and not (math.isfinite(speed) and speed > 0):
            raise ConfigError("speed", speed, "a number above 0, or None")
        self._speed = speed
        self._changed.set()

    def now(self) -> int:
        """Return the recorded time up to which records have been delivered."""
        return self._now

    async def start(self) -> None:
        """Play from the current time on."""
        if self._task is None or self._task.done():
            self._changed = asyncio.Event()  # of this loop
            self._task = asyncio.get_running_loop().create_task(self._play())

    async def stop(self) -> None:
        """Stop; `start` continues from here."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def pause(self) -> None:
        """Pause until `resume`."""
        self.is_paused = True
        self._changed.set()

    def resume(self) -> None:
        """Continue after `pause`."""
        self.is_paused = False
        self._changed.set()

    def seek(self, time: int) -> None:
        """Go to a time, back or forth: the state is then as if it had been played up to there.

        Parameters
        ----------
        time
            In microseconds since the Unix epoch, UTC.
        """
        if time < self._now:
            self.clear()
            self._records = self._open()
            self._advance()
            self._now = self.first
            self.is_over = self._next is None
        while self._next is not None and time_of(self._next) < time:
            self._deliver_step(min(time, self._step_end()))
        if self._next is not None:
            self._now = max(self._now, time)
            self._replay_from_here()
        self._changed.set()

    def _replay_from_here(self) -> None:
        """Begin to play again, if it was running and over."""
        if self._task is not None and self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._play())

    # -- playing ------------------------------------------------------------------------------

    async def _play(self) -> None:
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - such as a recording that was deleted meanwhile
            self.note("replay", f"the replay ended early: {error!r}")
        self.is_over = True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._next is not None:
            if self.is_paused:
                await self._change()
                due = loop.time()
                continue
            if self._speed is not None:
                due += self._wait_for(self._step_end()) / self._speed
                if due > loop.time() + TURN and await self._change(due - loop.time()):
                    due = loop.time()  # it was paused, moved, or its speed changed: look again
                    continue
            self._deliver_step(self._step_end())
            if self._speed is None:
                await self.settled()
            await asyncio.sleep(0)

    def _wait_for(self, end: int) -> float:
        """Return the seconds of recorded time until the end of a step; 0 for a long pause."""
        waited = end - self._now
        return 0.0 if waited > PAUSE else waited / 1_000_000

    async def _change(self, seconds: float | None = None) -> bool:
        """Wait until it is paused, resumed or changes its speed, and say whether it was."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _step_end(self) -> int:
        """Return the end of the step that the next record is in."""
        if self._next is None:
            return self._now
        return (time_of(self._next) // REPLAY_STEP + 1) * REPLAY_STEP

    def _deliver_step(self, end: int) -> None:
        """Deliver every record before a time, and have it decoded."""
        while self._next is not None and time_of(self._next) < end:
            self._now = max(self._now, time_of(self._next))
            self.deliver(self._next)
            self._advance()
        self.flush()
        self._now = max(self._now, end)

    def _advance(self) -> None:
        self._next = next(self._records, None)

    # -- the records --------------------------------------------------------------------------

    def _open(self) -> Iterator[Record]:
        records = read_records(self._path, start=self._begin, end=self._end)
        if self._begin is not None:
            records = _from(records, self._begin)
        if (end := self._end) is not None:
            records = takewhile(lambda record: time_of(record) < end, records)
        return records if self._only is None else _only(records, self._only)


async def _at_once() -> None:
    """Do not wait."""


def _from(records: Iterator[Record], begin: int) -> Iterator[Record]:
    """Yield the records from a time on, after those that say what stood then."""
    ledger = Ledger()
    store = TickStore(Retention(max_rows=_EARLIER_ROWS))
    pipeline = Pipeline(store, ledger.events, Flush(interval=None), arrived=ledger.gaps.arrived)
    ledger.gaps.decoded = True
    listing: list[Record] = []
    for record in records:
        if time_of(record) >= begin:
            standing = ledger.records(begin)
            yield from listing
            yield from (*standing, *pipeline.records(ledger.connections.place), record)
            yield from records
            return
        pipeline.take(record)
        ledger.take(record)
        if isinstance(record, Listing):
            listing = [record._replace(at=begin)]


_Selected = Subscribed | Unsubscribed | SnapshotsExpected | Lost


def _only(records: Iterator[Record], tokens: frozenset[int]) -> Iterator[Record]:
    """Yield records of some instruments. Messages stay whole: packets are selected later."""
    for record in records:
        if not isinstance(record, _Selected) or not record.instrument_tokens:
            yield record
        elif some := tuple(token for token in record.instrument_tokens if token in tokens):
            yield record._replace(instrument_tokens=some)
