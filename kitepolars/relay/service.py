"""The relay's port: who may connect, and what clients want. Loop thread.

What they are sent is the concern of `Broadcast`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.server import ServerConnection

from kitepolars.errors import ConfigError
from kitepolars.relay.broadcast import Broadcast
from kitepolars.relay.clients import RelayClient
from kitepolars.relay.tokens import RelayTokens
from kitepolars.relay.upstream import Upstream
from kitepolars.secret import is_this_machine
from kitepolars.server.clients import Subscriptions
from kitepolars.server.endpoint import Endpoint, app_code, error
from kitepolars.server.handshake import Login, Refusal, refusal
from kitepolars.source import (
    Source,
)

INSTRUMENTS_PER_CLIENT: Final = 9_000
"""All that an API key can have: three connections with 3,000 each."""

MAX_CLIENTS: Final = 1_000
"""Connections at a time, from which on handshakes get HTTP 429."""

WRITE_BUFFER: Final = 8 * 2**20
"""Bytes that may wait for a client: over two seconds of 18,000 full packets a second."""

MAX_MALFORMED: Final = 100
"""Requests that cannot be read after which a client is dropped."""

REFUSED: Final = 1008
"""The WebSocket close code "policy violation": not to be tried again as it is."""

SETTLE: Final = 0.02
"""Seconds that requests wait for others: a client subscribes first, and sets modes then."""

BEAT: Final = 0.5
"""Seconds between two looks at who is due a heartbeat, and whose token was revoked."""

HEARTBEAT_AFTER: Final = 1.0
"""Seconds without a message after which a client gets a heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStats:
    """The counters of a relay.

    Parameters
    ----------
    clients
        Clients that are connected.
    instruments
        Instruments that the source was asked for, by clients and by others.
    packets, bytes
        Packets sent, and the bytes of the messages they were in, over all clients.
    dropped
        Clients that were dropped because they read too slowly.

    Examples
    --------
    >>> RelayStats(clients=1, instruments=2, packets=3, bytes=600, dropped=0).packets
    3
    """

    clients: int
    instruments: int
    packets: int
    bytes: int
    dropped: int


