"""The façade: names, threads, DataFrames. Every method of `Ticker` works from any thread.

A ticker holds its parts: the `Runtime` that ticks come from, its callbacks, the candles it has been
asked for. The methods here translate names to tokens and snapshots to DataFrames.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import polars as pl

from kitepolars.analytics import Clock, FormattedFrame, Hours, show
from kitepolars.analytics import depth as depth_of
from kitepolars.analytics import movers as movers_of
from kitepolars.analytics.market import with_market
from kitepolars.analytics.technical import Indicator
from kitepolars.calendar import IST
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.feed.account import Account, connection_url
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.plan import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.store import Held, Retention
from kitepolars.instruments import Instrument, Instruments, SomeInstruments
from kitepolars.nesting import run
from kitepolars.options import MAX_AGE, ChainListings, join_chain
from kitepolars.pipeline import Flush
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.recordings.following import FollowSource
from kitepolars.recordings.frames import NameGiver
from kitepolars.secret import Secret, as_secret
from kitepolars.source import Source
from kitepolars.tables import (
    connections_frame,
    events_frame,
    gaps_frame,
    orders_frame,
    subscriptions_frame,
)
from kitepolars.ticker.callbacks import Callbacks, stream
from kitepolars.ticker.kept_candles import KeptCandles
from kitepolars.ticker.recording import TickRecorder
from kitepolars.ticker.runtime import Companion, Runtime
from kitepolars.ticker.stats import Stats
from kitepolars.ticker.summary import ticker_html
from kitepolars.ticker.waiting import wait, wait_async
from kitepolars.wire.control import KITE_URL
from kitepolars.wire.layouts import MODES, Mode

if TYPE_CHECKING:
    from kitepolars.widgets import Chart, Controls, Dashboard, Ladder, LiveTable, Monitor

__all__ = ["Stats", "Ticker"]

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class _KnownInstruments:
    """The frame of `subscriptions()` and what it was made of; another object makes another."""

    subscriptions: Mapping[int, tuple[Mode, int | None]]
    names: Instruments
    frame: pl.DataFrame


class Ticker:
    """Kite's live ticks as growing Polars DataFrames.

    Parameters
    ----------
    api_key, access_token
        Credentials of one account; the token is never shown.
    accounts
        Several accounts instead: 9,000 instruments each.
    url
        The streaming endpoint.
    limits
        Connections per account, 3 by default, and instruments per connection, 3,000.
    reconnect
        When a connection counts as lost, and the delays before it is opened again, in seconds.
    retention
        How much history is kept, in rows or seconds; all of it by default.
    flush
        How long messages wait to be decoded together: 0.05 s by default.
    instruments
        The list that maps tokens to names, or its CSV: a path or the bytes.
    default_mode
        The mode of subscriptions that do not name one: ``"ltp"``, ``"quote"`` or ``"full"``.
    recorder
        A folder. A separate process, started if it does not run, connects and records there, and
        the ticker follows it.

    Raises
    ------
    ConfigError
        When a setting is out of range. The constructor starts nothing and sends nothing.

    Examples
    --------
    >>> ticker = Ticker("my_api_key", "my_access_token")
    >>> ticker
    <Ticker: stopped, 0 instruments, 0 ticks>
    """

    hours: Hours = "exchange"
    """The hours that have candles: those of the trading calendar, or ``"any"``."""

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
        recorder: str | PathLike[str] | None = None,
    ) -> None:
        # Tracebacks may show the locals of any frame: from here on these show nothing.
        key = None if api_key is None else as_secret(api_key)
        token = None if access_token is None else as_secret(access_token)
        del api_key, access_token
        limits = limits or Limits()
        mode, names = _mode(default_mode), _instruments(instruments)
        accounts = _accounts(key, token, accounts)
        if recorder is not None:
            request = Request(url=url, limits=limits, reconnect=reconnect or ReconnectPolicy())
            source = self._recorded(Path(recorder), accounts, request)
            runtime = Runtime(source, retention=retention, flush=flush)
            self._compose(runtime, instruments=names, default_mode=mode, limits=limits)
            if instruments is None:
                source.deliver_to(NameGiver(partial(setattr, self, "instruments")), first=True)
            return
        manager = TickerManager(accounts, url=url, limits=limits, reconnect=reconnect)
        claims: dict[Hashable, int] = {
            (url, Secret(account.api_key)): limits.connections for account in accounts
        }
        runtime = Runtime(
            manager, ledger=manager.ledger, retention=retention, flush=flush, claims=claims
        )
        self._compose(runtime, instruments=names, default_mode=mode, limits=limits)

    def _recorded(
        self, folder: Path, accounts: Sequence[Account], request: Request
    ) -> FollowSource:
        """Return a source that follows the recorder of a folder, and starts it if none runs."""
        for account in accounts:
            connection_url(request.url, account)  # raises here, not in another process

        def start(wanted: Mapping[int, Mode]) -> Recorder:
            names = self._instruments
            listing = names.to_csv() if len(names) else b""
            return launch(folder, accounts, replace(request, subscriptions=wanted, listing=listing))

        names = [None] if len(accounts) == 1 else [account.name for account in accounts]
        tokens = {name: one.secret for name, one in zip(names, accounts, strict=True)}
        return FollowSource(folder, launch=start, access_tokens=tokens)

    @classmethod
    def _over(
        cls,
        source: Source,
        *,
        instruments: Instruments,
        default_mode: Mode = Mode.QUOTE,
        limits: Limits | None = None,
        retention: Retention | None = None,
        flush: Flush | None = None,
        host: Companion | None = None,
    ) -> Self:
        """Return a ticker over any source, such as a recording."""
        runtime = Runtime(source, retention=retention, flush=flush, host=host)
        return cls.__new__(cls)._compose(  # noqa: SLF001 - it is one of this class
            runtime, instruments=instruments, default_mode=default_mode, limits=limits or Limits()
        )

    def _compose(
        self, runtime: Runtime, *, instruments: Instruments, default_mode: Mode, limits: Limits
    ) -> Self:
        self._runtime = runtime
        self._callbacks = Callbacks(runtime)
        self._candles = KeptCandles(runtime)
        self._chains = ChainListings()
        self._limits = limits
        self._default_mode = default_mode
        self._recorders: dict[Path, TickRecorder] = {}
        self._listing: _KnownInstruments | None = None
        self.instruments = instruments
        return self

    @classmethod
    def from_env(
        cls,
        *,
        url: str = KITE_URL,
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        retention: Retention | None = None,
        flush: Flush | None = None,
        instruments: Instruments | str | bytes | None = None,
        default_mode: str = Mode.QUOTE,
        recorder: str | PathLike[str] | None = None,
    ) -> Self:
        """Return a ticker for the account in ``KITE_API_KEY`` and ``KITE_ACCESS_TOKEN``.

        A ``.env`` file in this folder or above it is read too, if ``python-dotenv`` is there.

        Parameters
        ----------
        url, limits, reconnect, retention, flush, instruments, default_mode, recorder
            As for `Ticker`.

        Raises
        ------
        ConfigError
            When one of them is missing; it names the variable.
        """
        from kitepolars.rest import credentials_from_env  # noqa: PLC0415 - loaded on use

        return cls(
            accounts=[credentials_from_env()],
            url=url,
            limits=limits,
            reconnect=reconnect,
            retention=retention,
            flush=flush,
            instruments=instruments,
            default_mode=default_mode,
            recorder=recorder,
        )

    @classmethod
    def from_kite(
        cls,
        kite: Any,
        *,
        url: str = KITE_URL,
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        retention: Retention | None = None,
        flush: Flush | None = None,
        instruments: Instruments | str | bytes | None = None,
        default_mode: str = Mode.QUOTE,
        recorder: str | PathLike[str] | None = None,
    ) -> Self:
        """Return a ticker for the account of an official `kiteconnect.KiteConnect` object.

        Parameters
        ----------
        kite
            An object with ``api_key`` and ``access_token``, logged in.
        url, limits, reconnect, retention, flush, instruments, default_mode, recorder
            As for `Ticker`.

        Raises
        ------
        ConfigError
            When it has no access token yet.
        """
        return cls(
            accounts=[Account("default", kite.api_key, kite.access_token)],
            url=url,
            limits=limits,
            reconnect=reconnect,
            retention=retention,
            flush=flush,
            instruments=instruments,
            default_mode=default_mode,
            recorder=recorder,
        )

    # -- life ------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the feed runs: after `start()`, until `stop()`."""
        return self._runtime.is_running

    def start(self, *, strict: bool = False) -> Self:
        """Connect; return once each account that can has a connection. Harmless when it runs.

        An older ticker of this process that holds the connections of the same account, as when
        a notebook's cell is run again, gives way and is stopped: Kite allows three for an API
        key. Tickers whose `limits` leave room for each other run side by side.

        Parameters
        ----------
        strict
            Raise when any of several accounts cannot connect. By default those that can are
            used, and `events()` says why the others cannot.

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
            When another thread called `stop()` meanwhile, or this process was forked while the
            ticker ran.
        """
        self._runtime.start(strict=strict)
        return self

    def stop(self) -> None:
        """Close every connection, within two seconds whatever the server does.

        What has been received stays readable. Subscriptions are remembered, and the next
        `start()` restores them.
        """
        self._runtime.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def set_access_token(self, token: str, account: str | None = None) -> None:
        """Replace the access token after its daily expiry; subscriptions resume.

        Parameters
        ----------
        token
            The token of today's login.
        account
            The account's name; optional with a single account.

        Raises
        ------
        ConfigError
            When the account is unknown, or not named although there are several.
        """
        secret = as_secret(token)
        del token  # a traceback may show the locals of any frame
        self._runtime.call(self._runtime.live.set_access_token, secret, account)

    # -- subscriptions ---------------------------------------------------------------------

    @property
    def default_mode(self) -> Mode:
        """The mode of a `subscribe` that names none."""
        return self._default_mode

    @property
    def instruments(self) -> Instruments:
        """The instruments known by name. Another list may be assigned; ticks keep their names."""
        return self._instruments

    @instruments.setter
    def instruments(self, instruments: Instruments) -> None:
        self._instruments = instruments
        name = self._runtime.store.name_instruments
        self._runtime.flushed(lambda: name(lambda tokens: instruments.symbols(tokens).to_list()))

    def subscribe(self, instruments: SomeInstruments, mode: str | None = None) -> None:
        """Subscribe to instruments; those already subscribed only change their mode.

        Before `start()` the subscription is remembered, and sent once connected.

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
        self._runtime.call(self._runtime.live.subscribe, tokens, wanted)

    def unsubscribe(self, instruments: SomeInstruments) -> None:
        """Unsubscribe from instruments; those that are not subscribed are ignored.

        Parameters
        ----------
        instruments
            Names, tokens, or a frame with a column of either.

        Raises
        ------
        UnknownInstrument
            When a name is not known. Nothing is changed.
        """
        self._runtime.call(self._runtime.live.unsubscribe, self._instruments.tokens(instruments))

    def set_mode(self, instruments: SomeInstruments, mode: str) -> None:
        """Change the mode of subscribed instruments.

        Parameters
        ----------
        instruments
            Names, tokens, or a frame with a column of either.
        mode
            ``"ltp"``, ``"quote"`` or ``"full"``.

        Raises
        ------
        UnknownInstrument
            When one is unknown or not subscribed. Nothing is changed.
        """
        tokens = self._instruments.tokens(instruments)
        self._runtime.call(self._runtime.live.set_mode, tokens, _mode(mode))

    # -- ticks -----------------------------------------------------------------------------

    def frame(self) -> pl.DataFrame:
        """Return every tick held, in arrival order, up to now.

        No data is copied, so the call costs the same after ten million ticks as after ten
        thousand. The returned frame never changes.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.frames.schema.SCHEMA`: prices in rupees, quantities in
            units, times in Asia/Kolkata; null where the mode does not carry the field.
        """
        return self._runtime.held().frame()

    def lazy(self) -> pl.LazyFrame:
        """Return the same as `frame`, as a LazyFrame."""
        return self.frame().lazy()

    # -- the state of things ---------------------------------------------------------------

    def subscriptions(self) -> pl.DataFrame:
        """Return one row per instrument: token, symbol, mode, connection."""
        runtime, names = self._runtime, self._instruments
        subscriptions = runtime.call(runtime.ledger.connections.subscriptions)
        listing = self._listing
        if (
            listing is None
            or listing.subscriptions is not subscriptions
            or listing.names is not names
        ):
            frame = subscriptions_frame(subscriptions, names.symbols(list(subscriptions)))
            listing = self._listing = _KnownInstruments(subscriptions, names, frame)
        return listing.frame.clone()  # its columns are shared; what is done to it is the caller's

    def connections(self) -> pl.DataFrame:
        """Return one row per connection: state, instruments, messages, bytes, reconnects."""
        statuses = self._runtime.call(self._runtime.ledger.connections.snapshot)
        return connections_frame(statuses, self._limits.instruments_per_connection)

    def orders(self, *, latest: bool = False) -> pl.DataFrame:
        """Return one row per distinct order update, times in IST, prices in rupees.

        Parameters
        ----------
        latest
            Return one row per order instead: its most advanced update, in whatever order the
            updates arrived.
        """
        return orders_frame(self._runtime.call(self._runtime.ledger.orders.snapshot), latest=latest)

    def events(self) -> pl.DataFrame:
        """Return what happened besides ticks: errors, alerts, rejections, reconnects."""
        return events_frame(self._runtime.flushed(self._runtime.ledger.events.snapshot))

    def note(self, kind: str, detail: str) -> None:
        """Add an event of your own, such as a strategy's decision; credentials are redacted.

        Parameters
        ----------
        kind
            A word to filter by.
        detail
            What happened.
        """
        self._runtime.note(kind, detail)

    def gaps(self) -> pl.DataFrame:
        """Return the gaps in the data, open ones included."""
        return gaps_frame(self._runtime.flushed(self._runtime.ledger.gaps.snapshot))

    def stats(self) -> Stats:
        """Return the counters of this moment."""
        return self._runtime.stats()

    def __repr__(self) -> str:
        """Say how things stand in one line."""
        if not hasattr(self, "_runtime"):  # the constructor raised, and a traceback shows it
            return f"<{type(self).__name__}: not made>"
        stats = self.stats()
        state = f"{stats.connected} connections" if self.is_running else "stopped"
        parts = [state, f"{stats.instruments:,} instruments", f"{stats.ticks:,} ticks"]
        parts += [f"{count:,} {name}" for name, count in stats.losses.items() if count]
        return f"<Ticker: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show how things stand, with a row for each connection."""
        stats = self.stats()
        return ticker_html(
            at=self._now().astimezone(IST),
            is_running=self.is_running,
            figures={
                "instruments": stats.instruments,
                "ticks": stats.ticks,
                "rows held": stats.rows,
            },
            losses=stats.losses,
            connections=self.connections(),
        )

    # -- recordings ---------------------------------------------------------------------------

    def record(self, folder: str | PathLike[str]) -> TickRecorder:
        """Record what the ticker receives from now on, in this process.

        A cell that computes without a pause, or a killed kernel, interrupts it as it interrupts the
        ticker; ``Ticker(..., recorder=folder)`` records in a separate process instead. It continues
        until its `end` is called, over `stop` and `start`.

        Parameters
        ----------
        folder
            Where to; it is made if it is not there.

        Returns
        -------
        TickRecorder
            What is under way, with ``stats()`` and ``end()``; the same as before for a folder that
            the ticker records into already.

        Raises
        ------
        JournalError
            When somebody else records there, or it cannot be written.
        """
        place = Path(folder)
        recorder = self._recorders.get(place)
        if recorder is None or not recorder.is_recording:
            recorder = self._recorders[place] = TickRecorder(
                self._runtime, place, self._instruments
            )
        return recorder

    # -- waiting, streams, callbacks ----------------------------------------------------------

    def wait(
        self,
        *,
        rows: int | None = None,
        until: Callable[[Self], object] | None = None,
        timeout: float | None = None,
        keep_loop: bool = False,
    ) -> bool:
        """Block the calling cell until a condition holds. It can be interrupted.

        Parameters
        ----------
        rows
            Wait until this many rows are held.
        until
            Wait until this predicate is true; it is called with the ticker, in this thread.
        timeout
            Wait at most this many seconds; exactly as long when neither `rows` nor `until` is
            given.
        keep_loop
            Keep an event loop that already runs in this thread running meanwhile (applies
            `allow_nested_asyncio`).

        Returns
        -------
        bool
            Whether the condition held; False on timeout.

        Raises
        ------
        ConfigError
            When there is nothing to wait for.
        """
        if keep_loop:
            return run(self.wait_async(rows=rows, until=until, timeout=timeout))
        return wait(self._runtime, self._condition(rows, until, timeout), timeout)

    async def wait_async(
        self,
        *,
        rows: int | None = None,
        until: Callable[[Self], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the same words as `wait`
    ) -> bool:
        """Wait as `wait` does, without blocking the calling event loop.

        Parameters
        ----------
        rows, until, timeout
            As for `wait`.

        Returns
        -------
        bool
            Whether the condition held within `timeout` seconds.
        """
        holds = self._condition(rows, until, timeout)
        return await wait_async(self._runtime, holds, timeout)

    def _condition(
        self,
        rows: int | None,
        until: Callable[[Self], object] | None,
        timeout: float | None,
    ) -> Callable[[], bool]:
        if rows is None and until is None and timeout is None:
            raise ConfigError("timeout", timeout, message="wait() needs rows, until or timeout")
        if rows is None and until is None:
            return lambda: False

        def holds() -> bool:
            enough = rows is None or self._runtime.store.held.height >= rows
            return enough and (until is None or bool(until(self)))

        return holds

    async def stream(
        self, instruments: SomeInstruments | None = None, *, connection: int | None = None
    ) -> AsyncGenerator[pl.DataFrame, None]:
        """Yield new ticks in batches, as they are flushed.

        A slow reader gets larger batches. One that falls two million ticks behind misses the
        oldest; `events()` reports how many. The stream ends when the ticker stops.

        Parameters
        ----------
        instruments
            Only these; all by default.
        connection
            Only ticks of this connection: each is a separate channel.

        Yields
        ------
        polars.DataFrame
            The columns of `frame`.
        """
        batches = stream(self._runtime, self._tokens(instruments), connection)
        try:
            async for batch in batches:
                yield batch
        finally:
            await batches.aclose()

    @overload
    def on_batch(self, function: F) -> F: ...
    @overload
    def on_batch(
        self, *, instruments: SomeInstruments | None = None, connection: int | None = None
    ) -> Callable[[F], F]: ...
    def on_batch(
        self,
        function: Callable[..., object] | None = None,
        *,
        instruments: SomeInstruments | None = None,
        connection: int | None = None,
    ) -> Any:
        """Call a function with each batch of new ticks, a DataFrame, on its own thread.

        A slow function gets larger batches; what it raises is reported in `events()`. It
        works as a decorator too, with or without arguments; `off` ends it.

        Parameters
        ----------
        function
            Takes one `polars.DataFrame` with the columns of `frame`.
        instruments
            Only ticks of these; all by default.
        connection
            Only ticks of this connection.
        """
        if function is None:
            return lambda given: self.on_batch(  # type: ignore[call-overload]
                given, instruments=instruments, connection=connection
            )
        self._callbacks.on_batch(function, self._tokens(instruments), connection)
        return function

    def on_order(self, function: F) -> F:
        """Call a function with each distinct order update, on its own thread.

        Parameters
        ----------
        function
            Takes one `OrderUpdate`: ``received_at``, ``connection`` and ``data``, the order's
            fields as sent.
        """
        self._callbacks.on_item(function, self._runtime.ledger.orders.listen)
        return function

    def on_event(self, function: F) -> F:
        """Call a function with each event, on its own thread.

        Parameters
        ----------
        function
            Takes one `Event`: ``at``, ``connection``, ``kind`` and ``detail``.
        """
        self._callbacks.on_item(function, self._runtime.ledger.events.listen)
        return function

    def on_message(self, function: F) -> F:
        """Call a function with each binary message as it came, on its own thread.

        Parameters
        ----------
        function
            Takes one `Message`: ``received_at``, ``connection`` and ``data``;
            `kitepolars.packets` finds the packets in it.
        """
        self._callbacks.on_item(
            function, self._runtime.pipeline.tap, size=lambda message: len(message.data)
        )
        return function

    def off(self, function: Callable[..., object]) -> None:
        """End every callback to a function. Harmless when there is none.

        Parameters
        ----------
        function
            What was given to `on_batch`, `on_order`, `on_event` or `on_message`.
        """
        self._callbacks.off(function)

    def _tokens(self, instruments: SomeInstruments | None) -> Sequence[int] | None:
        return None if instruments is None else self.instruments.tokens(instruments)

    def _held(self) -> Held:
        """Decode what waits, and return the immutable state behind `frame`; for views."""
        return self._runtime.held()

    def _now(self) -> dt.datetime:
        """Return the source's time."""
        return dt.datetime.fromtimestamp(self._runtime.source.now() / 1e6, dt.UTC)

    # -- answers ------------------------------------------------------------------------------

    def latest(self) -> pl.DataFrame:
        """Return the last tick of each instrument. It costs the same whatever the history.

        Returns
        -------
        polars.DataFrame
            The columns of `frame`, then ``change`` (percent to the previous close),
            ``range_position`` (0 at the day's low, 1 at its high) and ``staleness`` (the time
            since the tick arrived); in the order in which instruments were first subscribed.
        """
        return with_market(self._runtime.held().latest(), now=self._now())

    def movers(self, n: int = 10) -> pl.DataFrame:
        """Return the instruments that rose most and those that fell most since the last close.

        Parameters
        ----------
        n
            How many of each, at most.

        Raises
        ------
        ConfigError
            If `n` is not a positive whole number.
        """
        return movers_of(self.latest(), n)

    def show(
        self,
        instruments: SomeInstruments | None = None,
        columns: Sequence[str] | None = None,
        *,
        rows: int = 20,
    ) -> FormattedFrame:
        """Return the last tick of each instrument as a trader reads it, for notebook or terminal.

        Parameters
        ----------
        instruments
            Names or tokens; whatever has ticks by default.
        columns
            Columns of `latest`, and ``name``, ``bid`` or ``ask``; the usual ones by default.
        rows
            The largest number of rows shown.

        Raises
        ------
        UnknownInstrument
            If a name is unknown.
        ConfigError
            If a column does not exist, or `rows` is below 1.

        Examples
        --------
        >>> import kitepolars as kp
        >>> with kp.demo(instruments=["NSE:INFY"]) as ticker:
        ...     print(ticker.wait(rows=1, timeout=60))
        ...     print(str(ticker.show(columns=["name", "symbol"])))
        True
        Name  Symbol
        INFY  NSE:INFY
        """
        latest = self.latest()
        if instruments is not None:
            tokens = self.instruments.tokens(instruments)
            latest = latest.filter(pl.col("instrument_token").is_in(tokens))
        names = self.instruments.labels(latest["instrument_token"]).alias("name")
        return show(latest.with_columns(names), columns, rows=rows)

    def depth(self, instrument: Instrument) -> pl.DataFrame:
        """Return the order book of an instrument's last tick: five bids, five asks, best first.

        Parameters
        ----------
        instrument
            A name such as ``"NSE:INFY"`` or a token.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.DEPTH`; prices in rupees.

        Raises
        ------
        UnknownInstrument
            When there is no such instrument, or no tick of it yet.
        ConfigError
            When it has no book: an index, or not in full mode.
        """
        token = self.instruments.resolve(instrument)
        ticks = self._runtime.held().latest()
        if token not in ticks["instrument_token"]:
            hint = "There is no tick of it yet: subscribe it in full mode, or wait for the first."
            raise UnknownInstrument(str(instrument), hint=hint)
        return depth_of(ticks, token)

    def candles(
        self,
        every: str | dt.timedelta = "1m",
        instruments: SomeInstruments | None = None,
        *,
        on: Clock = "exchange_timestamp",
        include_partial: bool = True,
        fill: bool = False,
        indicators: Sequence[Indicator] = (),
    ) -> pl.DataFrame:
        """Return open, high, low, close and volume of intervals, aligned to the session.

        Asking again costs the ticks that came since, not the day. An interval that was asked
        for once does not depend on the retention: its ticks are taken in before they are
        dropped. One that is asked for after ticks were dropped reports in `events` from when
        its bars are whole; those before have ``is_partial``.

        Parameters
        ----------
        every
            ``"1s"`` to ``"1d"``, or a `datetime.timedelta`.
        instruments
            Only these; all by default.
        on
            The clock that cuts the bars: ``"exchange_timestamp"`` or ``"received_at"``.
        include_partial
            Whether to include bars that are not over yet.
        fill
            Whether to put flat bars where nothing traded.
        indicators
            Indicators of `kitepolars.indicators`, such as ``kp.indicators.rsi(14)``, to add as
            columns. Asking again for the same ones costs the bars that are new.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.CANDLES`; prices in rupees, ``start`` in
            Asia/Kolkata; then those of the indicators.

        Raises
        ------
        ConfigError
            When the interval or the clock is impossible, or an indicator is another expression.
        """
        tokens = None if instruments is None else self.instruments.tokens(instruments)
        frame = self._candles.frame(
            every,
            on,
            self.hours,
            include_partial=include_partial,
            fill=fill,
            indicators=indicators,
        )
        return frame if tokens is None else frame.filter(pl.col("instrument_token").is_in(tokens))

    def option_chain(
        self,
        underlying: str,
        expiry: dt.date | str | None = None,
        *,
        strikes: int | None = 10,
        exchange: str | None = None,
        rate: float = 0.0,
        forward: float | None = None,
        max_age: dt.timedelta = MAX_AGE,
    ) -> pl.DataFrame:
        """Return calls and puts side by side around the money, with live quotes and greeks.

        Subscribe the chain first, in full mode, which has the order book:
        ``ticker.subscribe(ticker.instruments.option_chain("NIFTY"), mode="full")``. Contracts
        without a tick have nulls; a chain of which nothing is subscribed says so in a warning.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, ``"CRUDEOIL"``, …
        expiry
            A date or YYYY-MM-DD; the nearest by default.
        strikes
            How many strikes on each side of the money; None for all. The money is the forward
            or, while that is unknown, the price of the live index, share or nearest future.
        exchange
            Where, if the options are listed on several.
        rate
            Annual interest rate, continuously compounded, as a fraction.
        forward
            The forward in rupees, instead of the one that the quotes imply.
        max_age
            The age above which a quote or a trade is stale.

        Returns
        -------
        polars.DataFrame
            As `kitepolars.options.join_chain`, which says how options are valued.

        Raises
        ------
        UnknownInstrument
            When there are no options on it.
        ConfigError
            When none expires on that day.
        """
        today = self._now().astimezone(IST).date()
        listed = self._chains.find(self.instruments, underlying, expiry, exchange, today=today)
        ticks = self._runtime.held().latest()
        live = join_chain(
            listed.contracts,
            ticks,
            forward=forward,
            rate=rate,
            strikes=strikes,
            max_age=max_age,
            future=listed.future,
            references=listed.references,
        )
        is_blank = not (live["call_last_price"].count() or live["put_last_price"].count())
        if is_blank and not listed.has_any(ticks) and not listed.has_any(self.subscriptions()):
            advice = f"no contract of this chain is subscribed: {listed.how_to_subscribe}"
            warnings.warn(advice, stacklevel=2)
        return live

    # -- widgets; keyword arguments are those of the widget -----------------------------------

    def controls(self, *, mode: str | None = None, watch_list: str = "watchlist.txt") -> Controls:
        """Return the subscription panel: search, add, change mode, remove, undo, start, stop.

        Parameters
        ----------
        mode
            The mode that is selected at first for new subscriptions; `default_mode` if None.
        watch_list
            The file name proposed for saving and loading.
        """
        from kitepolars.widgets import Controls  # noqa: PLC0415 - widgets are loaded on use

        return Controls(self, mode=mode, watch_list=watch_list)

    def watch(
        self,
        instruments: SomeInstruments | None = None,
        *,
        columns: Sequence[str] | None = None,
        height: int = 360,
        stale_after: float = 30.0,
    ) -> LiveTable:
        """Return a live table of the latest values.

        Parameters
        ----------
        instruments
            Names or tokens; whatever is subscribed at the moment by default.
        columns
            Names from `kitepolars.widgets.columns.COLUMNS`; the usual ones by default.
        height
            Height of the rows' area in pixels.
        stale_after
            Seconds without a tick after which a row turns grey.

        Raises
        ------
        ConfigError
            If a column is unknown, or `stale_after` is not positive.
        UnknownInstrument
            If a name is unknown.
        """
        from kitepolars.widgets import LiveTable  # noqa: PLC0415 - widgets are loaded on use

        return LiveTable(self, instruments, columns=columns, height=height, stale_after=stale_after)

    def chart(
        self,
        instrument: str | int,
        every: str = "1m",
        *,
        history: pl.DataFrame | None = None,
        height: int = 340,
    ) -> Chart:
        """Return live candles with volume.

        Parameters
        ----------
        instrument
            A name or a token.
        every
            The interval of a bar: 1s, 5s, 15s, 1m, 3m, 5m, 15m, 30m, 1h or 1d.
        history
            Older candles with the columns of `candles`, for example from `kp.historical`.
        height
            Height of the chart in pixels.

        Raises
        ------
        ConfigError
            If the interval is another, or the history lacks a column.
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Chart  # noqa: PLC0415 - widgets are loaded on use

        return Chart(self, instrument, every=every, history=history, height=height)

    def ladder(self, instrument: str | int) -> Ladder:
        """Return the five-level order book of an instrument, live.

        Parameters
        ----------
        instrument
            A name or a token. The book needs mode full, which the widget offers to subscribe.

        Raises
        ------
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Ladder  # noqa: PLC0415 - widgets are loaded on use

        return Ladder(self, instrument)

    def monitor(self) -> Monitor:
        """Return the health of the feed: connections, rates, losses, gaps, events."""
        from kitepolars.widgets import Monitor  # noqa: PLC0415 - widgets are loaded on use

        return Monitor(self)

    def dashboard(
        self,
        instrument: str | int | None = None,
        *,
        every: str = "1m",
        columns: Sequence[str] | None = None,
    ) -> Dashboard:
        """Return all widgets together, in one cell.

        Parameters
        ----------
        instrument
            What it shows first; the first subscribed instrument by default.
        every
            The chart's interval.
        columns
            The table's columns; the usual ones by default.

        Raises
        ------
        ConfigError
            If nothing is subscribed and no instrument is given, or a setting is out of range.
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Dashboard  # noqa: PLC0415 - widgets are loaded on use

        return Dashboard(self, instrument, every=every, columns=columns)


def _mode(mode: str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        expected = ", ".join(f"{known.value!r}" for known in MODES)
        raise ConfigError("mode", mode, f"one of {expected}") from None


def _accounts(
    api_key: Secret | None, access_token: Secret | None, accounts: Sequence[Account] | None
) -> Sequence[Account]:
    if accounts is not None:
        if api_key is not None or access_token is not None:
            both = "pass either api_key and access_token, or accounts, not both"
            raise ConfigError("accounts", accounts, message=both)
        return accounts
    if api_key is None or access_token is None:
        missing = "api_key" if api_key is None else "access_token"
        needed = f"{missing} is missing: pass api_key and access_token, or accounts"
        raise ConfigError(missing, None, message=needed)
    return [Account("default", api_key, access_token)]


def _instruments(instruments: Instruments | str | bytes | None) -> Instruments:
    if isinstance(instruments, Instruments):
        return instruments
    if instruments is None:
        return Instruments.from_records([])
    return Instruments.read_csv(instruments)
