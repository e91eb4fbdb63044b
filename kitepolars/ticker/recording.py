"""Recording what a running ticker receives, in its own process. Any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kitepolars.instruments import Instruments
from kitepolars.journal.writer import JournalWriter, WriterStats
from kitepolars.recordings.following import FollowSource
from kitepolars.source import Listing, Source, Stopped

if TYPE_CHECKING:
    from kitepolars.ticker.runtime import Runtime

FLUSH_TIMEOUT: Final = 2.0
"""Seconds that the disk may take when the ticker stops."""


class RecordedIn(NamedTuple):
    """Where what a ticker receives is recorded and published.

    Parameters
    ----------
    journal
        The recording's folder.
    table
        The table of days that it is published to, if it is.
    until
        The arrival of the last published tick in microseconds since the epoch, UTC, if any.
    """

    journal: Path
    table: str | None = None
    until: int | None = None


def recording_of(source: Source, recorders: Mapping[Path, TickRecorder]) -> RecordedIn | None:
    """Return where what a source delivers is recorded now, if it is. Any thread."""
    if isinstance(source, FollowSource):
        said = source.published or {}
        return RecordedIn(source.folder, said.get("table"), said.get("until"))
    running = (one for one in tuple(recorders.values()) if one.is_recording)
    return next((RecordedIn(one.folder) for one in running), None)


class _FlushedAtStop:
    """What the ticker received is on the disk when it has stopped. A `Companion`."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self.stop = flush

    def start(self) -> None:
        """Continue; the recorder has been listening all the time."""


class TickRecorder:
    """Writes what the source of a ticker delivers to a journal as well, until `end`.

    It continues when the ticker is stopped and started again.

    Parameters
    ----------
    runtime
        The ticker's parts.
    folder
        The journal's folder.
    instruments
        The names that a replay will have.

    Raises
    ------
    JournalError
        When another process or ticker writes this journal, or it cannot be written.
    """

    def __init__(
        self, runtime: Runtime, folder: str | PathLike[str], instruments: Instruments
    ) -> None:
        self._runtime = runtime
        self._writer = JournalWriter(folder, alarm=self._alarm, clock=runtime.source.now)
        self._lock = threading.Lock()
        self._is_ended = False
        listing = instruments.to_csv() if len(instruments) else b""
        self._unlisten = runtime.call(self._join, listing)
        self._at_stop = _FlushedAtStop(self.flush)
        runtime.companions.append(self._at_stop)

    def __repr__(self) -> str:
        if not hasattr(self, "_writer"):  # the constructor raised, and a traceback shows it
            return "<TickRecorder: not made>"
        stats = self.stats()
        parts = [f"{stats.records:,} records", f"{stats.bytes / 1e6:,.1f} MB"]
        parts += [f"{stats.not_recorded:,} messages not recorded"] if stats.not_recorded else []
        parts += [stats.failure] if stats.failure else []
        return f"<TickRecorder {self.folder}: {', '.join(parts)}>"

    def _join(self, listing: bytes) -> Callable[[], None]:
        """Take in what stands, and listen from now on. Loop thread."""
        source = self._runtime.source
        if listing:
            self._writer.take(Listing(source.now(), listing))
        for record in self._runtime.records():
            self._writer.take(record)
        return source.deliver_to(self._writer)

    def _leave(self) -> None:
        self._unlisten()
        self._writer.take(Stopped(self._runtime.source.now()))

    def _alarm(self, line: str) -> None:
        """Report what the writer's thread found; called there."""
        self._runtime.post(self._runtime.source.note, "journal", line)

    @property
    def is_recording(self) -> bool:
        """Whether it has not been ended."""
        return not self._is_ended

    @property
    def folder(self) -> Path:
        """The journal's folder."""
        return self._writer.folder

    def stats(self) -> WriterStats:
        """Return the counters of this moment."""
        return self._writer.stats()

    def end(self) -> None:
        """Write what is buffered, and stop recording. Harmless when ended."""
        with self._lock:
            if not self._is_ended:
                self._is_ended = True
                self._runtime.companions.remove(self._at_stop)
                self._runtime.call(self._leave)
                self._writer.close()

    def flush(self) -> None:
        """Wait until what the ticker has received is on the disk, or `FLUSH_TIMEOUT` is over."""
        self._writer.flush(FLUSH_TIMEOUT)
