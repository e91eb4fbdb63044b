"""The asynchronous core: the live source, without DataFrames. All of it on the loop thread.

`TickerManager` changes the desired state, and its `Links` bring the connections to it. What happens
is delivered as records; orders, gaps, events and counters are kept by its `Ledger`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from kitepolars.errors import KitePolarsError
from kitepolars.feed.account import Account, check_accounts
from kitepolars.feed.accounts import Accounts
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.limits import Limits
from kitepolars.feed.links import Links
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.plan import plain_tokens
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.ledger import FeedStats, Ledger
from kitepolars.ledger.connections import ConnectionStatus
from kitepolars.ledger.gaps import Gap
from kitepolars.ledger.orders import OrderUpdate
from kitepolars.secret import Secret, as_secret
from kitepolars.source import (
    Event,
    LiveSource,
    Sink,
    Stopped,
    Subscribed,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode


class TickerManager(LiveSource):
    """The feed: connections, subscriptions, orders, events, gaps.

    Subscribing calls are synchronous: they change the desired state, or raise and change nothing;
    requests are sent in order afterwards. Before `start()`, and while connections are down, the
    change takes effect on connecting.

    Parameters
    ----------
    accounts
        One or more; each has `limits.connections` connections.
    sink
        Where records are delivered, `kitepolars.source.Messages` among them.
    url
        The server. Parameters that it has, as the sandbox's ``user_id``, are kept.
    limits
        What Kite allows per account.
    reconnect
        Delays and timeouts.
    read_interval
        Seconds for which what arrives in small pieces may wait to be read together. By default
        everything is read at once.

    Attributes
    ----------
    ledger
        Orders, gaps, events, connections and counters, made of its records.

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
        sink: Sink | None = None,
        url: str = "wss://ws.kite.trade/",
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        read_interval: float = 0.0,
    ) -> None:
        limits = limits or Limits()
        check_accounts(accounts, limits)
        super().__init__()
        self._clock = FeedClock()
        self.ledger = Ledger(self.now)
        if sink is not None:
            self.deliver_to(sink)
        self.deliver_to(self.ledger)
        self._pace = ReadPace(read_interval)
        self._accounts = Accounts(accounts)
        self._links = Links(
            self,
            self._accounts,
            limits,
            url=url,
            policy=reconnect or ReconnectPolicy(),
            clock=self._clock,
            pace=self._pace,
        )
        self._planner = self._links.planner

    def __repr__(self) -> str:
        if not hasattr(self, "_links"):  # the constructor raised, and a traceback shows it
            return "<TickerManager: not made>"
        stats = self.stats()
        return (
            f"<TickerManager {self._links.public_url} accounts={self._accounts.names} "
            f"connected={stats.connected} instruments={stats.instruments}>"
        )

    @property
    def is_running(self) -> bool:
        """Whether connections are being kept alive: from `start()` to `stop()`."""
        return self._links.is_running

    def now(self) -> int:
        """Return the time of the feed: the wall clock, but never backwards. Any thread."""
        return self._clock.now()

    def catch_up(self, then: Callable[[], object]) -> None:
        """Deliver first what has arrived at this machine; see `Source.catch_up`."""
        if self._pace.release():  # it is read in the next turn of the loop, after what waits there
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, then)
        else:
            then()

    async def start(self, *, strict: bool = False) -> None:
        """Connect; return when every account that can has its first connection.

        If it is running already, connections that were given up are retried. A manager that was
        not running is stopped again when this raises.

        Parameters
        ----------
        strict
            Raise when any of several accounts cannot connect. By default those that can are
            used, and `events()` says why the others cannot.

        Raises
        ------
        AuthenticationError
            When the credentials are refused (HTTP 403 or 400).
        ConnectionLost
            When there is no connection within `connect_timeout`, or the attempts are exhausted.
            The cause is chained.
        """
        fresh = not self.is_running
        try:
            self._links.start()
            await self._links.first_connections(strict=strict)
        except BaseException:
            if fresh:
                await self.stop()
            raise
        self._links.losses.is_watching = True

    async def stop(self) -> None:
        """Close all connections, within about a second whatever the server does.

        Subscriptions are remembered for the next `start()`. Harmless when not running.
        """
        await self._links.stop()
        self.deliver(Stopped(self.now()))

    def subscribe(self, tokens: Collection[int], mode: Mode) -> None:
        """Subscribe instruments in a mode. Those already subscribed in another one change to it.

        Raises
        ------
        CapacityExceeded
            When there is no room for the new ones. Nothing has been changed then.
        UnknownInstrument
            When one is not an unsigned 32-bit number. Likewise.
        """
        wanted = plain_tokens(tokens)
        new = [token for token in dict.fromkeys(wanted) if token not in self._planner]
        plan = self._planner.subscribe(wanted, Mode(mode))
        self.deliver(Subscribed(self.now(), Mode(mode), tuple(wanted)))
        self._links.execute(plan)
        self._links.losses.miss(new)

    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Unsubscribe instruments; those that are not subscribed are ignored."""
        gone = [token for token in dict.fromkeys(plain_tokens(tokens)) if token in self._planner]
        plan = self._planner.unsubscribe(gone)
        self.deliver(Unsubscribed(self.now(), tuple(gone)))
        self._links.execute(plan)

    def set_mode(self, tokens: Collection[int], mode: Mode) -> None:
        """Change the mode of subscribed instruments: one request for each 500 that differ.

        Raises
        ------
        UnknownInstrument
            When one of them is not subscribed. Nothing has been changed then.
        """
        wanted = plain_tokens(tokens)
        plan = self._planner.set_mode(wanted, Mode(mode))
        self.deliver(Subscribed(self.now(), Mode(mode), tuple(wanted)))
        self._links.execute(plan)

    def set_access_token(self, token: str | Secret, account: str | None = None) -> None:
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
        secret = as_secret(token)
        del token  # a traceback may show the locals of any frame
        renewed = self._accounts.named(account)
        self._accounts.renew(renewed, secret)
        self._links.retry(renewed)

    def subscriptions(self) -> Mapping[int, tuple[Mode, int]]:
        """Return the desired state: instrument token → mode and connection index. Immutable.

        The same object is returned until the subscriptions change.
        """
        return self._planner.subscriptions()

    def connections(self) -> tuple[ConnectionStatus, ...]:
        """Return every connection that is needed, by index."""
        needed = self._planner.needed
        return tuple(one for one in self.ledger.connections.snapshot() if one.index in needed)

    def stats(self) -> FeedStats:
        """Return the counters over all connections, since the manager was made."""
        return self.ledger.stats()

    def orders(self) -> tuple[OrderUpdate, ...]:
        """Return every distinct order update, oldest first."""
        return self.ledger.orders.snapshot()

    def events(self) -> tuple[Event, ...]:
        """Return the latest events, oldest first."""
        return self.ledger.events.snapshot()

    def note(self, kind: str, detail: str, connection: int | None = None) -> None:
        """Deliver an event, without any credential that its text may hold."""
        super().note(kind, self._accounts.redact(detail), connection)

    def gaps(self) -> tuple[Gap, ...]:
        """Return every gap in the data, by its start; those still open have no end."""
        return self.ledger.gaps.snapshot()

    def error(self, account: str | None = None) -> KitePolarsError | None:
        """Return why an account no longer has a connection and does not try one, or None.

        Returns
        -------
        AuthenticationError, ConnectionLost or None
            Rejected credentials, or exhausted attempts.
        """
        return self._accounts.named(account).failure()

    def on_order(self, listener: Callable[[OrderUpdate], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread with each distinct order update.

        Returns
        -------
        Callable
            Ends it. The same goes for `on_event` and `on_state`.
        """
        return self.ledger.orders.listen(listener)

    def on_event(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread with each event."""
        return self.ledger.events.listen(listener)

    def on_state(self, listener: Callable[[ConnectionStatus], object]) -> Callable[[], None]:
        """Call `listener` on the loop thread when a connection changes its state."""
        return self.ledger.connections.listen(listener)
