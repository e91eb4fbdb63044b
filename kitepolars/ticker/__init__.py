"""The façade: names, threads, DataFrames. Every method of `Ticker` works from any thread.

A ticker holds its parts: the `Runtime` that ticks come from, its callbacks, its recorders. What it
answers is in `TickerAnswers`, which changes nothing; the methods here make it do something.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

import polars as pl

from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.store import Retention
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.nesting import run
from kitepolars.pipeline import Flush
from kitepolars.recorder.request import Request
from kitepolars.recordings.frames import NameGiver
from kitepolars.secret import as_secret
from kitepolars.source import Source
from kitepolars.ticker.alerts import TickerAlerts
from kitepolars.ticker.answers import TickerAnswers
from kitepolars.ticker.callbacks import Callbacks, stream
from kitepolars.ticker.older_candles import (
    candles_of_days,
    first_found,
    has_history,
    historical_candles,
)
from kitepolars.ticker.recording import Recordings, TickRecorder
from kitepolars.ticker.runtime import Companion, Runtime
from kitepolars.ticker.sources import (
    as_instruments,
    chosen_accounts,
    connected_runtime,
    following_runtime,
    official_account,
)
from kitepolars.ticker.stats import Stats, TickHistory
from kitepolars.ticker.waiting import condition, wait, wait_async
from kitepolars.ticker.watched import WatchedAlerts
from kitepolars.ticker.widgets import TickerWidgets
from kitepolars.wire.control import KITE_URL
from kitepolars.wire.layouts import MODES, Mode

if TYPE_CHECKING:
    from kitepolars.analytics.bars import OlderCandles
    from kitepolars.days.scan import Moment
    from kitepolars.days.storage import StorageOptions

__all__ = ["Stats", "TickHistory", "Ticker"]

_COROUTINES: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""The flags of code that an event loop runs."""

F = TypeVar("F", bound=Callable[..., object])


