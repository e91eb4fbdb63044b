"""The core of the façade: life, subscriptions, ticks, state. Works from any thread.

A `Ticker` puts the parts together: the feed and the pipeline on the loop
thread, the store that they fill, and the instruments that give names. Methods
cross to the loop thread only through `LoopThread.call`; what they return is
made in the calling thread from immutable snapshots.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Final, Protocol, Self

import polars as pl

from kitepolars.errors import ConfigError, NotRunning
from kitepolars.feed.account import Account, Secret
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.plan import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.feed.records import EventLog
from kitepolars.frames.store import Held, Retention, TickStore
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.loop import LoopThread
from kitepolars.nesting import refuse_broken_nesting
from kitepolars.pipeline import Flush, Pipeline
from kitepolars.tables import (
    connections_frame,
    events_frame,
    gaps_frame,
    orders_frame,
    subscriptions_frame,
)
from kitepolars.ticker.stats import Stats
from kitepolars.ticker.summary import ticker_html
from kitepolars.ticker.tenancy import move_in
from kitepolars.wire.layouts import MODES, Mode

KITE_URL: Final = "wss://ws.kite.trade/"
"""Kite Connect's streaming endpoint. Source: Kite Connect v3, "WebSocket streaming"."""

STOP_TIMEOUT: Final = 1.2
"""Seconds that closing the connections may take; then they are cut."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """The frame of `subscriptions()` and what it was made of; another object makes another."""

    subscriptions: Mapping[int, tuple[Mode, int]]
    names: Instruments
    frame: pl.DataFrame


class Companion(Protocol):
    """What lives and rests with a ticker, such as the threads of its callbacks."""

    def start(self) -> None:
        """Begin; harmless when begun."""
        ...

    def stop(self) -> None:
        """Rest, quickly."""
        ...


class TickerCore:
    """Life, subscriptions, ticks and state of a `Ticker`, where the parameters are described."""

    def __init__(
        self,
        api_key: str | None = None,
        access_token: str | None = None,
        *,
        accounts: Sequence[Account] | None = None,
        url: str = KITE_URL,
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        retention: Retention | None = None,
        flush: Flush | None = None,
        instruments: Instruments | str | bytes | None = None,
        default_mode: str = Mode.QUOTE,
    ) -> None:
        self._limits = limits or Limits()
        self._default_mode = _mode(default_mode)
        self._loop = LoopThread()
        self._loop.before_exit = self.stop
        self._companions: list[Companion] = []
        self._store = TickStore(retention)
        self._event_log = EventLog()
        self._pipeline = Pipeline(self._store, self._event_log, flush)
        tenants = _accounts(api_key, access_token, accounts)
        self._claims: dict[Hashable, int] = {
            (url, Secret(account.api_key)): self._limits.connections for account in tenants
        }
        self._manager = TickerManager(
            tenants,
            sink=self._pipeline,
            url=url,
            limits=self._limits,
            reconnect=reconnect,
            events=self._event_log,
        )
        self._lifecycle = threading.RLock()
        self._listing: _Listing | None = None
        self.instruments = _instruments(instruments)

    # -- life ------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the feed runs: after `start()`, until `stop()`."""
        return self._loop.is_running

    def start(self) -> Self:
        """Connect; return once a connection of each account is open. Harmless when it runs.

        An older ticker of this process that holds the connections of the same account, as when
        a notebook's cell is run again, gives way and is stopped: Kite allows three for an API
        key. Tickers whose `limits` leave room for each other go on side by side.

        Returns
        -------
        Ticker
            Itself.

        Raises
        ------
        AuthenticationError
            When Kite refuses the credentials. Tokens expire daily about 06:00 IST.
        ConnectionLost
            When no connection could be opened within the reconnect policy's `connect_timeout`.
        NotRunning
            When another thread called `stop()` meanwhile.
        """
        refuse_broken_nesting()
        move_in(self)
        self._loop.start()
        try:  # without the lock: stop() need not wait for a server that does not answer
            self._loop.run(self._manager.start())
        except CancelledError:
            raise NotRunning("the ticker was stopped while it started") from None
        except BaseException:
            self.stop()
            raise
        with self._lifecycle:
            for companion in tuple(self._companions):
                companion.start()
        return self

    def stop(self) -> None:
        """Close every connection, within two seconds whatever the server does.

        What has been received stays readable, subscriptions are remembered, and
        `start()` goes on from there.
        """
        with self._lifecycle:
            if self._loop.is_running:
                try:
                    self._loop.run(self._manager.stop(), timeout=STOP_TIMEOUT)
                except TimeoutError:
                    self._event_log.add("stop", "connections did not close in time and were cut")
                self._loop.call(self._pipeline.flush)
                self._loop.stop()
            for companion in tuple(self._companions):
                companion.stop()

    @property
    def claims(self) -> dict[Hashable, int]:
        """Account → connections that it may open for it; the accounts' keys do not show."""
        return self._claims

    def give_way(self) -> None:
        """Stop, because a newer ticker of this process needs the account's connections."""
        self._event_log.add("replaced", "a newer ticker of this process took the connections over")
        self.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def set_access_token(self, token: str, account: str | None = None) -> None:
        """Use a new access token, after the daily expiry; subscriptions resume.

        Parameters
        ----------
        token
            The token of today's login.
        account
            Whose, by name; not needed with one account.

        Raises
        ------
        ConfigError
            When the account is not known, or none is named and there are several.
        """
        self._loop.call(self._manager.set_access_token, token, account)

    # -- subscriptions ---------------------------------------------------------------------

    @property
    def instruments(self) -> Instruments:
        """The instruments known by name. Assign another list at any time."""
        return self._instruments

    @instruments.setter
    def instruments(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._loop.call(
            self._store.name_instruments, lambda tokens: instruments.symbols(tokens).to_list()
        )

    def subscribe(self, instruments: SomeInstruments, mode: str | None = None) -> None:
        """Subscribe instruments; those subscribed already change their mode at most.

        Before `start()` the subscription is remembered and made then.

        Parameters
        ----------
        instruments
            Names such as ``"NSE:INFY"``, tokens, or a frame with such a column.
        mode
            ``"ltp"``, ``"quote"`` or ``"full"``; by default the ticker's `default_mode`.

        Raises
        ------
        UnknownInstrument
            When a name is not known. Nothing is changed.
        CapacityExceeded
            When there is no room for all. Nothing is sent or changed.
        """
        tokens = self._instruments.tokens(instruments)
        wanted = self._default_mode if mode is None else _mode(mode)
        self._loop.call(self._manager.subscribe, tokens, wanted)

    def unsubscribe(self, instruments: SomeInstruments) -> None:
        """Unsubscribe instruments; those that are not subscribed are passed over.

        Raises
        ------
        UnknownInstrument
            When a name is not known. Nothing is changed.
        """
        self._loop.call(self._manager.unsubscribe, self._instruments.tokens(instruments))

    def set_mode(self, instruments: SomeInstruments, mode: str) -> None:
        """Change the mode of subscribed instruments.

        Raises
        ------
        UnknownInstrument
            When one is not known, or not subscribed. Nothing is changed.
        """
        tokens = self._instruments.tokens(instruments)
        self._loop.call(self._manager.set_mode, tokens, _mode(mode))

    # -- ticks -----------------------------------------------------------------------------

    def held(self) -> Held:
        """Decode what waits, and return the immutable state of this moment behind `frame`."""
        self._loop.call(self._pipeline.flush)
        return self._store.held

    def frame(self) -> pl.DataFrame:
        """Return every tick held, in arrival order, up to now.

        No data is copied: it costs the same after ten million ticks as after ten
        thousand. The frame never changes.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.frames.schema.SCHEMA`: prices in rupees, quantities in
            units, times in Asia/Kolkata, nulls where the mode has no such field.
        """
        return self.held().frame()

    def lazy(self) -> pl.LazyFrame:
        """Return the same as `frame`, as a LazyFrame."""
        return self.frame().lazy()

    # -- the state of things ---------------------------------------------------------------

    def subscriptions(self) -> pl.DataFrame:
        """Return one row an instrument: token, symbol, mode, connection."""
        subscriptions, names = self._loop.call(self._manager.subscriptions), self._instruments
        listing = self._listing
        if (
            listing is None
            or listing.subscriptions is not subscriptions
            or listing.names is not names
        ):
            frame = subscriptions_frame(subscriptions, names.symbols(list(subscriptions)))
            listing = self._listing = _Listing(subscriptions, names, frame)
        return listing.frame.clone()  # its columns are shared; what is done to it is the caller's

    def connections(self) -> pl.DataFrame:
        """Return one row a connection: state, instruments, messages, bytes, reconnects, times."""
        statuses = self._loop.call(self._manager.connections)
        return connections_frame(statuses, self._limits.instruments_per_connection)

    def orders(self, *, latest: bool = False) -> pl.DataFrame:
        """Return one row a distinct order update, times in IST, prices in rupees.

        Parameters
        ----------
        latest
            One row an order instead: the update that is furthest on, whatever order the
            updates arrived in.
        """
        return orders_frame(self._loop.call(self._manager.orders), latest=latest)

    def events(self) -> pl.DataFrame:
        """Return what happened besides ticks: errors, alerts, rejections, reconnects."""
        return events_frame(self._loop.call(self._manager.events))

    def note(self, kind: str, detail: str) -> None:
        """Add an event of your own, such as what a strategy decided; credentials are taken out.

        Parameters
        ----------
        kind
            What sort of event it is, in a word.
        detail
            What happened.
        """
        self._loop.call(self._manager.note, kind, detail)

    def gaps(self) -> pl.DataFrame:
        """Return the holes in the data, open ones included."""
        return gaps_frame(self._loop.call(self._manager.gaps))

    def stats(self) -> Stats:
        """Return the counters of this moment."""
        return self._loop.call(self._count)

    def _count(self) -> Stats:
        self._pipeline.flush()
        feed, pipeline = self._manager.stats(), self._pipeline.stats()
        return Stats(
            messages=feed.messages,
            bytes=feed.bytes,
            packets=pipeline.packets,
            ticks=pipeline.ticks,
            rejected_packets=pipeline.rejected_packets,
            rejected_messages=pipeline.rejected_messages,
            dropped=pipeline.dropped,
            rows=self._store.held.height,
            reconnects=feed.reconnects,
            connected=feed.connected,
            instruments=feed.instruments,
            orders=feed.orders,
            gaps=feed.gaps,
        )

    def __repr__(self) -> str:
        """Say how things stand in one line."""
        stats = self.stats()
        state = f"{stats.connected} connections" if self.is_running else "stopped"
        parts = [state, f"{stats.instruments:,} instruments", f"{stats.ticks:,} ticks"]
        parts += [f"{count:,} {name}" for name, count in stats.losses.items() if count]
        return f"<Ticker: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show how things stand, with a row for each connection."""
        stats = self.stats()
        return ticker_html(
            is_running=self.is_running,
            figures={
                "instruments": stats.instruments,
                "ticks": stats.ticks,
                "rows held": stats.rows,
            },
            losses=stats.losses,
            connections=self.connections(),
        )


def _mode(mode: str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        expected = ", ".join(f"{known.value!r}" for known in MODES)
        raise ConfigError("mode", mode, f"one of {expected}") from None


def _accounts(
    api_key: str | None, access_token: str | None, accounts: Sequence[Account] | None
) -> Sequence[Account]:
    if accounts is not None:
        if api_key is not None or access_token is not None:
            raise ConfigError("accounts", accounts, "None when api_key and access_token are given")
        return accounts
    if api_key is None or access_token is None:
        missing = "api_key" if api_key is None else "access_token"
        raise ConfigError(missing, None, "given, or several accounts instead")
    return [Account("default", api_key, access_token)]


def _instruments(instruments: Instruments | str | bytes | None) -> Instruments:
    if isinstance(instruments, Instruments):
        return instruments
    if instruments is None:
        return Instruments.from_records([])
    return Instruments.read_csv(instruments)
