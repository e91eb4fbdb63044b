"""The server of the simulated Kite: the push cycle, faults, and what is recorded.

All of it runs on the loop thread of the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from kitepolars.server.clients import ConnectedClient, Subscriptions
from kitepolars.server.endpoint import SWITCHING_PROTOCOLS, Endpoint, app_code, error
from kitepolars.server.handshake import Login, Refusal
from kitepolars.sim.admission import Admission
from kitepolars.sim.exchange import Exchange, instruments_meta, order
from kitepolars.sim.record import Handshake, Record

__all__ = ["KiteServer", "PushSettings"]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PushSettings:
    """The push cycle, in seconds, and its limit.

    Parameters
    ----------
    interval
        Between two cycles.
    heartbeat
        Without a message, after which a heartbeat is sent; None for never.
    write_buffer
        The most bytes that may wait for a slow client before it is dropped.
    """

    interval: float
    heartbeat: float | None
    write_buffer: int


class RecordedClient(ConnectedClient):
    """A client whose messages are counted, and which can be silenced.

    Parameters
    ----------
    subscriptions
        What the client has subscribed.
    socket
        The WebSocket.
    record
        Counts what is sent. Its lock is held around `write`.
    write_buffer
        The most bytes that may wait for the client before it is dropped.
    is_silent
        Whether nothing is sent at all.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        socket: ServerConnection,
        record: Record,
        *,
        write_buffer: int,
        is_silent: bool,
    ) -> None:
        super().__init__(subscriptions, socket, write_buffer=write_buffer)
        self.is_silent = is_silent
        self._record = record

    def write(self, message: bytes | str, packets: int = 0) -> bool:
        """Send a message without waiting, and count it."""
        was_sent = not self.is_silent and super().write(message)
        if was_sent:
            self._record.sent(self.subscriptions.connection, packets)
        return was_sent

    def too_slow(self) -> None:
        """Cut the connection, as Kite does."""
        _log.info("connection %d reads too slowly and is dropped", self.subscriptions.connection)
        self.abort()

    def silence(self, *, on: bool, pongs: bool) -> None:
        """Send nothing from now on, or send again; without pongs nothing is read either."""
        self.is_silent = on
        if on and not pongs:
            self.socket.transport.pause_reading()
        else:
            self.socket.transport.resume_reading()