class Relay(Endpoint[RelayClient]):
    """Serves what a source delivers on a Kite-compatible WebSocket.

    It takes records from the moment when it is made, so that it has the last packet of each
    instrument when the first client asks. The caller starts and stops the source.

    Parameters
    ----------
    source
        A feed, a recorder's journal that is followed, or a replay.
    tokens
        Who may connect.
    host, port
        Where to listen; port 0 takes a free one.
    tls
        The certificate to serve with. Beyond loopback it is needed.
    write_buffer
        The most bytes that may wait for a client before it is dropped.

    Raises
    ------
    ConfigError
        When it is to listen beyond loopback without TLS.

    Examples
    --------
    >>> import tempfile
    >>> from kitepolars.playback import SAMPLE
    >>> from kitepolars.recordings.replay import ReplaySource
    >>> async def serve(folder: str) -> RelayStats:
    ...     relay = Relay(ReplaySource(SAMPLE), RelayTokens(folder))
    ...     await relay.open()
    ...     stats = relay.stats()
    ...     await relay.close()
    ...     return stats
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(serve(folder)).clients
    0
    """

    def __init__(
        self,
        source: Source,
        tokens: RelayTokens,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        write_buffer: int = WRITE_BUFFER,
    ) -> None:
        if tls is None and not is_this_machine(host):
            open_to_others = f"{host!r} can be reached from other machines: pass --cert and --key"
            raise ConfigError("host", host, message=open_to_others)
        super().__init__((host, port), heartbeat=HEARTBEAT_AFTER, tls=tls)
        self._source = source
        self._tokens = tokens
        self._write_buffer = write_buffer
        self._broadcast = Broadcast(self._connected)
        self._upstream = Upstream(source, self._broadcast.last.index, self._refuse)
        self._settling: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._unsettled: set[RelayClient] = set()
        self._dropped = 0
        sinks = self._broadcast, self._upstream
        self._detach = [source.deliver_to(sink) for sink in sinks]

    def __repr__(self) -> str:
        return f"<Relay {self.url} {len(self._clients)} clients>"

    async def open(self) -> None:
        """Listen, and ask the source for what clients want from now on.

        Raises
        ------
        OSError
            The port is taken.
        """
        await super().open()
        self._upstream.start()
        self._beat()

    async def close(self) -> None:
        """Close the port and every connection, and take back what clients added."""
        self._broadcast.stop()
        for timer in (self._settling, self._beating):
            if timer is not None:
                timer.cancel()
        await super().close()
        if self._settling is not None:
            self._settling.cancel()
        await self._upstream.stop()
        for detach in self._detach:
            detach()

    def stats(self) -> RelayStats:
        """Return the counters of this moment."""
        return RelayStats(
            clients=len(self._clients),
            instruments=len(self._upstream),
            packets=self._broadcast.packets,
            bytes=self._broadcast.bytes,
            dropped=self._dropped,
        )

    def _admit(self, login: Login) -> Refusal | None:
        """Return why a client may not connect, or None if it may."""
        if not login.is_complete:
            return refusal(400)
        if self._tokens.find(login) is None:
            return refusal(403)
        if sum(client.counts for client in self._connected()) >= MAX_CLIENTS:
            return refusal(429)
        return None

    def _accept(self, login: Login, connection: int, socket: ServerConnection) -> RelayClient:
        """Return the client of a new connection."""
        token = self._tokens.find(login)
        return RelayClient(
            Subscriptions(connection, login.api_key, "", limit=INSTRUMENTS_PER_CLIENT),
            socket,
            login=login,
            gets_orders=token is not None and token.orders,
            write_buffer=self._write_buffer,
            on_drop=self._count_drop,
        )

    def _greet(self, client: RelayClient) -> None:
        """Send what Kite sends first."""
        if self._broadcast.greeting is not None:
            client.write(self._broadcast.greeting)
        client.write(app_code(time.time()))
        self._note(client, "connected")

    def _receive(self, client: RelayClient, message: str | bytes) -> None:
        """Carry out a request, whatever it contains, together with those that follow at once."""
        request, problem = client.subscriptions.receive(message)
        if problem is not None:
            client.write(error(problem))
        if not request.action:
            client.malformed += 1
            if client.malformed > MAX_MALFORMED:
                client.drop(REFUSED, f"sent {client.malformed} requests that cannot be read")
            return
        self._unsettled.add(client)
        self._settle_soon()

    def _forget(self, client: RelayClient) -> None:
        """Drop what is kept for a client that has left."""
        self._unsettled.discard(client)
        self._broadcast.groups.leave(client)
        self._settle_soon()
        code, reason = client.socket.close_code, client.socket.close_reason
        self._note(client, f"disconnected (code {code}{': ' if reason else ''}{reason or ''})")

    def _count_drop(self, client: RelayClient) -> None:
        """Count a client that reads too slowly, and say so."""
        self._dropped += 1
        self._note(client, f"dropped: {client.waiting_bytes:,} bytes wait that it does not read")

    def _refuse(self, tokens: Collection[int]) -> None:
        """Take back subscriptions that the source has no room for, and tell who asked for them."""
        for client in self._connected():
            mine = [token for token in tokens if token in client.subscriptions.modes]
            if mine:
                client.subscriptions.unsubscribe(mine)
                client.write(error(f"Can't subscribe to {len(mine)} more instruments: no room"))
                self._unsettled.add(client)
        self._settle_soon()

    # What clients want

    def _settle_soon(self) -> None:
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE, self._settle)

    def _settle(self) -> None:
        """Give effect to what clients asked for: selections, cached packets, subscriptions."""
        self._settling = None
        self._broadcast.flush()
        unsettled, self._unsettled = self._unsettled, set()
        groups = self._broadcast.groups
        for client in unsettled:
            self._broadcast.send_snapshots(client, groups.join(client))
        self._upstream.want(groups.highest())

    # Time

    def _beat(self) -> None:
        """Send heartbeats, and drop clients whose token was revoked."""
        self._beating = asyncio.get_running_loop().call_later(BEAT, self._beat)
        self._send_heartbeats()
        for client in self._connected():
            if client.is_open and self._tokens.find(client.login) is None:
                client.drop(REFUSED, "the token was revoked")

    def _note(self, client: RelayClient, what: str) -> None:
        number, name = client.subscriptions.connection, client.subscriptions.api_key
        self._source.note("relay", f"client {number} ({name}) {what}")
