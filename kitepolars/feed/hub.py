"""Where the links report to: the feed's mutable state, and what changes mean. Loop thread.

`Feed` owns the planner, the links, and the logs of orders, events and gaps. It
carries out what the planner returns, and decides when a connection counts as
lost, when a gap begins, and what is worth an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kitepolars.feed.account import Account
from kitepolars.feed.commands import Plan
from kitepolars.feed.gaps import GapLog
from kitepolars.feed.link import REFUSED_BEFORE, Link, Tenant
from kitepolars.feed.listeners import Listeners
from kitepolars.feed.orders import OrderLog
from kitepolars.feed.plan import Limits, Planner
from kitepolars.feed.reconnect import Failure, ReconnectPolicy, Verdict
from kitepolars.feed.records import (
    ConnectionState,
    ConnectionStatus,
    EventLog,
    Gap,
    OrderUpdate,
    Sink,
    now_us,
)
from kitepolars.wire.control import TextKind, parse

PATIENCE: Final = 2
"""Attempts in a row after which a connection counts as lost, so that its instruments move."""


class Feed:
    """The state of the feed. Implements `kitepolars.feed.link.Hub`.

    Parameters
    ----------
    accounts
        The credentials, in the order of their connections.
    sink
        Where binary messages are delivered.
    url
        The server, without credentials.
    public_url
        The same, fit for showing.
    limits
        What Kite allows per account.
    policy
        Delays and time-outs.
    events
        Where events are kept.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        *,
        sink: Sink,
        url: str,
        public_url: str,
        limits: Limits,
        policy: ReconnectPolicy,
        events: EventLog,
    ) -> None:
        self.public_url = public_url
        self.planner = Planner(len(accounts), limits)
        self.tenants = {account.name: Tenant(account) for account in accounts}
        self.links = [
            Link(index, tenant, url=url, policy=policy, sink=sink, hub=self)
            for index, tenant in enumerate(
                tenant for tenant in self.tenants.values() for _ in range(limits.connections)
            )
        ]
        self.events = events
        self.orders = OrderLog()
        self.gaps = GapLog()
        self.order_listeners = Listeners[OrderUpdate]()
        self.state_listeners = Listeners[ConnectionStatus]()
        self.running = False
        self.started = False
        """Whether the first connections have been open: before that nothing is missed."""
        self.state_change = asyncio.Event()
        self._redacted = list(accounts)

    def prepare(self) -> None:
        """Make ready for a start: forget refusals, and take the running loop."""
        self.running = True
        self.state_change = asyncio.Event()
        for tenant in self.tenants.values():
            tenant.reset()

    async def stop(self) -> None:
        """Close all connections and end all gaps; what is subscribed stays so."""
        self.running = self.started = False
        await asyncio.gather(*(link.stop() for link in self.links))
        self.gaps.end_all(now_us())
        for link in self.links:
            self.planner.closed(link.index)
            self.planner.revived(link.index)

    def renew(self, tenant: Tenant, account: Account) -> None:
        """Use new credentials for an account, at once where the old ones had failed."""
        tenant.account, tenant.error = account, None
        self._redacted.append(account)
        for link in self.links_of(tenant):
            if link.state is not ConnectionState.OPEN:
                self.planner.revived(link.index)
                if self.running and link.index in self.planner.needed:
                    link.retry()

    def links_of(self, tenant: Tenant) -> list[Link]:
        """Return the links of one account."""
        return [link for link in self.links if link.tenant is tenant]

    def execute(self, plan: Plan) -> None:
        """Do the work that a change entails."""
        for move in plan.moves:
            self.gaps.move(move.source, move.target, move.instruments)
            detail = f"{move.instruments:,} instruments moved to connection {move.target}"
            self.note("failover", detail, move.source)
        for index in plan.opens if self.running else ():
            self.links[index].start()
        for command in plan.commands:
            self.links[command.connection].send(command)

    def note(self, kind: str, detail: str, connection: int | None = None) -> None:
        """Keep an event, without any credential that its text may hold."""
        self.events.add(kind, self._redact(detail), connection)

    def status(self, link: Link) -> ConnectionStatus:
        """Return one connection as it stands."""
        return ConnectionStatus(
            index=link.index,
            account=link.tenant.account.name,
            state=link.state,
            url=self.public_url,
            instruments=self.planner.load(link.index),
            messages=link.messages,
            bytes=link.bytes,
            last_message_at=link.last_message_at,
            reconnects=link.reconnects,
            since=link.since,
        )

    # What links report:

    def opened(self, link: Link) -> None:
        """Bring a connection that opened to the desired state of this moment."""
        instruments = self.planner.load(link.index)
        self.note("connected", f"{instruments:,} instruments to subscribe", link.index)
        self.execute(self.planner.opened(link.index))
        if not self.planner.load(link.index):
            self.gaps.end(link.index, now_us())

    def ended(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        """Note what ended, and move its instruments when it will not be back soon."""
        self.planner.closed(link.index)
        self._open_gap(link, failure)
        if failure is not REFUSED_BEFORE:
            self.note(_kind(link, was_open=was_open), _detail(link, failure), link.index)
        if _is_lost(link, failure):
            self.execute(self.planner.lost(link.index))
        if failure.verdict is Verdict.FATAL:
            self._give_up(link.tenant)

    def resumed(self, link: Link, at: int) -> None:
        """End the gaps that waited for this data."""
        self.gaps.end(link.index, at)

    def text(self, link: Link, at: int, text: str) -> None:
        """Keep an order update once, and everything else as an event."""
        message = parse(self._redact(text))
        if message.kind is not TextKind.ORDER:
            self.note(message.kind.value, message.detail, link.index)
        elif (update := self.orders.add(at, link.index, message)) is not None:
            self.order_listeners.tell(update)

    def changed(self, link: Link) -> None:
        """Tell those who wait for a state, or listen for one."""
        self.state_change.set()
        self.state_listeners.tell(self.status(link))

    def _redact(self, text: str) -> str:
        for account in self._redacted:
            text = account.redact(text)
        return text

    def _open_gap(self, link: Link, failure: Failure) -> None:
        missed = self.planner.load(link.index) - self.gaps.pending(link.index)
        if self.started and missed > 0:
            name = link.tenant.account.name
            self.gaps.open(Gap(link.index, name, link.heard_at, None, failure.reason, missed))

    def _give_up(self, tenant: Tenant) -> None:
        """Count on none of an account's connections that is down, and do not try them either."""
        for link in self.links_of(tenant):
            if link.state is not ConnectionState.OPEN:
                self.execute(self.planner.lost(link.index))
            if link.state is ConnectionState.WAITING:
                link.retry()  # finds the account refused, without a handshake


def _is_lost(link: Link, failure: Failure) -> bool:
    given_up = link.state is ConnectionState.FAILED or failure.verdict is not Verdict.TRANSIENT
    return given_up or link.attempts >= PATIENCE


def _kind(link: Link, *, was_open: bool) -> str:
    """Name the event of an end: what it led to, or what it was."""
    if link.state in {ConnectionState.EXPIRED, ConnectionState.FAILED}:
        return link.state.value
    return "disconnected" if was_open else "refused"


def _detail(link: Link, failure: Failure) -> str:
    if link.tenant.error is not None:
        return str(link.tenant.error)
    if link.state is ConnectionState.FAILED:
        return f"{failure.reason}; given up after {link.attempts} attempts"
    return f"{failure.reason}; next attempt in {link.delay:.1f} s"
