"""Messages → decoded, stored ticks → listeners. A sink for any source. Loop thread.

Messages wait in the inbox until a flush decodes all of them together. Only `TickStore.held`, which
a flush replaces as a whole, is read by other threads.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars.errors import ConfigError
from kitepolars.frames.first_packets import FirstPackets
from kitepolars.frames.index import InstrumentFilter
from kitepolars.frames.store import NewRows, TickStore
from kitepolars.frames.times import TimeCheck, WrongTimes
from kitepolars.ledger.events import Events
from kitepolars.listeners import Listeners
from kitepolars.source import (
    ClockMoved,
    Event,
    Lost,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Unsubscribed,
)
from kitepolars.wire.scan import Packets, Scanner
from kitepolars.wire.stream import RawMessages

TIMES_REPORTED: Final = 10
"""At most this many impossible times are described in `events()`; all are counted."""

_SINGLE_MESSAGE: Final = (0, -1)
"""The bounds of an item that is a single message."""

LISTENED: Final = 0.008
"""The default interval of flushes in seconds while a callback or a stream listens.

A callback then has half of the ticks within 5 ms, at less than 5 % of a core in a busy market.
"""

FLUSH_BYTES: Final = 1024 * 1024
"""A batch of this size still fits a core's cache; larger ones are decoded no faster."""


@dataclass(frozen=True, kw_only=True)
class Flush:
    """When waiting messages are decoded, besides on every read.

    Parameters
    ----------
    interval
        The time between two flushes, and so the longest that a message waits, in seconds, 0 to 60.
        0 decodes each message on arrival; None decodes only for readers, at `max_bytes`, or when
        the source says so.
    max_bytes
        Decode as soon as this many bytes wait; 1 and up.

    Raises
    ------
    ConfigError
        When a value is out of range.
    """

    interval: float | None = 0.05
    max_bytes: int = FLUSH_BYTES

    def __post_init__(self) -> None:
        if self.interval is not None and not 0 <= self.interval <= 60:  # noqa: PLR2004 - enough
            raise ConfigError("interval", self.interval, "0 to 60 seconds, or None")
        if self.max_bytes < 1:
            raise ConfigError("max_bytes", self.max_bytes, "at least 1 byte")


