"""The simulated Kite as Python code scripts it: one background thread with its own event loop.

`SimulatedKite` is called from any thread; what it does to the server it does on
the simulator's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kitepolars.errors import ConfigError, NotRunning
from kitepolars.sim.admission import Admission
from kitepolars.sim.calendar import day_of
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import InstrumentMaster, generate_instruments
from kitepolars.sim.record import ConnectionRecord, Handshake, Record
from kitepolars.sim.server import KiteServer, Pace
from kitepolars.sim.session import Request
from kitepolars.wire.encode import MAX_PACKETS
from kitepolars.wire.layouts import Mode

__all__ = ["SimulatedKite"]

_T = TypeVar("_T")
_START_TIMEOUT: Final = 10.0
_CALL_TIMEOUT: Final = 10.0


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
        self._host = host
        self._seed = seed
        self._rate = rate
        self._limit = instruments_per_connection
        self._connections = connections
        self._pace = Pace(
            interval=_shortest(interval, heartbeat, rate),
            heartbeat=heartbeat,
            write_buffer=write_buffer,
        )
        self._packets_per_message = packets_per_message
        self._clock = clock
        self._users = dict(users or {})
        self._master: InstrumentMaster | None = None
        self._record = Record()
        self._lifecycle = threading.RLock()
        self._listing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: KiteServer | None = None
        self._stopping: asyncio.Event | None = None
        self._bound_port = port

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Life

    def start(self) -> None:
        """Listen. Does nothing if it does already; works again after `stop`.

        Raises
        ------
        OSError
            The port is taken.
        """
        with self._lifecycle:
            if self.is_running:
                return
            ready: Future[None] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._main(ready)), name="kitepolars-sim", daemon=True
            )
            self._thread.start()
            try:
                ready.result(_START_TIMEOUT)
            except BaseException:
                self._thread = None
                raise

    def stop(self) -> None:
        """Close every connection and the port. Does nothing if it is stopped."""
        with self._lifecycle:
            thread, loop, stopping = self._thread, self._loop, self._stopping
            if thread is None or loop is None or stopping is None:
                return
            loop.call_soon_threadsafe(stopping.set)
            thread.join()
            self._thread = self._loop = self._stopping = None

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._bound_port

    @property
    def url(self) -> str:
        """What clients connect to: ``ws://127.0.0.1:PORT/``."""
        return f"ws://{self._host}:{self._bound_port}/"

    @property
    def instruments(self) -> InstrumentMaster:
        """What is listed, made on first use."""
        with self._listing:
            if self._master is None:
                self._master = generate_instruments(on=day_of(self._clock()), seed=self._seed)
            return self._master

    def instruments_csv(self) -> bytes:
        """Return the instruments dump, as Kite's ``/instruments`` serves it."""
        return self.instruments.dump_csv()

    # What it does to its clients

    def send(self, data: bytes | str, connection: int | None = None) -> None:
        """Send a message as it is, to one connection or all."""
        server = self._running()
        self._call(lambda: server.send(data, connection))

    def abort(self, connection: int | None = None) -> None:
        """Cut off one connection or all, without a closing handshake."""
        server = self._running()
        self._call(lambda: server.abort(connection))

    def close(self, connection: int | None = None, code: int = 1000, reason: str = "") -> None:
        """Close one connection or all with a WebSocket close code and a reason."""
        self._run(self._running().close(connection, code, reason))

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
        server = self._running()

        def apply() -> None:
            server.silences_newcomers = on and newcomers
            server.silence(connection, on=on, pongs=pongs)

        self._call(apply)

    def reject(self, status: int, times: int | None = None, body: str | None = None) -> None:
        """Refuse the coming handshakes with an HTTP status: so many, or until `accept`.

        The body is Kite's for that status if none is given.
        """
        server = self._running()
        self._call(lambda: server.admission.script(status, times, body))

    def accept(self) -> None:
        """End what `reject` and `flap` began."""
        server = self._running()

        def apply() -> None:
            server.admission.accept()
            server.flaps_left = 0

        self._call(apply)

    def flap(self, times: int | None = None) -> None:
        """Accept the coming handshakes and cut off at once: so many, or until `accept`."""
        server = self._running()
        self._call(lambda: setattr(server, "flaps_left", times))

    def expire_tokens(self) -> None:
        """Refuse with 403 every access token that was presented so far. Connections stay."""
        server = self._running()
        self._call(server.admission.expire)

    def pause_market(self) -> None:
        """Let nothing tick; snapshots, heartbeats and texts go on."""
        server = self._running()
        self._call(lambda: setattr(server, "is_market_open", False))

    def resume_market(self) -> None:
        """Let the market run again."""
        server = self._running()
        self._call(lambda: setattr(server, "is_market_open", True))

    def step(self, seconds: float = 1.0) -> int:
        """Let every subscribed instrument tick once, now; return how many packets were sent.

        Parameters
        ----------
        seconds
            The trading time that passes.
        """
        server = self._running()
        return self._call(lambda: server.step(seconds))

    def order_update(self, *, user_id: str | None = None, **fields: Any) -> None:
        """Send an order update to every connection of a user, or of each user.

        ``fields`` replace or extend those of a filled market order.
        """
        server = self._running()
        self._call(lambda: server.send_order(user_id, fields))

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

    def wait_for(self, predicate: Callable[[SimulatedKite], object], timeout: float = 5.0) -> bool:
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

    # The thread

    async def _main(self, ready: Future[None]) -> None:
        try:
            server = self._server = self._server or self._build()
            listening = await server.listen(self._host, self._bound_port)
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            ready.set_exception(error)
            return
        self._bound_port = listening.sockets[0].getsockname()[1]
        self._loop = asyncio.get_running_loop()
        stopping = self._stopping = asyncio.Event()
        market = asyncio.create_task(server.run_market())
        market.add_done_callback(lambda _: stopping.set())
        ready.set_result(None)
        await stopping.wait()
        market.cancel()
        await server.hang_up(listening)
        with contextlib.suppress(asyncio.CancelledError):
            await market  # an error of the market's is shown, not lost

    def _build(self) -> KiteServer:
        """Make the market and the server once; they outlive a `stop` and `start`."""
        exchange = Exchange(
            self.instruments,
            now=self._clock(),
            seed=self._seed,
            rate=self._rate,
            packets_per_message=self._packets_per_message,
        )
        return KiteServer(
            exchange,
            Admission(self._connections),
            self._record,
            pace=self._pace,
            clock=self._clock,
            users=self._users,
            limit=self._limit,
        )

    def _running(self) -> KiteServer:
        server = self._server
        if server is None or self._loop is None:
            raise NotRunning("the simulated Kite is not running; call start() first")
        return server

    def _call(self, action: Callable[[], _T]) -> _T:
        async def run() -> _T:
            return action()

        return self._run(run())

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        loop = self._loop
        if loop is None:
            coroutine.close()
            raise NotRunning("the simulated Kite is not running; call start() first")
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(_CALL_TIMEOUT)


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
