"""A recorder's journal as a source: what it has of today, and then what is appended. Loop thread.

What one turn of the loop reads and delivers is bounded. While there is more to catch up with, the
loop rests after a turn for as long as the turn took, so the notebook has the interpreter at least
half of the time.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

from kitepolars.errors import JournalError, KitePolarsError, NotRunning
from kitepolars.journal.folder import trading_day
from kitepolars.journal.format import NO_RECORDS, RecordTable, Scan
from kitepolars.journal.reader import EntryReader
from kitepolars.journal.segments import segments
from kitepolars.journal.tail import Tail
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import find
from kitepolars.secret import Secret, as_secret, redacted
from kitepolars.source import ConnectionState, LiveSource
from kitepolars.wire.layouts import Mode

TURN_BYTES: Final = 2**20
"""Bytes that are read in one turn of the loop, about: 5,600 full ticks, or one larger record."""

TURN_RECORDS: Final = 1_000
"""Records that are delivered in one turn of the loop at most."""

POLL_INTERVAL: Final = 0.005
"""Seconds between two reads while records arrive,"""

IDLE_POLL_INTERVAL: Final = 0.05
"""and after `IDLE_AFTER` seconds without any."""

IDLE_AFTER: Final = 1.0

CATCH_UP: Final = 5.0
"""Seconds that `start` waits for what the journal has already; the rest comes while it runs."""


Launch = Callable[[Mapping[int, Mode]], Recorder]
"""Instrument token → mode, to begin with → a recorder that was started."""


class FollowSource(LiveSource):
    """Delivers what a recorder writes, and forwards subscriptions to the recorder.

    Subscriptions belong to the recorder: every ticker that follows it sees the same.

    Parameters
    ----------
    folder
        The journal's folder.
    launch
        Starts a recorder if none runs there. By default `start` fails then.
    publish
        The table of days that the recorder is to publish to.
    access_tokens
        Name of an account, or None where there is one, → the token that a recorder which runs
        already is to use from now on.
    is_alone
        Whether nothing else needs the interpreter: then the loop does not rest while it catches up,
        and `start` returns when it has, however long that takes.
    """

    blocks = True

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        launch: Launch | None = None,
        publish: str | None = None,
        access_tokens: Mapping[str | None, Secret] | None = None,
        is_alone: bool = False,
    ) -> None:
        super().__init__()
        self._is_alone = is_alone
        self._folder = Path(folder)
        self._launch = launch
        self._publish = publish
        self._published: Mapping[str, Any] | None = None
        self._access_tokens = dict(access_tokens or {})
        self._redacted = list(self._access_tokens.values())
        self._recorder: Recorder | None = None
        self._wanted: dict[int, Mode] = {}  # before there is a recorder
        self._tail: Tail | None = None
        self._reader = EntryReader()
        self._caught_up = asyncio.Event()
        self._failure: str | None = None
        self._is_failing = False  # the recorder cannot write
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def folder(self) -> Path:
        """The journal's folder."""
        return self._folder

    @property
    def recorder(self) -> Recorder:
        """The recorder that is followed.

        Raises
        ------
        NotRunning
            Before `start` has found it.
        """
        if self._recorder is None:
            raise NotRunning(f"the recorder in {self._folder} is found by start()")
        return self._recorder

    @property
    def published(self) -> Mapping[str, Any] | None:
        """What the recorder said last of its publishing; None while it does not publish.

        ``"table"``; ``"until"``, the arrival of the last published record in microseconds since the
        epoch, UTC, or None; ``"rows"`` since the recorder started; ``"failure"``, or None.
        """
        return self._published

    async def start(self, *, strict: bool = False) -> None:  # noqa: ARG002 - one recorder, one answer
        """Find the recorder, or start it; return when the journal of today has been read.

        Raises
        ------
        JournalError
            When there is no recorder and none is to be started, or it cannot write.
        AuthenticationError, ConnectionLost
            When a recorder cannot connect.
        """
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        self._recorder = await loop.run_in_executor(None, self._find)
        status = await loop.run_in_executor(None, self._recorder.ask, "status")
        self._published = status.get("published")
        if self._tail is None:
            self._tail = Tail(self._folder, _first_of_today(self._folder, self.now()))
        self._caught_up = asyncio.Event()
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._watch())]
        with suppress(TimeoutError):
            async with asyncio.timeout(None if self._is_alone else CATCH_UP):
                await self._caught_up.wait()

    async def stop(self) -> None:
        """Stop following. The recorder continues, and `start` resumes from here."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._tail is not None:
            self._tail.close()  # what it then reads again, the reader passes over

    def subscribe(self, tokens: Collection[int], mode: Mode) -> None:
        """Have the recorder subscribe instruments."""
        wanted = list(map(int, tokens))
        if self._recorder is None:
            self._wanted |= dict.fromkeys(wanted, mode)
        elif wanted:
            self._recorder.ask("subscribe", tokens=wanted, mode=mode)

    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Have the recorder unsubscribe instruments, for every ticker that follows it."""
        gone = list(map(int, tokens))
        if self._recorder is None:
            for token in gone:
                self._wanted.pop(token, None)
        else:
            self._recorder.ask("unsubscribe", tokens=gone)

    def set_mode(self, tokens: Collection[int], mode: Mode) -> None:
        """Have the recorder change the mode of instruments."""
        self.subscribe(tokens, mode)

    def set_access_token(self, token: str | Secret, account: str | None = None) -> None:
        """Give the recorder a new access token."""
        secret = as_secret(token)
        del token  # a traceback may show the locals of any frame
        self._redacted.append(secret)
        self.recorder.ask("set_access_token", token=secret, account=account)

    def note(self, kind: str, detail: str, connection: int | None = None) -> None:
        """Deliver an event, without any access token in its text."""
        for secret in self._redacted:
            detail = redacted(detail, secret.reveal())
        super().note(kind, detail, connection)

    # -- finding and starting -----------------------------------------------------------------

    def _find(self) -> Recorder:
        """Find the recorder, or start it. Any thread."""
        recorder = find(self._folder)
        if recorder is None:
            if self._launch is None:
                raise JournalError(
                    "no recorder runs there: start one with kitepolars record, or with "
                    "kp.Ticker(..., recorder=...); kp.replay plays what was recorded",
                    path=self._folder,
                )
            return self._launch(dict(self._wanted))
        if self._publish is not None:
            recorder.ask("publish", table=self._publish)
        for account, token in self._access_tokens.items():
            recorder.ask("set_access_token", token=token, account=account)
        for mode in dict.fromkeys(self._wanted.values()):
            tokens = [token for token, wanted in self._wanted.items() if wanted is mode]
            recorder.ask("subscribe", tokens=tokens, mode=mode)
        return recorder

    # -- following ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._tail is not None  # noqa: S101 - `start` made it
        heard_at = loop.time()
        while True:
            began = loop.time()
            try:
                table = self._tail.read(TURN_BYTES)
            except (OSError, KitePolarsError) as error:
                self._report(f"the journal cannot be read: {error}")
                await asyncio.sleep(IDLE_AFTER)
                continue
            if not table and self._is_failing:
                table = await self._unwritten()
            if not table:
                self._caught_up.set()
                is_quiet = self._is_failing or began - heard_at > IDLE_AFTER
                await asyncio.sleep(IDLE_POLL_INTERVAL if is_quiet else POLL_INTERVAL)
                continue
            heard_at = began
            has_more = table.size > TURN_BYTES // 2
            for first in range(0, len(table), TURN_RECORDS):
                for record in self._reader.read_table(table[first : first + TURN_RECORDS]):
                    self.deliver(record)
                await asyncio.sleep(self._rest(loop.time() - began, has_more=has_more))
                began = loop.time()

    def _rest(self, took: float, *, has_more: bool) -> float:
        """Return how long the loop rests after a turn."""
        if self._is_alone:
            return 0.0
        return took if has_more else POLL_INTERVAL

    async def _unwritten(self) -> RecordTable:
        """Return records that the recorder has, but whose disk does not take them.

        When it takes them later, they are read again from the journal, and skipped there.
        """
        ask = partial(self.recorder.ask, "unwritten", first=self._reader.next)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(None, ask)
        except KitePolarsError:  # it ended, or is of an older version: `_watch` reports that
            return NO_RECORDS
        return Scan().feed(b64decode(answer["records"]))

    async def _watch(self) -> None:
        """Look after the recorder: what it cannot write, and whether it lives, is an event."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE_AFTER)
            try:
                status = await loop.run_in_executor(None, self.recorder.ask, "status")
            except NotRunning:
                await self._end()
            except KitePolarsError as error:
                self._report(str(error))
            else:
                self._published = status.get("published")
                failure = status["failure"]
                self._is_failing = failure is not None
                self._report(None if failure is None else f"the recorder cannot write: {failure}")

    async def _end(self) -> None:
        """Say that the recorder ended, with a gap unless that was on purpose."""
        await asyncio.sleep(2 * IDLE_POLL_INTERVAL)  # until its last records have been read
        if self._reader.standing.is_stopped:
            self._report("the recorder was stopped; a new one here will be followed")
        else:
            self._lose()
            self._report("the recorder ended; a new one here will be followed")

    def _report(self, failure: str | None) -> None:
        """Deliver an event when it became another failure, or none."""
        if failure != self._failure:
            self._failure = failure
            self.note("recorder", failure or "the recorder writes again")

    def _lose(self) -> None:
        """Say that nothing comes: open a gap, and let no connection pass for open."""
        if self._failure is None:
            at, standing = self.now(), self._reader.standing
            for lost in standing.lost(at, self._reader.at, "the recorder ended"):
                self.deliver(lost)
            for state in standing.connections():
                self.deliver(state._replace(at=at, state=ConnectionState.WAITING))


def _first_of_today(folder: Path, now: int) -> int:
    """Return the sequence number of the first segment of today, or of those to come."""
    today = trading_day(now).isoformat()
    existing = segments(folder)
    of_today = [one.sequence for one in existing if one.path.parent.name >= today]
    if of_today:
        return of_today[0]
    return existing[-1].sequence + 1 if existing else 0