@dataclass(slots=True, kw_only=True)
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
        Messages that ended too soon or had bytes left over.
    rejected_times
        Times that could not be true and are null.
    dropped
        Messages whose ticks were lost here, by a failure that `events()` describes.
    """

    packets: int = 0
    ticks: int = 0
    rejected_packets: int = 0
    rejected_messages: int = 0
    rejected_times: int = 0
    dropped: int = 0


class Message(NamedTuple):
    """One binary WebSocket message as it came.

    Parameters
    ----------
    received_at
        Microseconds since the Unix epoch, UTC.
    connection
        The index of the connection.
    data
        Its bytes; `kitepolars.packets` finds the packets in them.
    """

    received_at: int
    connection: int
    data: bytes


class Pipeline:
    """Turns the messages of any source into published ticks; a `Sink`.

    Parameters
    ----------
    store
        Where ticks are kept.
    events
        Where rejections are reported.
    flush
        When to decode; by default every 50 ms, and every 8 ms while a listener is not patient.
    arrived
        Called with the first packets of instruments after a loss: token → when it was read.
    only
        Packets that are not selected are ignored. By default all are selected.
    catch_up
        Has the source deliver what has arrived at this machine, then calls its argument; see
        `Source.catch_up`. By default nothing waits there.
    """

    def __init__(
        self,
        store: TickStore,
        events: Events,
        flush: Flush | None = None,
        *,
        arrived: Callable[[Mapping[int, int]], object] | None = None,
        only: InstrumentFilter | None = None,
        catch_up: Callable[[Callable[[], object]], object] = lambda then: then(),
    ) -> None:
        self.store = store
        self._events = events
        self._flush = flush or Flush()
        self._listened = LISTENED if flush is None else flush.interval
        self._flushed_at = 0.0  # by the timer, in the loop's time
        self._arrived = arrived
        self._only = only
        self._catch_up = catch_up
        self._scanner = Scanner()
        # Lists of what the garbage collector does not look at.
        self._inbox: list[bytes] = []
        self._bounds: list[int] = []  # for each where its frames start and stop; see `scan_parts`
        self._reads: list[int] = []  # for each read its time, its connection and how many items
        self._waiting = 0  # messages in the inbox
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_untold = False  # ticks were published since listeners were called
        self._first = FirstPackets()
        self._times = TimeCheck()
        self._unknown_segments: set[int] = set()
        self._counters = PipelineStats()
        self._listeners = Listeners[None]()
        self._patient = Listeners[None]()
        self._taps = Listeners[Message]()

    def stats(self) -> PipelineStats:
        """Return the counters of this moment."""
        return replace(self._counters)

    def listen(
        self, listener: Callable[[], object], *, patient: bool = False
    ) -> Callable[[], None]:
        """Call `listener` after each flush; return a function that ends this.

        Parameters
        ----------
        listener
            Called without arguments.
        patient
            Whether it makes do with the flushes that come anyway: no flush comes sooner for it.
        """
        listeners = self._patient if patient else self._listeners
        return listeners.add(lambda _: listener())

    def tap(self, listener: Callable[[Message], object]) -> Callable[[], None]:
        """Call `listener` with each message on arrival; return a function that ends this."""
        return self._taps.add(listener)

    def records(self, connection_of: Callable[[int], int]) -> list[SnapshotsExpected]:
        """Return the cached values that are still expected as records.

        Parameters
        ----------
        connection_of
            Instrument token → the connection that it is subscribed on.
        """
        self.flush()
        slots, times = self._first.expected()
        expected: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for token, at in zip(self.store.index.tokens[slots].tolist(), times.tolist(), strict=True):
            expected[at, connection_of(token)].append(token)
        return [SnapshotsExpected(*key, tuple(tokens)) for key, tokens in expected.items()]

    def select(self, only: InstrumentFilter) -> None:
        """Ignore packets from now on that are not selected."""
        self._decode_inbox()  # what waits came before
        self._only = only

    def clear(self) -> None:
        """Reset everything but the listeners, as if no record had been taken."""
        self._empty_inbox()
        self._first = FirstPackets()
        self._unknown_segments.clear()
        self._times = TimeCheck()
        self._counters = PipelineStats()
        self.store.clear()

    def take(self, record: Record) -> None:
        """Take a record; see `Sink.take`. Those that are not about ticks are ignored."""
        if isinstance(record, Messages):
            received_at, connection, messages = record
            if isinstance(messages, RawMessages):
                self._inbox.append(messages.data)
                self._bounds += (messages.start, messages.stop)
                self._reads += (received_at, connection, 1)
                self._bytes += messages.size
            else:
                self._inbox += messages
                self._bounds += _SINGLE_MESSAGE * len(messages)
                self._reads += (received_at, connection, len(messages))
                self._bytes += sum(map(len, messages))
            self._waiting += len(messages)
            if self._taps.registered:
                self._tap(record)
            if self._timer is None or self._bytes >= self._flush.max_bytes:
                self._flush_in_time()
        elif isinstance(record, MessageBlock):
            self._take_block(record)
        elif isinstance(record, SnapshotsExpected):
            self._decode_inbox()  # what waits came before the subscription
            self._first.expect(self._slots(record.instrument_tokens), record.at)
        elif isinstance(record, Lost):
            self._decode_inbox()  # what waits came before the loss
            self._first.lose(self._slots(record.instrument_tokens))
        elif isinstance(record, Unsubscribed):
            self._first.forget(self._slots(record.instrument_tokens))
        elif isinstance(record, ClockMoved):
            self._decode_inbox()  # what waits came before
            self.store.move_clock(record.microseconds)

    def _take_block(self, block: MessageBlock) -> None:
        self._inbox += [block.data] * len(block)
        self._bounds += block.bounds.ravel().tolist()
        reads = np.ones((len(block), 3), np.int64)
        reads[:, :2] = block.reads[:, :2]
        self._reads += reads.ravel().tolist()
        messages, size = block.reads[:, 4:].sum(axis=0).tolist()
        self._waiting += messages
        self._bytes += size
        if self._taps.registered:
            for record in block.each():
                self._tap(record)
        self._flush_in_time()

    def _slots(self, tokens: Collection[int]) -> npt.NDArray[np.int32]:
        return self.store.slots(np.fromiter(tokens, np.uint32, len(tokens)))

    def _tap(self, record: Messages) -> None:
        for data in record.messages:
            self._taps.tell(Message(record.received_at, record.connection, data))

    def _flush_in_time(self) -> None:
        """Flush or decode when enough waits; otherwise make sure that the timer runs."""
        interval = self._listened if self._listeners.registered else self._flush.interval
        if self._bytes >= self._flush.max_bytes:
            (self._decode_inbox if interval is None else self.flush)()
        elif self._timer is None and interval is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._flushed_at + interval, self._due)

    def _due(self) -> None:
        """Flush for the timer, which a flush for another reason does not stop: that costs more.

        What has arrived is read first: nothing has to wait for a read, and then for a flush.
        """
        self._timer = None
        self._flushed_at = asyncio.get_running_loop().time()
        self._catch_up(self.flush)

    def flush(self) -> None:
        """Decode and publish every waiting message, and call the listeners."""
        self._decode_inbox()
        if self._is_untold:
            self._is_untold = False
            self._listeners.tell(None)
            self._patient.tell(None)

    def _decode_inbox(self) -> None:
        """Decode and publish every waiting message; listeners are called at the next flush."""
        if not self._inbox:
            return
        items, bounds, reads, messages = self._inbox, self._bounds, self._reads, self._waiting
        self._empty_inbox()
        self._is_untold = True
        try:
            self._decode(items, _rows(bounds, 2), _rows(reads, 3))
        except Exception as error:  # noqa: BLE001 - the feed outlives any failure here
            self._counters.dropped += messages
            self._events.add("dropped", f"{messages} messages could not be kept: {error!r}")

    def _empty_inbox(self) -> None:
        self._inbox, self._bounds, self._reads = [], [], []
        self._bytes = self._waiting = 0

    def _decode(
        self,
        items: list[bytes],
        bounds: npt.NDArray[np.int64],
        reads: npt.NDArray[np.int64],
    ) -> None:
        packets = self._scanner.scan_parts(items, bounds)
        self._report(packets, reads)
        if self._only is not None:
            packets = self._only.select(packets)
        self.store.ahead = self._times.ahead
        unknown = self.store.write(packets, reads, self._mark)
        self._counters.ticks += len(packets)
        self._report_segments(unknown)

    def _mark(self, rows: NewRows) -> npt.NDArray[np.bool_] | None:
        if rows.suspect:
            self._check_times(rows)
        if self._arrived is not None and (found := self._first.found(rows)):
            self._arrived(found)
        return self._first.cached(rows)

    def _check_times(self, rows: NewRows) -> None:
        skew = self._times.skew
        for wrong in self._times.clear(rows):
            self._report_time(wrong)
        if self._times.skew != skew:
            ahead = self._times.skew / 1e6
            detail = f"exchange times are {ahead:,.0f} s ahead: this machine's clock is slow"
            self._events.add("clock", detail)

    def _report(self, packets: Packets, reads: npt.NDArray[np.int64]) -> None:
        counters = self._counters
        counters.packets += len(packets) + packets.rejected_packets
        counters.rejected_packets += packets.rejected_packets
        counters.rejected_messages += packets.rejected_messages
        for rejection in packets.rejections:
            read = np.searchsorted(np.cumsum(reads[:, 2]), rejection.item, side="right")
            at, connection, _ = reads[read].tolist()
            self._events.take(Event(at, connection, "rejected", str(rejection)))

    def _report_time(self, wrong: WrongTimes) -> None:
        """Count rejected times; describe the first of each batch, up to `TIMES_REPORTED`."""
        before = self._counters.rejected_times
        self._counters.rejected_times += wrong.times
        if before < TIMES_REPORTED:
            said = dt.datetime.fromtimestamp(wrong.time / 1e6, dt.UTC).isoformat()
            read = dt.datetime.fromtimestamp(wrong.received_at / 1e6, dt.UTC).isoformat()
            self._events.add(
                "rejected",
                f"{wrong.field} of instrument {wrong.instrument_token} was {said}, read at {read}: "
                "it cannot be true and is null",
            )

    def _report_segments(self, codes: Collection[int]) -> None:
        for code in codes:
            if code not in self._unknown_segments:
                self._unknown_segments.add(code)
                self._events.add(
                    "unknown_segment",
                    f"segment code {code} is not known; its prices are divided by 100",
                )


def _rows(numbers: list[int], columns: int) -> npt.NDArray[np.int64]:
    return np.fromiter(numbers, np.int64, len(numbers)).reshape(-1, columns)