class Ticker(TickerAlerts, TickerWidgets):
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
        How long messages wait to be decoded together: by default 0.05 s, and 0.008 s while there
        is a callback for ticks or a stream.
    instruments
        The list that maps tokens to names, or its CSV: a path or the bytes.
    default_mode
        The mode of subscriptions that do not name one: ``"ltp"``, ``"quote"`` or ``"full"``.
    recorder
        A folder. A separate process, started if it does not run, connects and records there, and
        the ticker follows it.
    publish
        With `recorder`: a folder or an ``s3://`` URL. A third process, at a low priority, publishes
        there what is recorded, as a table of days that `kitepolars.scan` reads.

    Raises
    ------
    ConfigError
        When a setting is out of range. The constructor starts nothing and sends nothing.
    JournalError
        If `recorder` is a folder that cannot be written.
    NotRunning
        If the process of `recorder` cannot be started, or ended.
    TableError
        When `publish` can be no table, or what writes it is not installed.

    Attributes
    ----------
    hours
        The hours that have candles: ``"exchange"``, those of the trading calendar, or ``"any"``.

    Examples
    --------
    >>> ticker = Ticker("my_api_key", "my_access_token")
    >>> ticker
    <Ticker: stopped, 0 instruments, 0 ticks>
    """

    _history_account: Account | None = None

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
        publish: str | PathLike[str] | None = None,
    ) -> None:
        # Tracebacks may show the locals of any frame: from here on these show nothing.
        key = None if api_key is None else as_secret(api_key)
        token = None if access_token is None else as_secret(access_token)
        del api_key, access_token
        mode, names = _mode(default_mode), as_instruments(instruments)
        accounts = chosen_accounts(key, token, accounts)
        request = Request(
            url=url, limits=limits or Limits(), reconnect=reconnect or ReconnectPolicy()
        )
        if publish is not None and recorder is None:
            alone = "publish needs a recorder: Ticker(..., recorder=FOLDER, publish=TABLE)"
            raise ConfigError("publish", publish, message=alone)
        if recorder is None:
            runtime = connected_runtime(accounts, request, retention=retention, flush=flush)
        else:
            runtime = following_runtime(
                recorder,
                accounts,
                request,
                publish=publish,
                names=lambda: self._instruments,
                retention=retention,
                flush=flush,
            )
        self._compose(runtime, instruments=names, default_mode=mode, limits=request.limits)
        self._history_account = accounts[0] if accounts and has_history(url) else None
        if recorder is not None and instruments is None:
            name = NameGiver(partial(setattr, self, "instruments"))
            runtime.source.deliver_to(name, first=True)

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
        TickerAnswers.__init__(self, runtime, instruments, limits)
        self._callbacks = Callbacks(runtime)
        self._alerts = WatchedAlerts(runtime, self._callbacks)
        self._default_mode = default_mode
        self._recordings = Recordings(runtime)
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
        publish: str | PathLike[str] | None = None,
    ) -> Self:
        """Return a ticker for the account in ``KITE_API_KEY`` and ``KITE_ACCESS_TOKEN``.

        A ``.env`` file in this folder or above it is read too, if ``python-dotenv`` is installed.

        Parameters
        ----------
        url, limits, reconnect, retention, flush, instruments, default_mode, recorder, publish
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
            publish=publish,
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
        publish: str | PathLike[str] | None = None,
    ) -> Self:
        """Return a ticker for the account of an official `kiteconnect.KiteConnect` object.

        Parameters
        ----------
        kite
            An object with ``api_key`` and ``access_token``, logged in.
        url, limits, reconnect, retention, flush, instruments, default_mode, recorder, publish
            As for `Ticker`.

        Raises
        ------
        ConfigError
            When it has no access token yet.
        """
        return cls(
            accounts=[official_account(kite)],
            url=url,
            limits=limits,
            reconnect=reconnect,
            retention=retention,
            flush=flush,
            instruments=instruments,
            default_mode=default_mode,
            recorder=recorder,
            publish=publish,
        )

    # -- life ------------------------------------------------------------------------------

    def start(self, *, strict: bool = False) -> Self:
        """Connect; return once each account that can has a connection. No effect while it runs.

        Kite allows three connections per API key. An older ticker of this process that uses
        the connections of the same account, as after a notebook's cell is run again, is
        stopped. Tickers whose `limits` leave room for each other may run at the same time.

        Parameters
        ----------
        strict
            Raise when any of several accounts cannot connect. By default those that can are
            used, and `events()` has the reasons of the others.

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
        """Close every connection, within two seconds even if the server does not respond.

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
        NotLive
            If the ticker runs on a recording.
        """
        secret = as_secret(token)
        del token  # a traceback may show the locals of any frame
        self._runtime.call(self._runtime.live.set_access_token, secret, account)
        own = self._history_account
        if own is not None and account in {None, own.name}:
            self._history_account = Account(own.name, own.api_key, secret)

    # -- subscriptions ---------------------------------------------------------------------

    @property
    def default_mode(self) -> Mode:
        """The mode of a `subscribe` that names none."""
        return self._default_mode

    def subscribe(self, instruments: SomeInstruments, mode: str | None = None) -> None:
        """Subscribe to instruments; those already subscribed only change their mode.

        Before `start()` the subscription is remembered, and sent once connected; after `stop()`,
        too, with a RuntimeWarning, because nothing arrives until the next `start()`.

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
        ConfigError
            If the mode is another.
        NotLive
            If the ticker runs on a recording.
        """
        tokens = self._instruments.tokens(instruments)
        wanted = self._default_mode if mode is None else _mode(mode)
        if self._runtime.was_stopped:
            advice = "the ticker is stopped, so nothing arrives: start() sends this subscription"
            warnings.warn(advice, RuntimeWarning, stacklevel=2)
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
        NotLive
            If the ticker runs on a recording.
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
        ConfigError
            If the mode is another.
        NotLive
            If the ticker runs on a recording.
        """
        tokens = self._instruments.tokens(instruments)
        try:
            self._runtime.call(self._runtime.live.set_mode, tokens, _mode(mode))
        except UnknownInstrument as error:
            token = int(error.name)
            given = [instruments] if isinstance(instruments, str) else instruments
            name = self._instruments.symbol(token) or error.name
            if isinstance(given, list | tuple):
                name = str(given[tokens.index(token)])
            raise UnknownInstrument(name, hint=error.hint) from None

    # -- events and recordings -------------------------------------------------------------

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

    def record(self, folder: str | PathLike[str]) -> TickRecorder:
        """Record what the ticker receives from now on, in this process.

        A cell that holds the interpreter lock, or a killed kernel, interrupts it like the ticker
        itself; ``Ticker(..., recorder=folder)`` records in a separate process instead. It continues
        across `stop` and `start`, until its `end` is called.

        Parameters
        ----------
        folder
            The folder to record into; it is created if missing.

        Returns
        -------
        TickRecorder
            The recording, with ``stats()`` and ``end()``; for a folder that the ticker already
            records into, the same object.

        Raises
        ------
        JournalError
            When another process records there, or it cannot be written.
        """
        return self._recordings.record(Path(folder), self._instruments)

    def scan(
        self,
        table: str | PathLike[str] | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        instruments: SomeInstruments | None = None,
        storage_options: StorageOptions | None = None,
    ) -> pl.LazyFrame:
        """Return all recorded ticks until now: those in a table of days, and those not in it yet.

        The recording may be published to the table at the same time (``Ticker(..., publish=)``,
        ``kitepolars publish --follow``): each tick is returned exactly once. The first call reads
        the unpublished part of the recording and keeps it in memory until it is published.

        Parameters
        ----------
        table
            Where the ticker's recording is published: a folder, or an ``s3://`` URL. By default
            where its recorder publishes.
        start, end, instruments, storage_options
            As for `kitepolars.scan`.

        Returns
        -------
        polars.LazyFrame
            The columns of `kitepolars.scan`.

        Raises
        ------
        ConfigError
            When the ticker records nowhere, it is not known where that is published, or `end` is
            not after `start`.
        UnknownInstrument
            When a name is not known.
        JournalError
            When the recording cannot be read.
        TableError
            When the table is damaged or of a newer version, or PyArrow is not installed.

        Examples
        --------
        >>> import tempfile
        >>> from kitepolars import demo
        >>> with tempfile.TemporaryDirectory() as folder, demo(instruments=["NSE:INFY"]) as ticker:
        ...     recorder = ticker.record(f"{folder}/ticks")
        ...     _ = ticker.wait(rows=ticker.frame().height + 1, timeout=30)
        ...     ticks = ticker.scan(f"{folder}/days").collect()
        ...     recorder.end()
        >>> ticks["symbol"].unique().to_list()
        ['NSE:INFY']
        """
        recorded = self._recordings.in_table(table, storage_options)
        return recorded.scan(start=start, end=end, instruments=instruments)

    def _older_candles(self) -> OlderCandles | None:
        """Return what has candles before the ticker's own, or None if nothing has; for views."""
        published = self._recordings.published()
        known: list[OlderCandles] = []
        if published is not None:
            known.append(candles_of_days(published.scan, published.days, hours=self.hours))
        if self._history_account is not None:
            known.append(historical_candles(self._history_account))
        return first_found(known)

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
            Wait until this many rows are held, 1 and up.
        until
            Wait until this predicate is true; it is called with the ticker, in this thread.
        timeout
            Wait at most this many seconds, 0 and up; exactly as long when neither `rows` nor
            `until` is given.
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
            When there is nothing to wait for, or `rows` is below 1.
        """
        if keep_loop:
            return run(self.wait_async(rows=rows, until=until, timeout=timeout))
        frame = inspect.currentframe()
        caller = None if frame is None else frame.f_back
        if caller is not None and caller.f_code.co_flags & _COROUTINES:
            advice = "wait() blocks the event loop that runs this coroutine: await wait_async()"
            warnings.warn(advice, RuntimeWarning, stacklevel=2)
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

        Raises
        ------
        ConfigError
            If there is nothing to wait for, or `rows` is below 1.
        """
        holds = self._condition(rows, until, timeout)
        return await wait_async(self._runtime, holds, timeout)

    def _condition(
        self, rows: int | None, until: Callable[[Self], object] | None, timeout: float | None
    ) -> Callable[[], bool]:
        """Return whether a wait is over, as a function."""
        return condition(self, self._runtime.store, rows, until, timeout)

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
            Only ticks of this connection, from 0: each is a separate channel.

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
            Only ticks of this connection, from 0.

        Returns
        -------
        Callable
            `function` itself; without one, a decorator.
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

        Returns
        -------
        Callable
            `function` itself, so that it works as a decorator.
        """
        self._callbacks.on_item(
            function, self._runtime.ledger.orders.listen, size=lambda update: update.size
        )
        return function

    def on_event(self, function: F) -> F:
        """Call a function with each event, on its own thread.

        Parameters
        ----------
        function
            Takes one `Event`: ``at``, ``connection``, ``kind`` and ``detail``.

        Returns
        -------
        Callable
            `function` itself, so that it works as a decorator.
        """
        self._callbacks.on_item(
            function, self._runtime.ledger.events.listen, size=lambda event: len(event.detail)
        )
        return function

    def on_message(self, function: F) -> F:
        """Call a function with each binary message as received, on its own thread.

        Parameters
        ----------
        function
            Takes one `Message`: ``received_at``, ``connection`` and ``data``;
            `kitepolars.packets` finds the packets in it.

        Returns
        -------
        Callable
            `function` itself, so that it works as a decorator.
        """
        self._callbacks.on_item(
            function, self._runtime.pipeline.tap, size=lambda message: len(message.data)
        )
        return function

    def off(self, function: Callable[..., object]) -> None:
        """End every callback to a function. No effect if there is none.

        Parameters
        ----------
        function
            What was given to `on_batch`, `on_order`, `on_event` or `on_message`.
        """
        self._callbacks.off(function)

    def _tokens(self, instruments: SomeInstruments | None) -> Sequence[int] | None:
        return None if instruments is None else self.instruments.tokens(instruments)


def _mode(mode: str) -> Mode:
    try:
        return Mode(mode.lower() if isinstance(mode, str) else mode)
    except ValueError:
        expected = ", ".join(f"{known.value!r}" for known in MODES)
        raise ConfigError("mode", mode, f"one of {expected}") from None
