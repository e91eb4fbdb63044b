"""The simulated Kite as Python code scripts it: one background thread with its own event loop.

`SimulatedKite` is called from any thread; what it does to the server it does on
the simulator's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from kitepolars.errors import ConfigError
from kitepolars.sim.admission import Admission
from kitepolars.sim.background import Background
from kitepolars.sim.calendar import day_of
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import InstrumentMaster
from kitepolars.sim.record import ConnectionRecord, Handshake, Record
from kitepolars.sim.server import KiteServer, Pace
from kitepolars.sim.session import Request
from kitepolars.wire.encode import MAX_PACKETS
from kitepolars.wire.layouts import Mode

__all__ = ["SimulatedKite"]


class SimulatedKite:
    """A Kite server on loopback, in a thread of its own.

    Any ``api_key`` is let in with any ``access_token`` but ``expired``.

    Parameters
    ----------
    port
        The TCP port; 0 takes a free one.
    host
        Where to listen.
    seed
        Of the instruments and the market.
    rate
        Packets per second and instrument. 0 lets the market stand still
        but for `step`.
    instruments_per_connection
        Beyond this, tokens are ignored and the client is told.
    connections
        How many an API key may hold; the next gets 429.
    heartbeat
        Seconds of quiet after which a 1-byte heartbeat is sent; None for never.
    interval
        Seconds between push cycles; shorter if ``rate`` asks for it.
    packets_per_message
        The most packets in one message, up to 65,535.
    write_buffer
        Bytes that may wait for a slow client before it is dropped.
    clock
        The exchange's time in UTC epoch seconds.
    users
        API key → user id, for order updates; other keys get made-up ones.

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
        _check(port=port, rate=rate, interval=interval, heartbeat=heartbeat)
        _check_positive("instruments_per_connection", instruments_per_connection)
        _check_positive("connections", connections)
        _check_positive("write_buffer", write_buffer)
        _check_positive("packets_per_message", packets_per_message, MAX_PACKETS)
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
            pace=Pace(
                interval=_shortest(interval, heartbeat, rate),
                heartbeat=heartbeat,
                write_buffer=write_buffer,
            ),
            clock=clock,
            users=dict(users or {}),
            limit=instruments_per_connection,
        )
        self._background = Background(self._server, name="kitepolars-sim")

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

    # Life

    def start(self) -> None:
        """Listen. Does nothing if it does already; works again after `stop`, on the same port.

        Raises
        ------
        OSError
            The port is taken.
        """
        self._background.start()

    def stop(self) -> None:
        """Close every connection and the port. Does nothing if it is stopped."""
        self._background.stop()

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._background.is_running

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 before a free one was taken."""
        return self._server.address[1]

    @property
    def url(self) -> str:
        """What clients connect to: ``ws://127.0.0.1:PORT/``."""
        host, port = self._server.address
        return f"ws://{host}:{port}/"

    @property
    def instruments(self) -> InstrumentMaster:
        """What is listed."""
        return self._instruments

    def instruments_csv(self) -> bytes:
        """Return the instruments dump, as Kite's ``/instruments`` serves it."""
        return self._instruments.dump_csv()

    # What it does to its clients

    def send(self, data: bytes | str, connection: int | None = None) -> None:
        """Send a message as it is, to one connection or all."""
        self._background.call(lambda: self._server.send(data, connection))

    def abort(self, connection: int | None = None) -> None:
        """Cut off one connection or all, without a closing handshake."""

        def apply() -> None:
            for line in self._server.lines(connection):
                line.abort()

        self._background.call(apply)

    def close(self, connection: int | None = None, code: int = 1000, reason: str = "") -> None:
        """Close one connection or all with a WebSocket close code and a reason."""
        self._background.run(self._server.say_goodbye(connection, code, reason))

    def silence(
        self,
        on: bool = True,  # noqa: FBT001, FBT002 - reads as it is said
        connection: int | None = None,
        *,
        pongs: bool = True,
        newcomers: bool = False,
    ) -> None:
        """Keep connections open and send nothing, not even heartbeats; or speak again.

        Parameters
        ----------
        on
            Whether to be silent.
        connection
            Which; None for all that are open.
        pongs
            Whether pings are still answered. If not, requests are not read either.
        newcomers
            Whether connections to come are silent as well.
        """

        def apply() -> None:
            self._server.silences_newcomers = on and newcomers
            for line in self._server.lines(connection):
                line.be_silent(on=on, pongs=pongs)

        self._background.call(apply)

    def reject(self, status: int, times: int | None = None, body: str | None = None) -> None:
        """Refuse the coming handshakes with an HTTP status: so many, or until `accept`.

        The body is Kite's for that status if none is given.
        """
        self._background.call(lambda: self._server.admission.script(status, times, body))

    def accept(self) -> None:
        """End what `reject` and `flap` began."""

        def apply() -> None:
            self._server.admission.accept()
            self._server.flaps_left = 0

        self._background.call(apply)

    def flap(self, times: int | None = None) -> None:
        """Accept the coming handshakes and cut off at once: so many, or until `accept`."""
        self._background.call(lambda: setattr(self._server, "flaps_left", times))

    def expire_tokens(self) -> None:
        """Refuse with 403 every access token that was presented so far. Connections stay."""
        self._background.call(self._server.admission.expire)

    def pause_market(self) -> None:
        """Let nothing tick; snapshots, heartbeats and texts go on."""
        self._background.call(lambda: setattr(self._server, "is_market_open", False))

    def resume_market(self) -> None:
        """Let the market run again."""
        self._background.call(lambda: setattr(self._server, "is_market_open", True))

    def step(self, seconds: float = 1.0) -> int:
        """Let every subscribed instrument tick once, now; return how many packets were sent.

        Parameters
        ----------
        seconds
            The trading time that passes.
        """
        return self._background.call(lambda: self._server.step(seconds))

    def order_update(self, *, user_id: str | None = None, **fields: Any) -> None:
        """Send an order update to every connection of a user, or of each user.

        ``fields`` replace or extend those of a filled market order.
        """
        self._background.call(lambda: self._server.send_order(user_id, fields))

    # What it remembers

    @property
    def connections(self) -> list[ConnectionRecord]:
        """The connections so far, open and closed, in order."""
        return self._record.connections()

    @property
    def requests(self) -> list[Request]:
        """What clients sent, in order."""
        return self._record.requests()

    @property
    def handshakes(self) -> list[Handshake]:
        """The attempts to connect, in order."""
        return self._record.handshakes()

    @property
    def packets_sent(self) -> int:
        """How many packets were handed to open sockets, in all."""
        return self._record.packets_sent

    def subscribed(self) -> dict[int, Mode]:
        """Return what open connections are subscribed to: token → mode."""
        return {
            token: mode
            for connection in self.connections
            if connection.is_open
            for token, mode in connection.subscriptions.items()
        }

    def last_values(self, instrument_token: int) -> dict[str, Any]:
        """Return the integers of the wire that an instrument's next snapshot would have.

        Parameters
        ----------
        instrument_token
            A token that is listed.

        Returns
        -------
        dict
            By field: prices in units of the segment's divisor, times in UTC
            epoch seconds, and five of each depth field, best first.

        Raises
        ------
        KeyError
            There is no such instrument.
        """
        row = self._instruments.row_of[instrument_token]
        return self._background.call(lambda: self._server.market.last_values(row))

    def wait_for(self, predicate: Callable[[SimulatedKite], object], timeout: float = 60.0) -> bool:
        """Block until a predicate on this simulator holds.

        It is looked at again whenever something happens. Returns True, so that
        it can be asserted.

        Raises
        ------
        TimeoutError
            It did not hold in time.
        """
        if not self._record.wait_for(lambda: bool(predicate(self)), timeout):
            raise TimeoutError(f"it did not happen within {timeout} s: {self!r}")
        return True


def _shortest(interval: float, heartbeat: float | None, rate: float) -> float:
    """Return a push interval that keeps up with the heartbeat and the rate."""
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
            raise ConfigError(field, value, f"{low} … {high}")


def _check_positive(field: str, value: int, most: int | None = None) -> None:
    if value < 1 or (most is not None and value > most):
        raise ConfigError(field, value, f"1 … {most}" if most else "at least 1")
