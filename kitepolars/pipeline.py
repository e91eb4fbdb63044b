"""The one junction: messages → decode → buffers → whoever waits for ticks. Loop thread.

A source, whichever it is, delivers messages; they wait in the inbox until a
flush decodes all of them together. Only `store.held`, which a flush replaces
as a whole, is read by other threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.errors import ConfigError
from kitepolars.feed.records import EventLog, Message
from kitepolars.frames.store import TickStore
from kitepolars.wire.decode import decode
from kitepolars.wire.scan import Packets, Scanner

FLUSH_BYTES: Final = 1024 * 1024
"""A batch of this size still fits a core's cache; larger ones are decoded no faster."""


@dataclass(frozen=True, kw_only=True)
class Flush:
    """When the messages that wait are decoded, besides whenever a reader asks.

    Parameters
    ----------
    interval
        The longest that a message waits, in seconds. 0 decodes each message as it comes.
    max_bytes
        Decode at once when this many bytes wait.

    Raises
    ------
    ConfigError
        When a value is out of range.
    """

    interval: float = 0.05
    max_bytes: int = FLUSH_BYTES

    def __post_init__(self) -> None:
        if not 0 <= self.interval <= 60:  # noqa: PLR2004 - a minute is long enough
            raise ConfigError("interval", self.interval, "0 to 60 seconds")
        if self.max_bytes < 1:
            raise ConfigError("max_bytes", self.max_bytes, "at least 1 byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStats:
    """The pipeline's counters.

    Parameters
    ----------
    packets
        Packets in the messages, rejected ones included.
    ticks
        Packets that became rows.
    rejected_packets
        Packets of unknown length.
    rejected_messages
        Messages that were cut or went on too long.
    dropped
        Messages whose ticks were lost here, by a failure that `events()` describes.
    """

    packets: int = 0
    ticks: int = 0
    rejected_packets: int = 0
    rejected_messages: int = 0
    dropped: int = 0


class Pipeline:
    """Turns messages into published ticks; a `Sink` for any source.

    Parameters
    ----------
    store
        Where ticks are kept.
    events
        Where rejections are reported.
    flush
        When to decode.
    """

    def __init__(self, store: TickStore, events: EventLog, flush: Flush | None = None) -> None:
        self.store = store
        self._events = events
        self._flush = flush or Flush()
        self._scanner = Scanner()
        # Lists of what the garbage collector does not look at.
        self._messages: list[bytes] = []
        self._reads: list[int] = []  # of each its time, its connection and how many messages
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._awaiting = np.zeros(0, np.bool_)  # by slot, whether a snapshot is expected
        self._is_awaiting = False  # any of them
        self._unknown_segments: set[int] = set()
        self._packets = self._ticks = 0
        self._rejected_packets = self._rejected_messages = self._dropped = 0
        self._listeners: list[Callable[[], None]] = []
        self._taps: list[Callable[[Message], None]] = []

    def stats(self) -> PipelineStats:
        """Return the counters of this moment."""
        return PipelineStats(
            packets=self._packets,
            ticks=self._ticks,
            rejected_packets=self._rejected_packets,
            rejected_messages=self._rejected_messages,
            dropped=self._dropped,
        )

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each flush that published ticks; it must be quick and not raise.

        Returns
        -------
        Callable
            Ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tap(self, listener: Callable[[Message], None]) -> Callable[[], None]:
        """Call `listener` with each message as it comes; it must be quick and not raise.

        Returns
        -------
        Callable
            Ends it.
        """
        self._taps.append(listener)
        return lambda: self._taps.remove(listener)

    def messages(self, received_at: int, connection: int, messages: Sequence[bytes]) -> None:
        """Take the messages of one read; see `Sink.messages`."""
        self._messages += messages
        self._reads += (received_at, connection, len(messages))
        self._bytes += sum(map(len, messages))
        if self._taps:
            self._tell(received_at, connection, messages)
        if self._bytes >= self._flush.max_bytes:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush.interval, self._due)

    def _tell(self, received_at: int, connection: int, messages: Sequence[bytes]) -> None:
        for data in messages:
            message = Message(received_at, connection, data)
            for tap in self._taps:
                tap(message)

    def expect_snapshots(self, instrument_tokens: Collection[int]) -> None:
        """Mark the next packet of each instrument as the server's cached value."""
        self.flush()  # what waits came before the subscription
        self._await(instrument_tokens, awaiting=True)

    def forget(self, instrument_tokens: Collection[int]) -> None:
        """Expect no snapshot of these any more."""
        self.flush()
        self._await(instrument_tokens, awaiting=False)

    def _await(self, instrument_tokens: Collection[int], *, awaiting: bool) -> None:
        tokens = np.fromiter(instrument_tokens, np.uint32, len(instrument_tokens))
        slots = self.store.slots(tokens)
        self._make_room()
        self._awaiting[slots] = awaiting
        self._is_awaiting = bool(self._awaiting.any())

    def _make_room(self) -> None:
        new = len(self.store.index) - len(self._awaiting)
        if new > 0:
            self._awaiting = np.concatenate([self._awaiting, np.zeros(new, np.bool_)])

    def _due(self) -> None:
        """Flush for the timer, which a flush for another reason does not stop: that costs more."""
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Decode and publish every message that waits."""
        if not self._messages:
            return
        messages, self._messages = self._messages, []
        reads, self._reads = self._reads, []
        self._bytes = 0
        try:
            self._decode(messages, reads)
        except Exception as error:  # noqa: BLE001 - the feed outlives any failure here
            self._dropped += len(messages)
            self._events.add("dropped", f"{len(messages)} messages could not be kept: {error!r}")
        for listener in tuple(self._listeners):
            listener()

    def _decode(self, messages: list[bytes], reads: list[int]) -> None:
        packets = self._scanner.scan(messages)
        table = np.fromiter(reads, np.int64, len(reads)).reshape(-1, 3)
        self._report(packets, table)
        start = 0
        while start < len(packets):
            stop = min(len(packets), start + self.store.buffer.room)
            self._append(packets, table, start, stop)
            start = stop

    def _append(
        self, packets: Packets, reads: npt.NDArray[np.int64], start: int, stop: int
    ) -> None:
        """Write packets into the buffer, which has room for them, and publish them."""
        buffer = self.store.buffer
        unknown = decode(packets, start, stop, buffer.target, buffer.length)
        buffer.stamp(reads, packets.counts, start, stop)
        slots = self.store.place(stop - start)
        self.store.append(packets.codes[start:stop], self._take_snapshots(slots))
        self._ticks += stop - start
        self._report_segments(unknown.tolist())

    def _take_snapshots(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_] | None:
        """Say which rows are the first of an instrument after a subscribe, if any is."""
        if not self._is_awaiting:
            return None
        self._make_room()
        candidates = np.flatnonzero(self._awaiting[slots])
        if not len(candidates):
            return None
        _, first = np.unique(slots[candidates], return_index=True)
        is_snapshot = np.zeros(len(slots), np.bool_)
        is_snapshot[candidates[first]] = True
        self._awaiting[slots[candidates]] = False
        self._is_awaiting = bool(self._awaiting.any())
        return is_snapshot

    def _report(self, packets: Packets, reads: npt.NDArray[np.int64]) -> None:
        self._packets += len(packets) + packets.rejected_packets
        self._rejected_packets += packets.rejected_packets
        self._rejected_messages += packets.rejected_messages
        for rejection in packets.rejections:
            read = np.searchsorted(np.cumsum(reads[:, 2]), rejection.item, side="right")
            self._events.add("rejected", str(rejection), int(reads[read, 1]))

    def _report_segments(self, codes: Collection[int]) -> None:
        for code in codes:
            if code not in self._unknown_segments:
                self._unknown_segments.add(code)
                self._events.add(
                    "unknown_segment",
                    f"segment code {code} is not known; its prices are divided by 100",
                )
