"""All connections of a feed, kept at the desired state. Loop thread.

A planner returns the work that a change entails, and `Links` has the links do it. It also decides
what their reports entail: a connection that opens is brought to the desired state, and the
instruments of one that is lost move to others.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kitepolars.errors import NotRunning
from kitepolars.feed.account import public_url
from kitepolars.feed.accounts import AccountInUse, Accounts
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.limits import Limits
from kitepolars.feed.link import REFUSED_BEFORE, Link
from kitepolars.feed.losses import Losses
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.plan import Plan, Planner
from kitepolars.feed.reconnect import Failure, FailureKind, ReconnectPolicy
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    SnapshotsExpected,
    Source,
    Text,
)
from kitepolars.wire.control import TextKind, TextMessage, is_relayed, parse

CLOCKS_DIFFER: Final = 5.0
"""Seconds by which the server's clock and this machine's must differ to be reported. The server
gives its time in whole seconds, and the handshake takes some."""


class Links:
    """Every link of every account, and the plan of what each carries. The `Owner` of the links.

    Parameters
    ----------
    source
        The feed, which delivers what happens.
    accounts
        Its accounts; each has `limits.connections` links.
    limits
        What Kite allows per account.
    url
        The server.
    policy
        Delays and timeouts.
    clock
        The feed's clock.
    pace
        May hold back reads that bring little.
    """

    def __init__(
        self,
        source: Source,
        accounts: Accounts,
        limits: Limits,
        *,
        url: str,
        policy: ReconnectPolicy,
        clock: FeedClock,
        pace: ReadPace,
    ) -> None:
        self._source = source
        self.deliver = source.deliver  # what links receive goes there without a further call
        self._accounts = accounts
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self.public_url = public_url(url)
        self.planner = Planner(len(accounts), limits)
        self.all = [
            Link(index, account, url=url, policy=policy, clock=clock, pace=pace, owner=self)
            for index, account in enumerate(
                account for account in accounts for _ in range(limits.connections)
            )
        ]
        for link in self.all:
            link.account.links.append(link)
        self.losses = Losses(source, clock, self.all, self.planner)
        self.is_running = False
        self._loads: dict[int, int] = {}  # instruments by connection, as delivered last
        self._state_change = asyncio.Event()
        self._server_ahead = 0.0  # seconds, as last reported

    def start(self) -> None:
        """Begin to open what is needed; on the running event loop."""
        if not self.is_running:
            self.is_running = True
            self._state_change = asyncio.Event()
            self.losses.start()
            for account in self._accounts:
                account.reset()
        self.execute(self.planner.start())

    async def stop(self) -> None:
        """Close all connections; what they carry is remembered."""
        self.is_running = False
        self.losses.stop()
        self._pace.release()
        await asyncio.gather(*(link.stop() for link in self.all))
        for link in self.all:
            self.planner.closed(link.index)
            self.planner.revived(link.index)

    def retry(self, account: AccountInUse) -> None:
        """Try the connections of an account that are down again, at once."""
        for link in account.links:
            if link.state is not ConnectionState.OPEN:
                self.planner.revived(link.index)
                if self.is_running and link.index in self.planner.needed:
                    link.retry()

    def execute(self, plan: Plan) -> None:
        """Carry out a plan."""
        for move in plan.moves:
            detail = f"{move.instruments:,} instruments moved to connection {move.target}"
            self._source.note("failover", detail, move.source)
        for index in plan.opens if self.is_running else ():
            self.all[index].start()
        for command in plan.commands:
            self.all[command.connection].send(command)
        for index in self.planner.needed:
            if self._loads.get(index) != self.planner.load(index):
                self.changed(self.all[index])

    async def first_connections(self, *, strict: bool) -> None:
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
                    self._source.note("start", str(account.connection_lost(what)))

    def _unconnected(self) -> list[AccountInUse]:
        if not self.is_running:
            raise NotRunning("the manager was stopped while it was starting")
        return self._accounts.unconnected()

    # -- what links report; see `kitepolars.feed.link.Owner` ----------------------------------

    def text(self, link: Link, received_at: int, text: str) -> None:
        """Deliver a text message, without any credential that it may hold, and what it entails."""
        redacted = self._accounts.redact(text)
        self.deliver(Text(received_at, link.index, redacted))
        if is_relayed(redacted):
            self._take_relayed(link, parse(redacted))

    def opened(self, link: Link) -> None:
        """Bring a connection that opened to the desired state of this moment."""
        instruments = self.planner.load(link.index)
        self._source.note("connected", f"{instruments:,} instruments to subscribe", link.index)
        self._compare_clocks(link)
        self.execute(self.planner.opened(link.index))

    def ended(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        """Deliver what ended, and move its instruments when it will not be back soon."""
        self.planner.closed(link.index)
        self.losses.lose(link, failure, was_open=was_open)
        if failure is not REFUSED_BEFORE:
            self._source.note(*link.describe_end(failure, was_open=was_open), link.index)
        if link.is_lost:
            self.execute(self.planner.lost(link.index))
        if failure.kind is FailureKind.FATAL:
            self._give_up(link.account)

    def changed(self, link: Link) -> None:
        """Deliver a connection's state, and wake `start`."""
        load = self._loads[link.index] = self.planner.load(link.index)
        self.deliver(
            ConnectionChanged(
                self._source.now(),
                link.index,
                link.account.credentials.name,
                link.state,
                self.public_url,
                load,
                link.reconnects,
            )
        )
        self._state_change.set()

    def _take_relayed(self, link: Link, message: TextMessage) -> None:
        """Deliver what a relay says about instruments of its connection."""
        now = self._source.now()
        assigned = set(self.planner.tokens(link.index))
        tokens = tuple(token for token in message.instrument_tokens if token in assigned)
        if message.kind is TextKind.SNAPSHOTS and tokens:
            self.deliver(SnapshotsExpected(now, link.index, tokens))
        elif message.kind is TextKind.GAP and (tokens or not message.instrument_tokens):
            self.losses.deliver(link, min(message.since, now), message.detail, tokens)

    def _compare_clocks(self, link: Link) -> None:
        """Report the difference between the server's clock and this machine's, when it is new."""
        if link.server_time is None:
            return
        ahead = link.server_time - self._clock.wall()
        if abs(ahead - self._server_ahead) > CLOCKS_DIFFER:
            self._server_ahead = ahead
            relation = "behind" if ahead > 0 else "ahead of"
            detail = f"the clock of this machine is {abs(ahead):,.0f} s {relation} the server's"
            self._source.note("clock", detail, link.index)

    def _give_up(self, account: AccountInUse) -> None:
        """Treat all connections of an account that are down as lost, and stop retrying them."""
        for link in account.links:
            if link.state is not ConnectionState.OPEN:
                self.execute(self.planner.lost(link.index))
            if link.state is ConnectionState.WAITING:
                link.retry()  # finds the account refused, without a handshake
