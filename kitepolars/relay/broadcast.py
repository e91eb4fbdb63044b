"""What a source delivers, sent to all clients that want it. Loop thread.

Records wait a few milliseconds for others. Then their packets are found once for all clients, and
what is sent is made once for all clients that want the same. Nothing here waits for a client: what
it does not read is held for it up to a limit, and beyond that it is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from kitepolars.ledger.orders import Orders
from kitepolars.relay.clients import Group, Groups, OpenGaps, RelayClient
from kitepolars.relay.packets import LastPackets, bytes_of
from kitepolars.source import (
    Lost,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Text,
    Unsubscribed,
)
from kitepolars.wire import control
from kitepolars.wire.control import TextKind, parse

COLLECT: Final = 0.005
"""Seconds that messages wait for others to be sent with them."""

COLLECT_BYTES: Final = 4 * 2**20
"""Bytes of messages that do not wait for more."""

IN_GAP: Final = "no packet since a loss before the subscription"


class Broadcast:
    """The packets of a source and what is known of each instrument; a `Sink`.

    Parameters
    ----------
    clients
        Returns the clients that are connected.
    """

    def __init__(self, clients: Callable[[], Collection[RelayClient]]) -> None:
        self._clients = clients
        self.last = LastPackets()
        self.groups = Groups(self.last.index)
        self.greeting: str | None = None
        """What Kite sends first on a connection."""
        self.packets = self.bytes = 0
        """Packets sent, and the bytes of the messages they were in, over all clients."""
        self._gaps = OpenGaps()
        self._orders = Orders()
        self._inbox: list[Messages] = []
        self._inbox_bytes = 0
        self._flushing: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Send nothing more, unless `flush` is called."""
        if self._flushing is not None:
            self._flushing.cancel()

    def take(self, record: Record) -> None:
        """Take a record; see `Sink.take`."""
        if isinstance(record, MessageBlock):
            for read in record.each():
                self.take(read)
            return
        if isinstance(record, Messages):
            self._inbox.append(record)
            self._inbox_bytes += bytes_of(record.messages)
            if self._inbox_bytes > COLLECT_BYTES:
                self.flush()
            elif self._flushing is None:
                self._flushing = asyncio.get_running_loop().call_later(COLLECT, self.flush)
            return
        self.flush()
        if isinstance(record, Text):
            self._take_text(record)
        elif isinstance(record, Lost):
            self._pass_on_loss(record)
        elif isinstance(record, SnapshotsExpected):
            self._announce_snapshots(record)
        elif isinstance(record, Unsubscribed):
            tokens = np.fromiter(record.instrument_tokens, np.uint32)
            self.last.forget(self.last.index.slots(tokens))

    def flush(self) -> None:
        """Send the packets that wait."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if not self._inbox:
            return
        records, self._inbox, self._inbox_bytes = self._inbox, [], 0
        batch = self.last.read(records)
        self.last.keep(batch)
        self._gaps.arrived(batch.selection.slots)
        for group in self.groups.all():
            packets, frames = batch.frames(group.cover(len(self.last.index)))
            for client in tuple(group.clients) if packets else ():
                self._send(client, packets, frames)

    def _send(self, client: RelayClient, packets: int, frames: bytes) -> None:
        if frames and client.write_frames(frames):
            self.packets += packets
            self.bytes += len(frames)

    def _take_text(self, record: Text) -> None:
        """Pass an order or an alert on to clients that get them, once for all connections."""
        message = parse(record.text)
        if message.kind is TextKind.INSTRUMENTS_META:
            self.greeting = record.text
        elif message.kind is TextKind.MESSAGE or (
            message.kind is TextKind.ORDER
            and self._orders.add(record.received_at, record.connection, message)
        ):
            for client in self._clients():
                if client.gets_orders:
                    client.write(record.text)

    def _pass_on_loss(self, record: Lost) -> None:
        """Announce a gap to the clients of its instruments, or to those that get orders."""
        tokens = np.array(record.instrument_tokens, np.uint32)
        slots = self.last.index.slots(tokens)
        self._gaps.lose(slots, record.since)
        if len(tokens):
            for group in self.groups.all():
                mine = tokens[group.wants(slots)].tolist()
                self._send_text(group, control.gap(record.since, record.reason, mine), mine)
        else:
            for client in self._clients():
                if client.gets_orders:
                    client.write(control.gap(record.since, record.reason, []))

    def _announce_snapshots(self, record: SnapshotsExpected) -> None:
        """Announce cached values to clients that have these instruments already."""
        tokens = np.array(record.instrument_tokens, np.uint32)
        slots = self.last.index.slots(tokens)
        for group in self.groups.all():
            mine = tokens[group.wants(slots)].tolist()
            self._send_text(group, control.snapshots(mine), mine)

    @staticmethod
    def _send_text(group: Group, text: str, instrument_tokens: list[int]) -> None:
        """Send a text to a group, if it is about any of its instruments."""
        if instrument_tokens:
            for client in tuple(group.clients):
                client.write(text)

    def send_snapshots(self, client: RelayClient, group: Group) -> None:
        """Send the last packets of what was subscribed, and what gaps they are in."""
        owed = client.subscriptions.snapshots_owed
        tokens = np.fromiter(owed, np.uint32, len(owed))
        slots = self.last.index.slots(tokens)
        owed.clear()  # those without a packet yet will come as they are received
        self._send(client, *self.last.of(slots).frames(group.cover(len(self.last.index))))
        since = self._gaps.of(slots)
        for begin in np.unique(since[since > 0]).tolist():
            client.write(control.gap(begin, IN_GAP, tokens[since == begin].tolist()))
