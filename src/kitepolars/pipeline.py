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
        self._awaiting = np.zeros(0, np.bool_)
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
        slots = self._slots_of(instrument_tokens)
        self._make_room()
        self._awaiting[slots] = True

    def forget(self, instrument_tokens: Collection[int]) -> None:
        """Expect no snapshot of these any more."""
        self.flush()
        slots = self._slots_of(instrument_tokens)
        self._make_room()
        self._awaiting[slots] = False

    def _slots_of(self, instrument_tokens: Collection[int]) -> npt.NDArray[np.int32]:
        tokens = np.fromiter(instrument_tokens, np.uint32, len(instrument_tokens))
        return self.store.slots(tokens)

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
        times, connections, counts = np.fromiter(reads, np.int64, len(reads)).reshape(-1, 3).T
        times = np.repeat(times, counts)
        sources = np.repeat(connections.astype(np.uint8), counts)
        self._report(packets, sources)
        start = 0
        while start < len(packets):
            stop = min(len(packets), start + self.store.buffer.room)
            self._append(packets, start, stop, times, sources)
            start = stop

    def _append(
        self,
        packets: Packets,
        start: int,
        stop: int,
        times: npt.NDArray[np.int64],
        sources: npt.NDArray[np.uint8],
    ) -> None:
        """Write packets into the buffer, which has room for them, and publish them."""
        buffer = self.store.buffer
        first, last = buffer.length, buffer.length + stop - start
        columns = buffer.columns
        unknown = decode(packets, start, stop, buffer.target, first)
        message = packets.messages[start:stop]
        for name, values in (("received_at", times), ("connection", sources)):
            np.take(values, message, out=columns[name][first:last], mode="clip")  # unbuffered
        slots = self.store.slots(columns["instrument_token"][first:last])
        self.store.append(slots, packets.codes[start:stop], self._take_snapshots(slots))
        self._ticks += stop - start
        self._report_segments(unknown.tolist())

    def _take_snapshots(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Say which rows are the first of an instrument after a subscribe."""
        self._make_room()
        if not self._awaiting.any():
            return np.zeros(len(slots), np.bool_)
        is_snapshot = self._awaiting[slots]
        if is_snapshot.any():
            candidates = np.flatnonzero(is_snapshot)
            _, first = np.unique(slots[candidates], return_index=True)
            is_snapshot[:] = False
            is_snapshot[candidates[first]] = True
            self._awaiting[slots[candidates]] = False
        return is_snapshot

    def _report(self, packets: Packets, sources: npt.NDArray[np.uint8]) -> None:
        self._packets += len(packets) + packets.rejected_packets
        self._rejected_packets += packets.rejected_packets
        self._rejected_messages += packets.rejected_messages
        for rejection in packets.rejections:
            self._events.add("rejected", str(rejection), int(sources[rejection.message]))

    def _report_segments(self, codes: Collection[int]) -> None:
        for code in codes:
            if code not in self._unknown_segments:
                self._unknown_segments.add(code)
                self._events.add(
                    "unknown_segment",
                    f"segment code {code} is not known; its prices are divided by 100",
                )
