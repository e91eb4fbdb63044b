"""Keeps one connection of an account alive. Loop thread only.

A `Link` lives as long as its manager: it opens a `Connection`, sends what is
waiting, passes on what it receives, and when the connection ends opens the next one,
after the delays of the reconnect policy. Its `Owner` decides what that means for
instruments, gaps and events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from kitepolars.feed.accounts import AccountInUse
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.plan import Action, Command
from kitepolars.feed.reconnect import (
    Backoff,
    Failure,
    FailureKind,
    ReconnectPolicy,
    authentication_error,
)
from kitepolars.source import (
    ConnectionState,
    Heartbeats,
    Messages,
    Record,
    SnapshotsExpected,
)
from kitepolars.wire import control
from kitepolars.wire.layouts import Mode
from kitepolars.wire.stream import RawMessages

if TYPE_CHECKING:
    from kitepolars.feed.connection import Connection

ATTEMPTS_BEFORE_LOST: Final = 2
"""Attempts in a row after which a connection counts as lost, so that its instruments move."""

REFUSED_BEFORE: Final = Failure("the credentials were rejected before", HTTPStatus.FORBIDDEN)
"""The failure of a link that does not try, because another one was rejected."""


class Owner(Protocol):
    """What a link reports to: the `Links` that it is one of."""

    def deliver(self, record: Record) -> None:
        """Take a record of what was received or is about to be sent."""
        ...

    def text(self, link: Link, received_at: int, text: str) -> None:
        """Take a text message."""
        ...

    def opened(self, link: Link) -> None:
        """Bring a connection that has opened to the desired state."""
        ...

    def ended(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        """Handle the end of a connection, or of an attempt to open one."""
        ...

    def changed(self, link: Link) -> None:
        """Handle a change of state."""
        ...


class Link:
    """A connection in the user's sense: its index stays while its sockets come and go.

    Parameters
    ----------
    index
        Its index over all accounts.
    account
        Its account.
    url
        The server, without credentials.
    policy
        Delays and timeouts.
    clock
        Gives the time.
    pace
        May hold back reads of a steady stream.
    owner
        Whom to report to.
    """

    def __init__(
        self,
        index: int,
        account: AccountInUse,
        *,
        url: str,
        policy: ReconnectPolicy,
        clock: FeedClock,
        pace: ReadPace,
        owner: Owner,
    ) -> None:
        self.index = index
        self.account = account
        self.state = ConnectionState.IDLE
        self._clock = clock
        self._pace = pace
        self.since = clock.now()
        self.failure: Failure | None = None
        self.reconnects = 0
        self.last_message_at: int | None = None
        self.opened_at = self.since
        self.delay: float | None = None
        self.server_time: float | None = None
        """The server's time when it last accepted a handshake: seconds since the Unix epoch."""
        self._url = url
        self._policy = policy
        self._owner = owner
        self._backoff = Backoff(policy)
        self._was_open = False
        self._outbox: deque[Command] = deque()
        self._wake = asyncio.Event()
        self._retry_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Link {self.index} of {self.account.credentials.name!r}: {self.state}>"

    @property
    def attempts(self) -> int:
        """Consecutive attempts without lasting data."""
        return self._backoff.attempts

    @property
    def is_wanted(self) -> bool:
        """Whether it has been started and not stopped, even if it has given up."""
        return self._task is not None

    @property
    def heard_at(self) -> int:
        """When the connection last received something, or was opened if it never did."""
        return max(self.opened_at, self.last_message_at or 0)

    @property
    def is_lost(self) -> bool:
        """Whether it will not be back soon, so that its instruments should move."""
        if self.failure is None:
            return False
        is_final = self.state is ConnectionState.FAILED
        is_final |= self.failure.kind is not FailureKind.TRANSIENT
        return is_final or self.attempts >= ATTEMPTS_BEFORE_LOST

    def describe_end(self, failure: Failure, *, was_open: bool) -> tuple[str, str]:
        """Return the kind and the detail of the event that reports how the connection ended."""
        kind = self._kind(was_open=was_open)
        if self.account.error is not None:
            return kind, str(self.account.error)
        if self.state is ConnectionState.FAILED:
            return kind, f"{failure.reason}; given up after {self.attempts} attempts"
        return kind, f"{failure.reason}; next attempt in {self.delay:.1f} s"

    def _kind(self, *, was_open: bool) -> str:
        if self.state in {ConnectionState.EXPIRED, ConnectionState.FAILED}:
            return self.state.value
        return "disconnected" if was_open else "refused"

    def start(self) -> None:
        """Start, or start again after giving up. Does nothing while it is running."""
        if self._task is not None and not self._task.done():
            return
        self._wake, self._retry_now = asyncio.Event(), asyncio.Event()  # of the loop of now
        self._backoff.reset()
        self.failure = None
        self.opened_at = self._clock.now()
        self._enter(ConnectionState.CONNECTING)
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._crashed)

    def retry(self) -> None:
        """Retry immediately instead of after the delay, or after giving up."""
        self.start()
        self._backoff.reset()
        self._retry_now.set()

    async def stop(self) -> None:
        """Close the connection and end all attempts, promptly whatever the server does."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._was_open = False
        self._enter(ConnectionState.IDLE)

    def send(self, command: Command) -> None:
        """Queue a command.

        Commands that are waiting when the connection ends are dropped: the next connection is
        brought to the desired state of its own moment.
        """
        self._outbox.append(command)
        self._wake.set()

    def binary(self, received_at: int, messages: RawMessages) -> None:
        """Take the binary messages of one read of the socket."""
        self.last_message_at = received_at
        if messages.heartbeats:
            self._owner.deliver(Heartbeats(received_at, self.index, messages.heartbeats))
        if messages:
            self._owner.deliver(Messages(received_at, self.index, messages))

    def text(self, received_at: int, text: str) -> None:
        """Take a text message of the connection."""
        self.last_message_at = received_at
        self._owner.text(self, received_at, text)

    async def _run(self) -> None:
        while True:
            self._enter(ConnectionState.CONNECTING)
            failure, lived = await self._attempt()
            was_open = self.state is ConnectionState.OPEN
            self.failure = failure
            self.delay = self._backoff.delay(failure, lived=lived)
            self._enter(self._after(failure))
            self._owner.ended(self, failure, was_open=was_open)
            if self.state is not ConnectionState.WAITING or self.delay is None:
                return
            await self._pause(self.delay)

    def _after(self, failure: Failure) -> ConnectionState:
        """Return the state after a failure."""
        if failure.kind is FailureKind.FATAL:
            return ConnectionState.EXPIRED
        return ConnectionState.FAILED if self.delay is None else ConnectionState.WAITING

    async def _attempt(self) -> tuple[Failure, float]:
        """Connect and serve until the end; return its cause, and for how long data flowed."""
        async with self.account.admission():
            opened = await self._open()
            if isinstance(opened, Failure):
                return opened, 0.0
            self.account.live += 1
        try:
            return await self._serve(opened), opened.lived
        finally:
            self.account.live -= 1
            await opened.shut()

    async def _open(self) -> Connection | Failure:
        account = self.account
        if account.error is not None:
            return REFUSED_BEFORE
        # The transport is loaded when it is first needed: importing the package stays quick.
        from kitepolars.feed.connection import open_connection  # noqa: PLC0415

        credentials = account.credentials
        opened = await open_connection(
            self._url, credentials, self, self._policy, self._clock, pace=self._pace
        )
        if isinstance(opened, Failure) and opened.kind is FailureKind.FATAL:
            if credentials is not account.credentials:  # there are newer ones
                return Failure(opened.reason)
            account.error = authentication_error(credentials.name, opened)
        return opened

    async def _serve(self, connection: Connection) -> Failure:
        self._retry_now.clear()
        self._outbox.clear()
        self.reconnects += self._was_open
        self._was_open = True
        self.opened_at = self._clock.now()
        self.server_time = connection.server_time
        self._enter(ConnectionState.OPEN)
        self._owner.opened(self)
        writer = asyncio.get_running_loop().create_task(self._write(connection))
        writer.add_done_callback(partial(_abort_on_error, connection))
        try:
            return await connection.ended()
        finally:
            writer.cancel()

    async def _write(self, connection: Connection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                if not await self._carry_out(connection, self._outbox.popleft()):
                    return

    async def _carry_out(self, connection: Connection, command: Command) -> bool:
        for batch in control.batches(command.tokens):
            if command.action is Action.SUBSCRIBE:
                self._owner.deliver(SnapshotsExpected(self._clock.now(), self.index, tuple(batch)))
            for request in requests(command, batch):
                if not await connection.send_request(request):
                    return False
        return True

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._retry_now.wait()
        except TimeoutError:
            return
        self._retry_now.clear()

    def _enter(self, state: ConnectionState) -> None:
        if state is not self.state:
            self.state, self.since = state, self._clock.now()
            self._owner.changed(self)

    def _crashed(self, task: asyncio.Task[None]) -> None:
        """Report a defect that ended the task, which otherwise ends only when it gives up."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = Failure(f"defect: {type(error).__name__}")
            self._enter(ConnectionState.FAILED)
            _report(f"{self!r} crashed", error)


def requests(command: Command, tokens: list[int]) -> Iterator[str]:
    """Yield the requests for a batch of a command's instruments.

    A subscribe resets the mode to quote, so that any other mode must follow it.
    """
    if command.action is Action.UNSUBSCRIBE:
        yield control.unsubscribe(tokens)
    if command.action is Action.SUBSCRIBE:
        yield control.subscribe(tokens)
    already = Mode.QUOTE if command.action is Action.SUBSCRIBE else None
    if command.mode is not None and command.mode is not already:
        yield control.set_mode(command.mode, tokens)


def _abort_on_error(connection: Connection, task: asyncio.Task[None]) -> None:
    """Abort a connection whose writer has crashed: nothing more would be sent on it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        connection.transport.abort()
        _report("the writer of a connection crashed", error)


def _report(message: str, error: BaseException) -> None:
    context = {"message": message, "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
