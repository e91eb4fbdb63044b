"""What a relay has its source subscribe: the highest mode that anybody wants. Loop thread.

The source has its own subscriptions, such as those that a recorder was started with. Clients
may add to them and never take away from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.errors import CapacityExceeded, KitePolarsError
from kitepolars.frames.index import TokenIndex
from kitepolars.relay.packets import Levels, level_of, mode_of
from kitepolars.source import LiveSource, Record, Source, Subscribed, Unsubscribed
from kitepolars.wire.layouts import MODES

RETRY_INTERVAL: Final = 1.0
"""Seconds until a source that could not be asked is asked again."""


class Upstream:
    """Brings a source to what its clients want.

    Parameters
    ----------
    source
        The source. Only a live one can be asked.
    index
        Gives each instrument its slot.
    refuse
        Called with the tokens that the source has no room for.
    """

    def __init__(
        self, source: Source, index: TokenIndex, refuse: Callable[[Collection[int]], None]
    ) -> None:
        self._source = source
        self._index = index
        self._refuse = refuse
        self._own: Levels = np.zeros(0, np.uint8)  # what others subscribed
        self._asked: Levels = np.zeros(
            0, np.uint8
        )  # what was last asked of the source, here or elsewhere
        self._wanted: Levels = np.zeros(0, np.uint8)
        self._announced: list[Subscribed | Unsubscribed] = []  # records of what is asked here
        self._failure: str | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many instruments are subscribed."""
        return int(np.count_nonzero(self._asked))

    def take(self, record: Record) -> None:
        """Take note of subscriptions, made here or elsewhere."""
        if not isinstance(record, Subscribed | Unsubscribed):
            return
        announced = record._replace(at=0)
        if announced in self._announced:
            self._announced.remove(announced)
            return
        level = level_of(record.mode) if isinstance(record, Subscribed) else 0
        slots = self._slots(record.instrument_tokens)
        self._own[slots] = self._asked[slots] = level
        self._changed.set()

    def want(self, levels: Levels) -> None:
        """Have the source deliver this much, by slot, besides what it delivers for others."""
        self._wanted = levels
        self._changed.set()

    def start(self) -> None:
        """Begin to ask the source, if it can be asked."""
        if isinstance(self._source, LiveSource):
            self._changed = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run(self._source))

    async def stop(self) -> None:
        """Take back what clients added."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._wanted = np.zeros(0, np.uint8)
            await self._apply(self._source)  # type: ignore[arg-type]

    async def _run(self, source: LiveSource) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not await self._apply(source):
                await asyncio.sleep(RETRY_INTERVAL)
                self._changed.set()

    async def _apply(self, source: LiveSource) -> bool:
        """Tell the source what differs; return whether it took that."""
        self._grow()
        desired = np.maximum(self._own, self._wanted)
        try:
            for level in range(len(MODES) + 1):  # room is made before it is taken
                slots = np.flatnonzero((desired != self._asked) & (desired == level))
                if len(slots):
                    await self._ask(source, level, slots)
        except KitePolarsError as error:
            self._report(f"the source cannot be asked: {error}")
            return False
        self._report(None)
        return True

    async def _ask(self, source: LiveSource, level: int, slots: npt.NDArray[np.intp]) -> None:
        tokens = tuple(self._index.tokens[slots].tolist())
        before = self._asked[slots]
        self._asked[slots] = level
        record = Subscribed(0, mode_of(level), tokens) if level else Unsubscribed(0, tokens)
        self._announced.append(record)
        try:
            if isinstance(record, Subscribed):
                await _ask_source(source, source.subscribe, tokens, record.mode)
            else:
                await _ask_source(source, source.unsubscribe, tokens)
        except KitePolarsError as error:
            self._announced.remove(record)
            self._asked[slots] = before
            if not isinstance(error, CapacityExceeded):
                raise
            await self._ask_for_some(source, level, slots, error.available)

    async def _ask_for_some(
        self, source: LiveSource, level: int, slots: npt.NDArray[np.intp], room: int
    ) -> None:
        """Subscribe what there is room for, and refuse the rest, as Kite does."""
        is_new = self._asked[slots] == 0
        refused = slots[is_new][room:]
        self._refuse(self._index.tokens[refused].tolist())
        rest = np.setdiff1d(slots, refused)
        if len(rest) < len(slots) and len(rest):
            await self._ask(source, level, rest)

    def _report(self, failure: str | None) -> None:
        """Note when the source becomes unable to answer, and when it answers again."""
        if failure != self._failure:
            self._failure = failure
            self._source.note("relay", failure or "the source takes subscriptions again")

    def _slots(self, tokens: Collection[int]) -> npt.NDArray[np.int32]:
        slots = self._index.slots(np.fromiter(tokens, np.uint32, len(tokens)))
        self._grow()
        return slots

    def _grow(self) -> None:
        self._own = padded(self._own, len(self._index))
        self._asked = padded(self._asked, len(self._index))
        self._wanted = padded(self._wanted, len(self._index))


async def _ask_source(
    source: LiveSource, method: Callable[..., object], *arguments: object
) -> None:
    """Call a method of a source: in a thread if it waits for another process."""
    if source.blocks:
        await asyncio.to_thread(method, *arguments)
    else:
        method(*arguments)


def padded(levels: Levels, size: int) -> Levels:
    """Return levels extended to at least this number of slots; new ones want nothing."""
    missing = size - len(levels)
    return levels if missing <= 0 else np.concatenate([levels, np.zeros(missing, np.uint8)])
