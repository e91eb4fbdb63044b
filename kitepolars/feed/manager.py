"""Every connection of every account: the asynchronous core. All of it on the loop thread.

`TickerManager` owns the planner, that is the desired state, and the links, one for each connection.
A planner returns the work that a change entails; the manager has the links do it. What happens, it
delivers as records; orders, gaps, events and counters are kept by its `Ledger`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from kitepolars.errors import KitePolarsError, NotRunning
from kitepolars.feed.account import Account, check_accounts, public_url
from kitepolars.feed.accounts import AccountInUse, Accounts
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.limits import Limits
from kitepolars.feed.link import REFUSED_BEFORE, Link
from kitepolars.feed.losses import Losses
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.plan import Plan, Planner, plain_tokens
from kitepolars.feed.reconnect import Failure, FailureKind, ReconnectPolicy
from kitepolars.ledger import FeedStats, Ledger
from kitepolars.ledger.connections import ConnectionStatus
from kitepolars.ledger.gaps import Gap
from kitepolars.ledger.orders import OrderUpdate
from kitepolars.secret import Secret, as_secret
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Event,
    LiveSource,
    Sink,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.control import TextKind, TextMessage, is_relayed, parse
from kitepolars.wire.layouts import Mode

CLOCKS_DIFFER: Final = 5.0
"""Seconds by which the server's clock and this machine's must differ to be reported. The server
gives its time in whole seconds, and the handshake takes some."""


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
        self._policy = reconnect or ReconnectPolicy()
        self._pace = ReadPace(read_interval)
        self._public_url = public_url(url)
        self._planner = Planner(len(accounts), limits)
        self._accounts = Accounts(accounts)
        self._links = [
            Link(
                index,
                account,
                url=url,
                policy=self._policy,
                clock=self._clock,
                pace=self._pace,
                owner=self,
            )
            for index, account in enumerate(
                account for account in self._accounts for _ in range(limits.connections)
            )
        ]
        for link in self._links:
            link.account.links.append(link)
        self._losses = Losses(self, self._clock, self._links, self._planner)
        self._loads: dict[int, int] = {}  # instruments by connection, as delivered last
        self._is_running = False
        self._state_change = asyncio.Event()
        self._server_ahead = 0.0  # seconds, as last reported

    def __repr__(self) -> str:
        if not hasattr(self, "_accounts"):  # the constructor raised, and a traceback shows it
            return "<TickerManager: not made>"
        stats = self.stats()
        return (
            f"<TickerManager {self._public_url} accounts={self._accounts.names} "
            f"connected={stats.connected} instruments={stats.instruments}>"
        )

    @property
    def is_running(self) -> bool:
        """Whether connections are being kept alive: from `start()` to `stop()`."""
        return self._is_running

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
        if fresh:
            self._prepare()
        try:
            self._execute(self._planner.start())
            await self._first_connections(strict=strict)
        except BaseException:
            if fresh:
                await self.stop()
            raise
        self._losses.is_watching = True

    async def stop(self) -> None:
        """Close all connections, within about a second whatever the server does.

        Subscriptions are remembered for the next `start()`. Harmless when not running.
        """
        self._is_running = False
        self._losses.stop()
        self._pace.release()
        await asyncio.gather(*(link.stop() for link in self._links))
        self.deliver(Stopped(self.now()))
        for link in self._links:
            self._planner.closed(link.index)
            self._planner.revived(link.index)

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
        self._execute(plan)
        self._losses.miss(new)

    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Unsubscribe instruments; those that are not subscribed are ignored."""
        gone = [token for token in dict.fromkeys(plain_tokens(tokens)) if token in self._planner]
        plan = self._planner.unsubscribe(gone)
        self.deliver(Unsubscribed(self.now(), tuple(gone)))
        self._execute(plan)

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
        self._execute(plan)

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
        for link in renewed.links:
            if link.state is not ConnectionState.OPEN:
                self._planner.revived(link.index)
                if self._is_running and link.index in self._planner.needed:
                    link.retry()

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

    # What links report; see `kitepolars.feed.link.Owner`:

    def text(self, link: Link, received_at: int, text: str) -> None:
        """Deliver a text message, without any credential that it may hold, and what it entails."""
        redacted = self._accounts.redact(text)
        self.deliver(Text(received_at, link.index, redacted))
        if is_relayed(redacted):
            self._take_relayed(link, parse(redacted))

    def opened(self, link: Link) -> None:
        """Bring a connection that opened to the desired state of this moment."""
        instruments = self._planner.load(link.index)
        self.note("connected", f"{instruments:,} instruments to subscribe", link.index)
        self._compare_clocks(link)
        self._execute(self._planner.opened(link.index))

    def ended(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        """Deliver what ended, and move its instruments when it will not be back soon."""
        self._planner.closed(link.index)
        self._losses.lose(link, failure, was_open=was_open)
        if failure is not REFUSED_BEFORE:
            self.note(*link.describe_end(failure, was_open=was_open), link.index)
        if link.is_lost:
            self._execute(self._planner.lost(link.index))
        if failure.kind is FailureKind.FATAL:
            self._give_up(link.account)

    def changed(self, link: Link) -> None:
        """Deliver a connection's state, and wake `start`."""
        load = self._loads[link.index] = self._planner.load(link.index)
        self.deliver(
            ConnectionChanged(
                self.now(),
                link.index,
                link.account.credentials.name,
                link.state,
                self._public_url,
                load,
                link.reconnects,
            )
        )
        self._state_change.set()

    def _take_relayed(self, link: Link, message: TextMessage) -> None:
        """Deliver what a relay says about instruments of its connection."""
        now = self.now()
        assigned = set(self._planner.tokens(link.index))
        tokens = tuple(token for token in message.instrument_tokens if token in assigned)
        if message.kind is TextKind.SNAPSHOTS and tokens:
            self.deliver(SnapshotsExpected(now, link.index, tokens))
        elif message.kind is TextKind.GAP and (tokens or not message.instrument_tokens):
            self._losses.deliver(link, min(message.since, now), message.detail, tokens)

    def _prepare(self) -> None:
        """Prepare a start: clear errors, and bind to the running event loop."""
        self._is_running = True
        self._state_change = asyncio.Event()
        self._losses.start()
        for account in self._accounts:
            account.reset()

    def _compare_clocks(self, link: Link) -> None:
        """Report the difference between the server's clock and this machine's, when it is new."""
        if link.server_time is None:
            return
        ahead = link.server_time - self._clock.wall()
        if abs(ahead - self._server_ahead) > CLOCKS_DIFFER:
            self._server_ahead = ahead
            relation = "behind" if ahead > 0 else "ahead of"
            detail = f"the clock of this machine is {abs(ahead):,.0f} s {relation} the server's"
            self.note("clock", detail, link.index)

    def _execute(self, plan: Plan) -> None:
        """Carry out a plan."""
        for move in plan.moves:
            detail = f"{move.instruments:,} instruments moved to connection {move.target}"
            self.note("failover", detail, move.source)
        for index in plan.opens if self._is_running else ():
            self._links[index].start()
        for command in plan.commands:
            self._links[command.connection].send(command)
        for index in self._planner.needed:
            if self._loads.get(index) != self._planner.load(index):
                self.changed(self._links[index])

    def _give_up(self, account: AccountInUse) -> None:
        """Treat all connections of an account that are down as lost, and stop retrying them."""
        for link in account.links:
            if link.state is not ConnectionState.OPEN:
                self._execute(self._planner.lost(link.index))
            if link.state is ConnectionState.WAITING:
                link.retry()  # finds the account refused, without a handshake

    async def _first_connections(self, *, strict: bool) -> None:
        """Wait until every account has a connection or cannot have one; raise as in `start`."""
        try:
            async with asyncio.timeout(self._policy.connect_timeout):
                while waiting := self._unconnected():
                    errors = [error for one in waiting if (error := one.failure()) is not None]
                    if errors and (strict or len(errors) == len(self._accounts)):
                        raise errors[0]
                    if len(errors) == len(waiting):
                        return
                    self._state_change.clear()
                    await self._state_change.wait()
        except TimeoutError:
            waiting = self._unconnected()
            what = f"no connection within {self._policy.connect_timeout:g} s"
            if waiting and (strict or len(waiting) == len(self._accounts)):
                error = waiting[0].connection_lost(what)
                raise error from error.__cause__
            for account in waiting:
                if account.failure() is None:  # its connections are still being tried
                    self.note("start", str(account.connection_lost(what)))

    def _unconnected(self) -> list[AccountInUse]:
        if not self.is_running:
            raise NotRunning("the manager was stopped while it was starting")
        return self._accounts.unconnected()
