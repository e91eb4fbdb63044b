"""Every connection of every account: the asynchronous core. All of it on the loop thread.

`TickerManager` is what a user of the feed calls; the state behind it is the
`Feed`'s. What is handed out is an immutable copy that any thread may read;
every method belongs to the loop thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import index as as_int
from typing import Final

from kitepolars.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionLost,
    KitePolarsError,
    NotRunning,
    UnknownInstrument,
)
from kitepolars.feed.account import Account, public_url
from kitepolars.feed.commands import Action
from kitepolars.feed.hub import Feed
from kitepolars.feed.link import Tenant
from kitepolars.feed.plan import MAX_PLACES, Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.feed.records import (
    ConnectionState,
    ConnectionStatus,
    Event,
    EventLog,
    FeedStats,
    Gap,
    OrderUpdate,
    Sink,
)
from kitepolars.wire.layouts import Mode

_TOKENS: Final = range(2**32)


class TickerManager:
    """The feed: connections, subscriptions, orders, events, gaps.

    Subscribing calls are synchronous: they change the desired state, or raise and change
    nothing, and the requests go out in order behind them. Before `start()`, and while
    connections are down, they are remembered and take effect on connecting.

    Parameters
    ----------
    accounts
        One or more; each has `limits.connections` connections of its own.
    sink
        Where binary messages are delivered.
    url
        The server. Parameters that it has, as the sandbox's ``user_id``, are kept.
    limits
        What Kite allows per account.
    reconnect
        Delays and time-outs.
    events
        A log to share; by default one of its own.

    Raises
    ------
    ConfigError
        When there is no account, when two share a name or credentials, or for a bad URL.

    Examples
    --------
    >>> async def watch(sink: Sink) -> None:
    ...     manager = TickerManager([Account("main", "api_key", "access_token")], sink=sink)
    ...     manager.subscribe([408065, 884737], Mode.FULL)
    ...     await manager.start()
    ...     await asyncio.sleep(60)
    ...     await manager.stop()
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        *,
        sink: Sink,
        url: str = "wss://ws.kite.trade/",
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        events: EventLog | None = None,
    ) -> None:
        limits = limits or Limits()
        _check_accounts(accounts, limits)
        self._policy = reconnect or ReconnectPolicy()
        self._sink = sink
        self._feed = Feed(
            accounts,
            sink=sink,
            url=url,
            public_url=public_url(url),
            limits=limits,
            policy=self._policy,
            events=EventLog() if events is None else events,
        )

    def __repr__(self) -> str:
        stats = self.stats()
        return (
            f"<TickerManager {self._feed.public_url} accounts={list(self._feed.tenants)} "
            f"connected={stats.connected} instruments={stats.instruments}>"
        )

    @property
    def is_running(self) -> bool:
        """Whether connections are being kept alive: from `start()` to `stop()`."""
        return self._feed.running

    async def start(self) -> None:
        """Connect, and return once every account has its first connection open.

        Harmless when running already; connections that were given up are tried again then.
        When it raises, a manager that was not running is stopped again.

        Raises
        ------
        AuthenticationError
            When an account's credentials are refused (HTTP 403 or 400).
        ConnectionLost
            When an account has no connection within `connect_timeout`, or its attempts are
            exhausted. The cause is chained.
        """
        fresh = not self.is_running
        if fresh:
            self._feed.prepare()
        try:
            self._feed.execute(self._feed.planner.start())
            await self._first_connections()
        except BaseException:
            if fresh:
                await self.stop()
            raise
        self._feed.started = True

    async def stop(self) -> None:
        """Close every connection; returns within about a second whatever the server does.

        Subscriptions are remembered for the next `start()`. Harmless when not running.
        """
        await self._feed.stop()

    def subscribe(self, tokens: Collection[int], mode: Mode) -> None:
        """Want instruments in a mode. Those subscribed already change to it where they differ.

        Raises
        ------
        CapacityExceeded
            When there is no room for all that are new. Nothing has changed then.
        UnknownInstrument
            When one is no unsigned 32-bit number. Likewise.
        """
        self._feed.execute(self._feed.planner.subscribe(_tokens(tokens), Mode(mode)))

    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Want instruments no more; those that are not subscribed are passed over."""
        planner = self._feed.planner
        gone = [token for token in dict.fromkeys(_tokens(tokens)) if token in planner]
        plan = planner.unsubscribe(gone)
        sent = [command for command in plan.commands if command.action is Action.UNSUBSCRIBE]
        told = {token for command in sent for token in command.tokens}
        if silent := [token for token in gone if token not in told]:
            self._sink.forget(silent)
        self._feed.execute(plan)

    def set_mode(self, tokens: Collection[int], mode: Mode) -> None:
        """Change the mode of subscribed instruments: one request for each 500 that differ.

        Raises
        ------
        UnknownInstrument
            When one of them is not subscribed. Nothing has changed then.
        """
        self._feed.execute(self._feed.planner.set_mode(_tokens(tokens), Mode(mode)))

    def set_access_token(self, token: str, account: str | None = None) -> None:
        """Use a new access token, as after the daily expiry at about 06:00 IST.

        Connections that are down are tried at once, and subscriptions resume; those that
        are open stay as they are.

        Parameters
        ----------
        token
            The token of the new login.
        account
            The account's name; needed when there are several.

        Raises
        ------
        ConfigError
            When the account is unknown or not named, or the token is empty.
        """
        tenant = self._tenant(account)
        self._feed.renew(tenant, replace(tenant.account, access_token=token))

    def subscriptions(self) -> Mapping[int, tuple[Mode, int]]:
        """Return what is wanted: instrument token → mode and connection index. It never changes.

        As long as the wishes do not change either, the same object is returned.
        """
        return self._feed.planner.subscriptions()

    def connections(self) -> tuple[ConnectionStatus, ...]:
        """Return every connection that is needed, by index."""
        needed = self._feed.planner.needed
        return tuple(self._feed.status(self._feed.links[index]) for index in needed)

    def stats(self) -> FeedStats:
        """Return the counters over all connections, since the manager was made."""
        links = self._feed.links
        return FeedStats(
            messages=sum(link.messages for link in links),
            bytes=sum(link.bytes for link in links),
            heartbeats=sum(link.heartbeats for link in links),
            texts=sum(link.texts for link in links),
            reconnects=sum(link.reconnects for link in links),
            connected=sum(link.state is ConnectionState.OPEN for link in links),
            instruments=len(self._feed.planner),
            orders=len(self._feed.orders),
            gaps=len(self._feed.gaps),
        )

    def orders(self) -> tuple[OrderUpdate, ...]:
        """Return every distinct order update, oldest first."""
        return self._feed.orders.snapshot()

    def events(self) -> tuple[Event, ...]:
        """Return the latest events, oldest first."""
        return self._feed.events.snapshot()

    def note(self, kind: str, detail: str) -> None:
        """Keep an event of somebody else's, without any credential that its text may hold."""
        self._feed.note(kind, detail)

    def gaps(self) -> tuple[Gap, ...]:
        """Return every hole in the data, by its start; those still open have no end."""
        return self._feed.gaps.snapshot()

    def error(self, account: str | None = None) -> KitePolarsError | None:
        """Return why an account has no connection any more and tries none, or None.

        Returns
        -------
        AuthenticationError, ConnectionLost or None
            Refused credentials, or exhausted attempts.
        """
        return self._error(self._tenant(account))

    def on_order(self, listener: Callable[[OrderUpdate], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread with each distinct order update.

        Returns
        -------
        Callable
            Ends it. The same goes for `on_event` and `on_state`.
        """
        return self._feed.order_listeners.add(listener)

    def on_event(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread with each event."""
        return self._feed.events.listen(listener)

    def on_state(self, listener: Callable[[ConnectionStatus], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread when a connection changes its state."""
        return self._feed.state_listeners.add(listener)

    async def _first_connections(self) -> None:
        """Wait until every account has a connection; raise as soon as one cannot have it."""
        timeout = self._policy.connect_timeout
        try:
            async with asyncio.timeout(timeout):
                while waiting := [one for one in self._feed.tenants.values() if not one.live]:
                    self._raise_errors(waiting)
                    self._feed.state_change.clear()
                    await self._feed.state_change.wait()
        except TimeoutError:
            error = self._lost(waiting[0], f"no connection within {timeout:g} s")
            raise error from error.__cause__

    def _raise_errors(self, tenants: Iterable[Tenant]) -> None:
        if not self.is_running:
            raise NotRunning("the manager was stopped while it was starting")
        for tenant in tenants:
            if (error := self._error(tenant)) is not None:
                raise error

    def _error(self, tenant: Tenant) -> KitePolarsError | None:
        if tenant.error is not None:
            return AuthenticationError(str(tenant.error))
        links = [link for link in self._feed.links_of(tenant) if link.is_wanted]
        if links and all(link.state is ConnectionState.FAILED for link in links):
            return self._lost(tenant, "attempts exhausted")
        return None

    def _lost(self, tenant: Tenant, what: str) -> ConnectionLost:
        links = self._feed.links_of(tenant)
        attempts = max(1, *(link.attempts for link in links))
        reasons = [link.failure.reason for link in links if link.failure is not None]
        reason = reasons[-1] if reasons else "no answer"
        message = f"account {tenant.account.name!r}: {what} ({reason})"
        error = ConnectionLost(message, attempts=attempts)
        error.__cause__ = ConnectionError(reason)
        return error

    def _tenant(self, account: str | None) -> Tenant:
        tenants = self._feed.tenants
        if account is None and len(tenants) == 1:
            return next(iter(tenants.values()))
        if account is None or account not in tenants:
            raise ConfigError("account", account, f"one of {', '.join(map(repr, tenants))}")
        return tenants[account]


def _check_accounts(accounts: Sequence[Account], limits: Limits) -> None:
    names = [account.name for account in accounts]
    if not accounts or len(set(names)) < len(names):
        raise ConfigError("accounts", names, "one or more with different names")
    most = MAX_PLACES // limits.connections
    if len(accounts) > most:
        raise ConfigError("accounts", names, f"at most {most}")


def _tokens(tokens: Iterable[int]) -> list[int]:
    """Return tokens as plain integers, which JSON needs, or raise for what is none."""
    plain = [as_int(token) for token in tokens]
    if plain and not (min(plain) in _TOKENS and max(plain) in _TOKENS):
        wrong = next(token for token in plain if token not in _TOKENS)
        raise UnknownInstrument(str(wrong), hint="Instrument tokens are unsigned 32-bit numbers.")
    return plain
