"""The simulated Kite, controlled from Python.

`SimulatedKite` is called from any thread; the server runs on its own loop thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, TypeVar

from kitepolars.errors import ConfigError, NotRunning, check_whole_number
from kitepolars.loop import LoopThread
from kitepolars.server.clients import ReceivedRequest
from kitepolars.sim.admission import Admission
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import InstrumentMaster, day_of
from kitepolars.sim.record import ConnectionRecord, Handshake, Record
from kitepolars.sim.server import KiteServer, PushSettings
from kitepolars.wire.encode import MAX_PACKETS
from kitepolars.wire.layouts import Mode

__all__ = ["SimulatedKite"]

T = TypeVar("T")

_TIMEOUT: Final = 30.0


class SimulatedKite:
    """A Kite server on loopback, in its own thread.

    It accepts any ``api_key``, and any ``access_token`` except ``expired``.

    Parameters
    ----------
    port
        The TCP port; 0 takes a free one.
    host
        Where to listen.
    seed
        Seed of the instruments and the market.
    rate
        Packets per second and instrument, 0 to 1,000; at 0 only `step` moves the market.
    instruments_per_connection
        1 and up. Tokens beyond this number are ignored, and the client gets an error message.
    connections
        The most connections of an API key, 1 and up; a further handshake gets 429.
    heartbeat
        Seconds without a message after which a 1-byte heartbeat is sent, 0.001 to 3,600; None
        for never.
    interval
        Seconds between push cycles, 0.001 to 60; shorter if ``rate`` requires it.
    packets_per_message
        The most packets in one message, up to 65,535.
    write_buffer
        The most bytes that may wait for a slow client before it is dropped.
    clock
        The time of the exchange in UTC epoch seconds.
    users
        API key → user id, for order updates; other keys get generated ones.

    Raises
    ------
    ConfigError
        A setting is out of range.

    Examples
    --------
    >>> with SimulatedKite(rate=0) as kite:
    ...     kite.url.startswith("ws://127.0.0.1:")
    True
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        seed: int = 0,
        rate: float = 1.0,
        instruments_per_connection: int = 3_000,
        connections: int = 3,
        heartbeat: float | None = 1.0,
        interval: float = 0.1,
        packets_per_message: int = 3_000,
        write_buffer: int = 16 << 20,
        clock: Callable[[], float] = time.time,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self._loop = LoopThread("kitepolars-sim")
        self._lock = threading.RLock()
        _check(port=port, rate=rate, interval=interval, heartbeat=heartbeat)
        check_whole_number("instruments_per_connection", instruments_per_connection, 1)
        check_whole_number("connections", connections, 1)
        check_whole_number("write_buffer", write_buffer, 1)
        check_whole_number("packets_per_message", packets_per_message, 1, MAX_PACKETS)
        # Made here, not in `start`, so that instruments and market survive a restart.
        master = generate_instruments(on=day_of(clock()), seed=seed)
        exchange = Exchange(
            master, now=clock(), seed=seed, rate=rate, packets_per_message=packets_per_message
        )
        self._instruments = master
        self._record = Record()
        self._server = KiteServer(
            (host, port),
            exchange,
            Admission(connections),
            self._record,
            push=PushSettings(
                interval=_shortest(interval, heartbeat, rate),
                heartbeat=heartbeat,
                write_buffer=write_buffer,
            ),
            clock=clock,
            users=dict(users or {}),
            limit=instruments_per_connection,
        )

    def __repr__(self) -> str:
        if not self.is_running:
            return "<SimulatedKite, stopped>"
        count = sum(connection.is_open for connection in self.connections)
        return (
            f"<SimulatedKite {self.url}, {count} connections, {self.packets_sent:,} packets sent>"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; idempotent. After `stop`, it listens on the same port again.

        Raises
        ------
        OSError
            The port is taken.
        """
        with self._lock:
            if self._loop.is_running:
                return
            self._loop.start()
            try:
                self._loop.run(self._server.open(), timeout=_TIMEOUT)
            except BaseException:
                self._loop.stop()
                raise

    def stop(self) -> None:
        """Close every connection and the port; idempotent."""
        with self._lock:
            if self._loop.is_running:
                try:
                    self._loop.run(self._server.close(), timeout=_TIMEOUT)
                finally:
                    self._loop.stop()

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._loop.is_running and self._server.is_pushing

    @property
    def port(self) -> int:
        """The TCP port; 0 until a free one has been taken."""
        return self._server.address[1]

    @property
    def url(self) -> str:
        """The URL for clients: ``ws://127.0.0.1:PORT/``."""
        host, port = self._server.address
        return f"ws://{host}:{port}/"

    @property
    def credentials(self) -> tuple[str, str]:
        """An API key and an access token that it admits, as it does any that were never refused."""
        return "demo", "demo"

    @property
    def instruments(self) -> InstrumentMaster:
        """The instruments listed."""
        return self._instruments

    def instruments_csv(self) -> bytes:
        """Return the dump of instruments as Kite serves it under ``/instruments``.

        Returns
        -------
        bytes
            UTF-8 text, with the header of Kite's dump.
        """
        return self._instruments.dump_csv()

    # Faults and messages on demand

    def send(self, data: bytes | str, connection: int | None = None) -> None:
        """Send a message as it is.

        Parameters
        ----------
        data
            A binary message or a text.
        connection
            Its number, in the order of `connections`; None for all.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: self._server.send(data, connection))

    def abort(self, connection: int | None = None) -> None:
        """Cut connections without a closing handshake.

        Parameters
        ----------
        connection
            Its number, in the order of `connections`; None for all.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """

        def apply() -> None:
            for client in self._server.clients(connection):
                client.abort()

        self._call(apply)

    def close(self, connection: int | None = None, code: int = 1000, reason: str = "") -> None:
        """Close connections in order.

        Parameters
        ----------
        connection
            Its number, in the order of `connections`; None for all.
        code
            A WebSocket close code, 1000 to 4999 (RFC 6455, section 7.4).
        reason
            At most 123 bytes.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._check_running()
        self._loop.run(self._server.disconnect(connection, code, reason), timeout=_TIMEOUT)

    def silence(
        self,
        on: bool = True,  # noqa: FBT001, FBT002 - kite.silence(False) reads well
        connection: int | None = None,
        *,
        pongs: bool = True,
        newcomers: bool = False,
    ) -> None:
        """Send nothing on open connections, not even heartbeats; or send again.

        Parameters
        ----------
        on
            Whether to be silent.
        connection
            The connection; None for all open ones.
        pongs
            Whether pings are still answered. If not, requests are not read either.
        newcomers
            Whether new connections are silent as well.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """

        def apply() -> None:
            self._server.silences_newcomers = on and newcomers
            for client in self._server.clients(connection):
                client.silence(on=on, pongs=pongs)

        self._call(apply)

    def reject(self, status: int, times: int | None = None, body: str | None = None) -> None:
        """Refuse handshakes with an HTTP status.

        Parameters
        ----------
        status
            Such as 403, 429 or 503.
        times
            How many; None for all until `accept`.
        body
            The text of the answer; Kite's own for the status by default.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: self._server.admission.script(status, times, body))

    def accept(self) -> None:
        """Accept handshakes again, after `reject` and `flap`.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """

        def apply() -> None:
            self._server.admission.accept()
            self._server.flaps_left = 0

        self._call(apply)

    def flap(self, times: int | None = None) -> None:
        """Cut new connections right after the handshake.

        Parameters
        ----------
        times
            How many; None for all until `accept`.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: setattr(self._server, "flaps_left", times))

    def expire_tokens(self) -> None:
        """Refuse with 403 every access token presented so far. Open connections stay.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(self._server.admission.expire)

    def pause_market(self) -> None:
        """Stop the ticks; snapshots, heartbeats and texts are still sent.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: setattr(self._server, "is_market_open", False))

    def resume_market(self) -> None:
        """Let the market tick again.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: setattr(self._server, "is_market_open", True))

    def step(self, seconds: float = 1.0) -> int:
        """Make every subscribed instrument tick once; return the number of packets sent.

        Parameters
        ----------
        seconds
            Trading time that passes, in seconds.

        Returns
        -------
        int
            Packets written to open sockets.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        return self._call(lambda: self._server.step(seconds))

    def order_update(self, *, user_id: str | None = None, **fields: Any) -> None:
        """Send an order update to every connection of a user, or of all users.

        Parameters
        ----------
        user_id
            Whose connections; None for those of all users.
        **fields
            Fields of Kite's order update, which replace or extend those of a filled market order.

        Raises
        ------
        NotRunning
            Before `start` and after `stop`.
        """
        self._call(lambda: self._server.send_order(user_id, fields))

    # What happened

    @property
    def connections(self) -> list[ConnectionRecord]:
        """The connections so far, open and closed, in order."""
        return self._record.connections()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests of clients, in order."""
        return self._record.requests()

    @property
    def handshakes(self) -> list[Handshake]:
        """The attempts to connect, in order."""
        return self._record.handshakes()

    @property
    def packets_sent(self) -> int:
        """Packets written to open sockets so far."""
        return self._record.packets_sent

    def subscribed(self) -> dict[int, Mode]:
        """Return the subscriptions of all open connections: token → mode.

        Returns
        -------
        dict of int to Mode
            Token and mode; empty without connections.
        """
        return {
            token: mode
            for connection in self.connections
            if connection.is_open
            for token, mode in connection.subscriptions.items()
        }

    def last_values(self, instrument_token: int) -> dict[str, Any]:
        """Return the integers of the wire that the next snapshot of an instrument would have.

        Parameters
        ----------
        instrument_token
            The token of a listed instrument.

        Returns
        -------
        dict
            By field: prices in units of the divisor of the segment, times in UTC epoch seconds,
            five values for each depth field, best first.

        Raises
        ------
        KeyError
            There is no such instrument.
        NotRunning
            Before `start` and after `stop`.
        """
        row = self._instruments.row_of[instrument_token]
        return self._call(lambda: self._server.market.last_values(row))

    def wait_for(self, predicate: Callable[[SimulatedKite], object], timeout: float = 60.0) -> bool:
        """Block until a predicate holds; it is evaluated whenever something has happened.

        Parameters
        ----------
        predicate
            Called with the exchange.
        timeout
            Seconds.

        Returns
        -------
        bool
            Always True, so that a call can be asserted.

        Raises
        ------
        TimeoutError
            The predicate did not hold in time.
        """
        if not self._record.wait_for(lambda: bool(predicate(self)), timeout):
            raise TimeoutError(f"the predicate did not hold within {timeout} s: {self!r}")
        return True

    def _call(self, action: Callable[[], T]) -> T:
        self._check_running()
        return self._loop.call(action)

    def _check_running(self) -> None:
        if not self._loop.is_running:
            raise NotRunning("the simulated Kite is not running; call start() first")


def _shortest(interval: float, heartbeat: float | None, rate: float) -> float:
    """Return a push interval short enough for the heartbeat and the rate."""
    return min(interval, heartbeat or interval, 1 / rate if rate else interval)


def _check(*, port: int, rate: float, interval: float, heartbeat: float | None) -> None:
    """Raise `ConfigError` where a setting is out of range."""
    ranges: tuple[tuple[str, float, float, float], ...] = (
        ("port", port, 0, 65_535),
        ("rate", rate, 0, 1_000),
        ("interval", interval, 0.001, 60),
        ("heartbeat", 1 if heartbeat is None else heartbeat, 0.001, 3_600),
    )
    for field, value, low, high in ranges:
        if not low <= value <= high:
            raise ConfigError(field, value, f"from {low:g} to {high:g}")
