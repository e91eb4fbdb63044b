"""What may be missing: the losses of connections, and those that a stall makes likely. Loop thread.

The server drops what is not read in time. After a stall of the loop, nothing says what it dropped:
the loss is delivered at once, and again when the buffers are empty. What they held comes before the
messages that are missing, so the gap continues until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from kitepolars.feed.clock import PULSE, SETTLING, STALL, FeedClock, Stall
from kitepolars.feed.link import Link
from kitepolars.feed.plan import Planner
from kitepolars.feed.reconnect import Failure
from kitepolars.source import ClockMoved, ConnectionState, Lost, Source


class Losses:
    """Delivers the losses of a feed.

    Parameters
    ----------
    source
        The feed, which delivers them.
    clock
        The feed's clock, which notices stalls.
    links
        The connections.
    planner
        Holds the instruments of each.
    """

    def __init__(
        self, source: Source, clock: FeedClock, links: Sequence[Link], planner: Planner
    ) -> None:
        self._source = source
        self._clock = clock
        clock.on_stall = self._stalled
        self._links = links
        self._planner = planner
        self._suspected: dict[int, tuple[int, str, tuple[int, ...]]] = {}  # by connection
        self._pulse: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.is_watching = False
        """Whether the first connections have been open: from then on a loss is a gap."""

    def start(self) -> None:
        """Keep the clock's pulse, on the running event loop."""
        self._clock.start()
        self._beat()

    def stop(self) -> None:
        """Deliver what is suspected, and stop watching."""
        self.is_watching = False
        self._settle_all()
        for timer in (self._pulse, self._settling):
            if timer is not None:
                timer.cancel()
        self._clock.stop()

    def deliver(
        self,
        link: Link,
        since: int,
        reason: str,
        tokens: tuple[int, ...],
        *,
        continues: bool = False,
    ) -> None:
        """Deliver a loss of instruments of a connection."""
        account = link.account.credentials.name
        now = self._source.now()
        self._source.deliver(Lost(now, link.index, account, since, reason, tokens, continues))

    def lose(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        """Deliver the loss of a connection's instruments, or of order updates alone."""
        self._settle(link)
        tokens = self._planner.tokens(link.index)
        if self.is_watching and (tokens or was_open):
            self.deliver(link, link.heard_at, failure.reason, tokens)

    def miss(self, tokens: Collection[int]) -> None:
        """Deliver the loss of new instruments whose connection is down."""
        for link in self._links if self.is_watching else ():
            if link.failure is not None and link.state is not ConnectionState.OPEN:
                members = self._planner.tokens(link.index)
                waiting = tuple(set(tokens).intersection(members))
                if waiting:
                    reason = f"subscribed while the connection was down ({link.failure.reason})"
                    self.deliver(link, self._source.now(), reason, waiting)

    def _stalled(self, stall: Stall) -> None:
        """Report a stall of the loop, unless it was before the first connections were open."""
        if self.is_watching:
            reason = (
                f"the event loop stood still for {stall.seconds:.1f} s: the interpreter lock was "
                "held, or the machine was suspended"
            )
            self._source.note("stalled", reason)
            self._suspect(lambda link: max(stall.since, link.heard_at), reason)

    def _beat(self) -> None:
        """Pulse the clock, and deliver a step of the wall clock, if any."""
        if (change := self._clock.pulse()) is not None:
            if change.shift:
                self._source.deliver(ClockMoved(self._source.now(), change.shift))
            self._source.note("clock", str(change))
            if change.step > STALL * 1_000_000:  # a paused virtual machine looks the same
                # Not since the last message: that may have come after the pause, before this pulse.
                since, reason = change.since, f"{change}, as after a pause of a virtual machine"
                self._suspect(lambda _: since, reason)
        self._pulse = asyncio.get_running_loop().call_later(PULSE, self._beat)

    def _suspect(self, since: Callable[[Link], int], reason: str) -> None:
        """Deliver a loss on every open connection, and once more when the buffers are empty."""
        for link in self._links if self.is_watching else ():
            if link.state is ConnectionState.OPEN and link.index not in self._suspected:
                tokens = self._planner.tokens(link.index)
                suspected = (since(link), reason, tokens)
                self._suspected[link.index] = suspected
                self.deliver(link, *suspected, continues=True)
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(SETTLING, self._settle_all)

    def _settle_all(self) -> None:
        for link in self._links:
            self._settle(link)

    def _settle(self, link: Link) -> None:
        """Deliver again a loss that was suspected on a connection, if any."""
        if (suspected := self._suspected.pop(link.index, None)) is not None:
            since, reason, tokens = suspected
            wanted = tuple(token for token in tokens if token in self._planner)
            if wanted or not tokens:
                self.deliver(link, since, reason, wanted)
