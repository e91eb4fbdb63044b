"""Where what a running ticker receives is recorded: here, or by a recorder. Any thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kitepolars.errors import ConfigError
from kitepolars.instruments import Instruments
from kitepolars.journal.writer import JournalWriter, WriterStats
from kitepolars.recordings.following import FollowSource
from kitepolars.source import Listing, Stopped

if TYPE_CHECKING:
    from kitepolars.days.recorded import GrowingTable
    from kitepolars.days.storage import StorageOptions
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


class Recordings:
    """Where what a ticker receives is recorded: by recorders here, or by the one it follows.

    Parameters
    ----------
    runtime
        The ticker's parts, which learn from it where there is a recording.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._recorders: dict[Path, TickRecorder] = {}
        self._tables: dict[tuple[Path, str], GrowingTable] = {}
        runtime.recording = self.current

    def current(self) -> RecordedIn | None:
        """Return where what is received is recorded now, if it is. Any thread."""
        source = self._runtime.source
        if isinstance(source, FollowSource):
            said = source.published or {}
            return RecordedIn(source.folder, said.get("table"), said.get("until"))
        running = (one for one in tuple(self._recorders.values()) if one.is_recording)
        return next((RecordedIn(one.folder) for one in running), None)

    def record(self, folder: Path, instruments: Instruments) -> TickRecorder:
        """Record into a folder from now on; see `Ticker.record`."""
        recorder = self._recorders.get(folder)
        if recorder is None or not recorder.is_recording:
            recorder = self._recorders[folder] = TickRecorder(self._runtime, folder, instruments)
        return recorder

    def published(self) -> GrowingTable | None:
        """Return the recording as the table that its recorder publishes, if it does."""
        recording = self.current()
        if recording is None or recording.table is None:
            return None
        return self._growing(recording.journal, recording.table, None)

    def in_table(
        self, table: str | PathLike[str] | None, storage_options: StorageOptions | None
    ) -> GrowingTable:
        """Return a table, and what of the recording is not in it yet; see `Ticker.scan`.

        Raises
        ------
        ConfigError
            When nothing is recorded, or it is not known where it is published.
        """
        recording = self.current()
        if recording is None:
            recorded = "a folder: Ticker(..., recorder=FOLDER), or ticker.record(FOLDER)"
            raise ConfigError("recorder", None, recorded)
        name = recording.table if table is None else os.fspath(table)
        if name is None:
            where = "name the table: the recorder of this ticker publishes to none"
            raise ConfigError("table", None, message=where)
        for recorder in self._recorders.values():
            if recorder.is_recording:
                recorder.flush()
        return self._growing(recording.journal, name, storage_options)

    def _growing(
        self, folder: Path, table: str, storage_options: StorageOptions | None
    ) -> GrowingTable:
        from kitepolars.days.recorded import GrowingTable  # noqa: PLC0415 - loaded on use

        if (folder, table) not in self._tables:
            self._tables[folder, table] = GrowingTable(folder, table, storage_options)
        return self._tables[folder, table]