class KiteServer(Endpoint[RecordedClient]):
    """The server.

    Parameters
    ----------
    address
        Host and port; port 0 takes a free one and keeps it.
    exchange
        Provides packets.
    admission
        Decides which handshakes are accepted.
    record
        Records what happens.
    push
        The push cycle.
    clock
        The time of the exchange in UTC epoch seconds.
    users
        API key → user id; other keys get generated ones.
    limit
        Instruments per connection.
    """

    def __init__(
        self,
        address: tuple[str, int],
        exchange: Exchange,
        admission: Admission,
        record: Record,
        *,
        push: PushSettings,
        clock: Callable[[], float],
        users: dict[str, str],
        limit: int,
    ) -> None:
        super().__init__(address, heartbeat=push.heartbeat)
        self.admission = admission
        self.market = exchange.market
        self.is_market_open = True
        self.flaps_left: int | None = 0
        self.silences_newcomers = False
        self._exchange = exchange
        self._record = record
        self._push = push
        self._clock = clock
        self._users = users
        self._limit = limit
        self._pushing: asyncio.Task[None]
        self._next_order = 0
        self._greeting = instruments_meta(exchange.master.instrument_token)

    async def open(self) -> None:
        """Open the port, accept clients, and start the push cycle."""
        await super().open()
        self._pushing = asyncio.create_task(self._push_forever())

    async def close(self) -> None:
        """Close the port and every connection, and end the push cycle."""
        for client in self._connected():
            client.silence(on=False, pongs=True)  # its answer to the close must be read
        await super().close()
        self._pushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pushing

    @property
    def is_pushing(self) -> bool:
        """Whether the push cycle runs; it ends early only by a defect, which `close` raises."""
        return not self._pushing.done()

    async def _push_forever(self) -> None:
        loop = asyncio.get_running_loop()
        last = due = loop.time()
        while True:
            due = max(due + self._push.interval, last)  # cycles that were missed are not repeated
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            self.push(now - last)
            last = now

    # The market

    def push(self, seconds: float) -> None:
        """Run a push cycle: advance the market, send what is due, send heartbeats."""
        if self.is_market_open:
            self._exchange.advance(seconds, self._subscriptions(), self._clock())
        else:
            self._exchange.rest()
        self._send_collected()
        with self._record.changing():
            self._send_heartbeats()

    def step(self, seconds: float) -> int:
        """Make every subscribed instrument tick once; return the number of packets sent."""
        before = self._record.packets_sent
        self._exchange.step(seconds, self._subscriptions(), self._clock())
        self._send_collected()
        return self._record.packets_sent - before

    def _subscriptions(self) -> list[Subscriptions]:
        return [client.subscriptions for client in self._clients.values()]

    def _send_collected(self) -> None:
        with self._record.changing():
            for client in self._connected():
                if not client.is_silent:
                    for packets, message in self._exchange.collect(client.subscriptions):
                        client.write(message, packets)

    # Faults and messages on demand

    def send(self, message: bytes | str, connection: int | None) -> None:
        """Send a message as it is, to one client or all."""
        with self._record.changing():
            for client in self._connected(connection):
                client.write(message)

    def clients(self, connection: int | None) -> list[RecordedClient]:
        """Return the client of an open connection, or all clients."""
        return self._connected(connection)

    async def disconnect(self, connection: int | None, code: int, reason: str) -> None:
        """Close connections with a code and a reason."""
        await self._disconnect(connection, code, reason)

    def send_order(self, user_id: str | None, fields: dict[str, Any]) -> None:
        """Send an order update to every connection of a user, or of all users."""
        self._next_order += 1
        now = self._clock()
        order_id = f"{now:.0f}{self._next_order:06}"
        with self._record.changing():
            for client in self._connected():
                owner = client.subscriptions.user_id
                if user_id in (None, owner):
                    client.write(order(owner, order_id, now, fields))

    # Connections

    def _admit(self, login: Login) -> Refusal | None:
        """Return why a client may not connect, and record a refusal."""
        opened = Counter(
            client.subscriptions.api_key for client in self._connected() if client.counts
        )
        refused = self.admission.decide(login, opened)
        if refused is not None:
            self._record.add_handshake(Handshake(refused.status, login.api_key))
        return refused

    def _accept(self, login: Login, connection: int, socket: ServerConnection) -> RecordedClient:
        """Record a new connection and return its client."""
        user_id = self._user_of(login.api_key)
        subscriptions = Subscriptions(connection, login.api_key, user_id, limit=self._limit)
        with self._record.changing():
            self._record.opened(connection, login.api_key, user_id, subscriptions.modes)
            self._record.add_handshake(Handshake(SWITCHING_PROTOCOLS, login.api_key, connection))
        return RecordedClient(
            subscriptions,
            socket,
            self._record,
            write_buffer=self._push.write_buffer,
            is_silent=self.silences_newcomers,
        )

    def _greet(self, client: RecordedClient) -> None:
        """Send what Kite sends first, or cut the connection where it is to flap."""
        if self._flaps(client):
            return
        with self._record.changing():
            client.write(self._greeting)
            client.write(app_code(self._clock()))

    def _receive(self, client: RecordedClient, message: str | bytes) -> None:
        """Carry out a request, record it, and say what is wrong with it."""
        with self._record.changing():
            request, problem = client.subscriptions.receive(message)
            self._record.add_request(request)
            if problem is not None:
                client.write(error(problem))

    def _forget(self, client: RecordedClient) -> None:
        """Record the end of a connection."""
        self._exchange.forget(client.subscriptions)
        self._record.closed(client.subscriptions.connection)

    def _flaps(self, client: RecordedClient) -> bool:
        if self.flaps_left == 0:
            return False
        if self.flaps_left is not None:
            self.flaps_left -= 1
        client.abort()
        return True

    def _user_of(self, api_key: str) -> str:
        return self._users.setdefault(api_key, f"AB{len(self._users) + 1:04}")
