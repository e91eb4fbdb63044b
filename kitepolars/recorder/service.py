"""The recorder: a feed with a journal as its sink, and its answers to requests. Main thread.

It starts with the subscriptions that it is asked for, and with those of a recorder that was killed
today. It ends on SIGTERM, on Ctrl-C, and when it is asked to.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Final, TextIO

from kitepolars.calendar import IST
from kitepolars.feed.account import Account
from kitepolars.feed.manager import TickerManager
from kitepolars.journal.writer import JournalWriter
from kitepolars.recorder.control import ControlServer
from kitepolars.recorder.places import claims
from kitepolars.recorder.publishing import Publishing
from kitepolars.recorder.request import Request
from kitepolars.source import Event, Listing
from kitepolars.wire.layouts import Mode

EVENTS_REPORTED: Final = 20
"""The latest events that an answer to "status" holds."""

UNWRITTEN_BYTES: Final = 2**20
"""Bytes of records in an answer to "unwritten", about."""

LINE_EVERY: Final = 1.0
"""Seconds between two lines of progress in a terminal,"""

LOG_EVERY: Final = 60.0
"""and where there is none."""


class RecorderService:
    """Records until it is stopped.

    Parameters
    ----------
    folder
        The journal's folder.
    request
        What to record.
    accounts
        The credentials.
    on_ready
        Called once the first connections are open and the control socket answers.
    output
        Where lines of progress go.
    """

    def __init__(
        self,
        folder: Path,
        request: Request,
        accounts: Sequence[Account],
        *,
        on_ready: Callable[[], object] = lambda: None,
        output: TextIO = sys.stderr,
    ) -> None:
        self._folder = folder
        self._request = request
        self._accounts = accounts
        self._on_ready = on_ready
        self._output = output
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Record.

        Raises
        ------
        JournalError
            When the journal cannot be written, or is written by another process.
        AuthenticationError, ConnectionLost
            When no connection can be opened at first.
        """
        self._loop = asyncio.get_running_loop()
        self._publishing = Publishing(self._folder, self._note)
        try:
            with claims(
                [account.api_key for account in self._accounts], self._folder
            ) as self._claims:
                self._writer = JournalWriter(self._folder, alarm=self._alarm)
                try:
                    await self._record(self._writer)
                finally:
                    await self._loop.run_in_executor(None, self._writer.close)
        finally:  # another recorder may start meanwhile
            if (failure := await self._publishing.end()) is not None:
                self._output.write(f"not everything is published: {failure}\n")

    async def _record(self, writer: JournalWriter) -> None:
        manager = self._manager = TickerManager(
            self._accounts,
            sink=writer,
            url=self._request.url,
            limits=self._request.limits,
            reconnect=self._request.reconnect,
        )
        if self._request.listing:
            writer.take(Listing(manager.now(), self._request.listing))
        control = ControlServer(self._folder, self._handlers())
        for name in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(name, self._stopping.set)
        showing = None
        try:
            self._subscribe(writer.resumed | dict(self._request.subscriptions))
            await manager.start()
            await control.start()
            if self._request.publish:
                self._publishing.begin(self._request.publish)
            self._on_ready()
            showing = self._loop.create_task(self._show())
            await self._stopping.wait()
        finally:
            if showing is not None:
                showing.cancel()
            await control.stop()
            await manager.stop()

    # -- requests --------------------------------------------------------------------------

    def _handlers(self) -> Mapping[str, Callable[[dict[str, Any]], Mapping[str, Any]]]:
        return {
            "status": self._status,
            "unwritten": self._unwritten,
            "subscribe": self._on_subscribe,
            "unsubscribe": self._on_unsubscribe,
            "publish": self._on_publish,
            "set_access_token": self._on_token,
            "stop": self._on_stop,
        }

    def _status(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        feed, journal = self._manager.stats(), self._writer.stats()
        return {
            "pid": os.getpid(),
            "accounts": [account.name for account in self._accounts],
            "connected": feed.connected,
            "instruments": feed.instruments,
            "messages": feed.messages,
            "gaps": feed.gaps,
            "bytes": journal.bytes,
            "next_sequence": journal.next_sequence,
            "durable_sequence": journal.durable_sequence,
            "waiting_bytes": journal.waiting_bytes,
            "lag": journal.lag / 1_000_000,
            "not_recorded": journal.not_recorded,
            "failure": journal.failure,
            "published": self._publishing.status(),
            "events": [_plain(event) for event in self._manager.events()[-EVENTS_REPORTED:]],
        }

    def _unwritten(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return records that the disk does not take, so that followers see them all the same."""
        data = self._writer.unwritten(int(values["first"]), UNWRITTEN_BYTES)
        return {"records": b64encode(data).decode("ascii")}

    def _on_subscribe(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        mode = Mode(values["mode"])
        self._subscribe(dict.fromkeys(map(int, values["tokens"]), mode))
        return {}

    def _on_unsubscribe(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self._manager.unsubscribe([int(token) for token in values["tokens"]])
        return {}

    def _on_publish(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self._publishing.begin(str(values["table"]))
        return {}

    def _on_token(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self._manager.set_access_token(values["token"], values.get("account"))
        return {}

    def _on_stop(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._loop.call_soon(self._stopping.set)
        return {}

    def _subscribe(self, modes: Mapping[int, Mode]) -> None:
        for mode in Mode:
            if tokens := [token for token, wanted in modes.items() if wanted is mode]:
                self._manager.subscribe(tokens, mode)

    # -- reporting ------------------------------------------------------------------------

    def _note(self, kind: str, detail: str) -> None:
        self._manager.note(kind, detail)

    def _alarm(self, line: str) -> None:
        """Report what the writer's thread found; called there."""
        with suppress(RuntimeError):  # the loop has ended, and events are no longer read
            self._loop.call_soon_threadsafe(self._manager.note, "journal", line)

    async def _show(self) -> None:
        """Report progress in one line that is replaced, or periodically in a log."""
        is_terminal = self._output.isatty()
        before, seen = time.monotonic(), self._manager.stats().messages
        while True:
            await asyncio.sleep(LINE_EVERY if is_terminal else LOG_EVERY)
            for claim in self._claims:
                claim.refresh()
            now, messages = time.monotonic(), self._manager.stats().messages
            line = self._line((messages - seen) / (now - before))
            before, seen = now, messages
            if is_terminal:  # a line that is wrapped could not be replaced
                line = f"\r\x1b[K{line[: get_terminal_size().columns - 1]}"
            self._output.write(line if is_terminal else f"{line}\n")
            self._output.flush()

    def _line(self, rate: float) -> str:
        """Return the line of progress; what matters most comes first."""
        feed, journal, published = (
            self._manager.stats(),
            self._writer.stats(),
            self._publishing.status() or {"failure": None},
        )
        parts = {
            dt.datetime.now(IST).strftime("%H:%M:%S"): True,
            f"DISK: {journal.failure}": journal.failure is not None,
            f"NOT PUBLISHED: {published['failure']}": published["failure"] is not None,
            f"{journal.not_recorded:,} not recorded": journal.not_recorded > 0,
            f"{rate:,.0f} messages/s": True,
            f"{journal.bytes / 1e6:,.1f} MB": True,
            f"{journal.lag / 1e6:.1f} s behind": True,
            f"{feed.gaps:,} gaps": True,
            f"{feed.connected} connections": True,
            f"{feed.instruments:,} instruments": True,
        }
        return "  ".join(part for part, is_shown in parts.items() if is_shown)


def _plain(event: Event) -> dict[str, Any]:
    return {"at": event.at, "kind": event.kind, "detail": event.detail}
