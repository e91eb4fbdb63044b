"""Tickers on recordings: replayed on the time at which they were recorded. Any thread."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from kitepolars.calendar import in_india
from kitepolars.errors import ConfigError, NotRunning
from kitepolars.feed.limits import Limits
from kitepolars.frames.store import Retention
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.instruments.dump import DUMP_SCHEMA
from kitepolars.journal.reader import span
from kitepolars.pipeline import Flush
from kitepolars.recordings.following import FollowSource
from kitepolars.recordings.frames import NameGiver, first_listing, time_us
from kitepolars.recordings.replay import ReplaySource
from kitepolars.recordings.ticks import names_of
from kitepolars.source import Listing
from kitepolars.ticker import Ticker
from kitepolars.ticker.kept_candles import KeptCandles
from kitepolars.ticker.runtime import Runtime
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from kitepolars.widgets import Transport

SAMPLE: Final = Path(__file__).with_name("recordings") / "sample.kpj.zst"
"""The recording that comes with the package; ``benchmarks/record_sample.py`` makes it."""

_PROGRESS_REFRESH: Final = 0.1
"""Seconds between two refreshes of a progress bar."""


class Position(NamedTuple):
    """Where a replay stands, in Indian time.

    Parameters
    ----------
    begin, now, end
        The time of the first record, the time up to which it has been played, and the time of the
        last record.
    """

    begin: dt.datetime
    now: dt.datetime
    end: dt.datetime

    @property
    def fraction(self) -> float:
        """How much of it has been played, from 0 to 1."""
        length = self.end - self.begin
        return min(1.0, (self.now - self.begin) / length) if length else 1.0


class ReplayTicker(Ticker):
    """A `Ticker` on a recording, made by `replay` or `sample`.

    It has the methods of any ticker. Those that need a live feed, such as `subscribe`, raise
    `NotLive`. `start` plays, `stop` ends; `pause` keeps callbacks running.

    Parameters
    ----------
    source
        The recording.
    span
        The times of its first and last record, in microseconds since the Unix epoch, UTC.
    listing
        The instruments of its first day.
    only
        Instrument tokens: ticks of all others are left out.
    retention
        How much history is kept.

    Raises
    ------
    ConfigError
        If `retention` is out of range, or the recording's list of instruments cannot be read.
    """

    def __init__(
        self,
        source: ReplaySource,
        span: tuple[int, int],
        *,
        listing: Listing | None = None,
        only: Collection[int] | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._source = source
        self._span = span
        runtime = Runtime(source, retention=retention, flush=Flush(interval=None), only=only)
        names = Instruments(DUMP_SCHEMA.to_frame()) if listing is None else names_of(listing)
        self._compose(runtime, instruments=names, default_mode=Mode.QUOTE, limits=Limits())
        source.deliver_to(NameGiver(self._rename, listing), first=True)
        source.flush = runtime.pipeline.flush
        source.clear = self._clear
        source.settled = self._callbacks.settled

    @property
    def speed(self) -> float | None:
        """How many times as fast as it was recorded, above 0; None for as fast as possible.

        It can be assigned at any time; a value that is not above 0 raises `ConfigError`.
        """
        return self._source.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self._runtime.call(setattr, self._source, "speed", speed)

    @property
    def is_paused(self) -> bool:
        """Whether it is paused: after `pause`, until `resume`."""
        return self._source.is_paused

    @property
    def is_over(self) -> bool:
        """Whether the whole recording has been played."""
        return self._source.is_over

    @property
    def position(self) -> Position:
        """The time of the first record, the current time, and the time of the last record."""
        first, last = self._span
        return Position(*map(in_india, (first, self._source.now(), last)))

    def pause(self) -> None:
        """Pause until `resume`; callbacks keep running."""
        self._runtime.call(self._source.pause)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._runtime.call(self._source.resume)

    def seek(self, time: dt.datetime) -> None:
        """Jump back or forward to a time. The state is then as if it had been played up to it.

        Parameters
        ----------
        time
            The time; without a time zone, Indian time.

        Raises
        ------
        ConfigError
            If `time` is not a `datetime.datetime`.
        """
        at = time_us("time", time)
        if at is None:
            raise ConfigError("time", time, "a datetime.datetime")
        self._runtime.call(self._source.seek, at)

    def transport(self) -> Transport:
        """Return the controls of the replay: play, pause, speed, a time line with gaps marked.

        Returns
        -------
        Transport
            A widget that refreshes four times a second while it is displayed.
        """
        from kitepolars.widgets import Transport  # noqa: PLC0415 - widgets are loaded on use

        return Transport(self)

    def play(self, *, progress: bool = True) -> Self:
        """Start, and block until the whole recording has been played.

        Parameters
        ----------
        progress
            Whether to show a progress bar in a terminal or a notebook.

        Returns
        -------
        ReplayTicker
            Itself, still started: its callbacks have returned.
        """
        self.start()
        if progress:
            self._show_progress()
        self.wait()
        return self

    def _condition(
        self, rows: int | None, until: Callable[[Self], object] | None, timeout: float | None
    ) -> Callable[[], bool]:
        """Wait for the end of the recording, if for nothing else; no longer in any case."""
        if rows is None and until is None and timeout is None:
            return lambda: self.is_over
        holds = super()._condition(rows, until, timeout)

        def holds_before_the_end() -> bool:
            is_over = self.is_over  # before the look: what came last counts
            held = holds()
            if is_over and not held and not (rows is None and until is None):
                raise NotRunning("the recording is over, and the condition does not hold")
            return held

        return holds_before_the_end

    def _show_progress(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - loaded on use

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
        )
        with Progress(*columns) as bar:
            task = bar.add_task("", total=1.0)
            while not self.is_over:
                position = self.position
                clock = f"{position.now:%d %b %H:%M:%S}"
                bar.update(task, completed=position.fraction, description=clock)
                time.sleep(_PROGRESS_REFRESH)
            bar.update(task, completed=1.0)

    def _rename(self, names: Instruments) -> None:
        self.instruments = names

    def _clear(self) -> None:
        """Forget what was played. Loop thread."""
        self._runtime.clear()
        self._candles = KeptCandles(self._runtime)


def replay(
    path: str | PathLike[str],
    *,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    speed: float | None = 1.0,
    instruments: SomeInstruments | None = None,
    retention: Retention | None = None,
) -> ReplayTicker:
    """Return a ticker that plays a recording on its own time. It is not started.

    Every replay gives the same ticks, orders, gaps and events as the ticker that was recorded, and
    calls callbacks with the same batches: those of each 50 ms of recorded time. With ``speed=None``
    the next batch comes when every callback has returned, so a strategy is tested as fast as it
    runs, with the same result each time.

    Parameters
    ----------
    path
        The recording's folder, a day's folder in it, or a segment.
    start, end
        Only what was recorded from `start` on and before `end`. With a time zone, or else in
        India's.
    speed
        How many times as fast as it was recorded, above 0; None for as fast as possible.
    instruments
        Only ticks of these: names of the recording's own instruments, or tokens.
    retention
        How much history is kept. By default all of it.

    Returns
    -------
    ReplayTicker
        With the recording's instruments; `start` or `play` begins.

    Raises
    ------
    JournalError
        When there is no recording.
    ConfigError
        When `end` is not after `start`, or the speed is not above 0.
    UnknownInstrument
        When an instrument is not known.

    Examples
    --------
    >>> with sample(speed=None) as ticker:
    ...     ticker.wait()
    True
    """
    begin, until = time_us("start", start), time_us("end", end)
    if begin is not None and until is not None and begin >= until:
        raise ConfigError("end", end, "after start")
    listing = first_listing(path, begin)
    first, last = span(path)
    only = None
    if instruments is not None:
        names = Instruments(DUMP_SCHEMA.to_frame()) if listing is None else names_of(listing)
        only = names.tokens(instruments)
    source = ReplaySource(path, begin=begin, end=until, speed=speed, only=only)
    bounds = (max(first, begin or first), min(last, until or last))
    return ReplayTicker(source, bounds, listing=listing, only=only, retention=retention)


def attach(
    folder: str | PathLike[str],
    *,
    publish: str | PathLike[str] | None = None,
    instruments: Instruments | None = None,
    retention: Retention | None = None,
    flush: Flush | None = None,
) -> Ticker:
    """Return a running ticker that follows the recorder of a folder.

    It begins with what the recorder wrote today. Any number of notebooks may follow one
    recorder. Each has its own frame; subscriptions belong to the recorder, so that a change in
    one notebook applies to all.

    Parameters
    ----------
    folder
        The folder that ``kitepolars record`` or ``Ticker(..., recorder=folder)`` records into.
    publish
        The table of days that the recorder publishes to from now on; see `Ticker`.
    instruments
        The list that gives names to tokens; by default the recording's own.
    retention
        How much history is kept. By default all of today.
    flush
        How long messages wait to be decoded together.

    Returns
    -------
    Ticker
        Already started; `stop` ends it, not the recorder.

    Raises
    ------
    JournalError
        When no recorder runs there, or its journal cannot be read.
    ConfigError
        If `retention` or `flush` is out of range.
    TableError
        When `publish` can be no table, or what writes it is not installed.
    KitePolarsError
        When the recorder publishes to another table.
    """
    table = None
    if publish is not None:
        from kitepolars.days.manifest import table_path  # noqa: PLC0415 - loaded on use

        table = table_path(publish)
    source = FollowSource(folder, publish=table)
    names = Instruments(DUMP_SCHEMA.to_frame()) if instruments is None else instruments
    ticker = Ticker._over(  # noqa: SLF001 - it is made for other sources
        source, instruments=names, retention=retention, flush=flush
    )
    if instruments is None:
        source.deliver_to(NameGiver(partial(setattr, ticker, "instruments")), first=True)
    return ticker.start()


def sample(*, speed: float | None = 1.0) -> ReplayTicker:
    """Return a ticker on the recording that comes with the package. It is not started.

    It has a few minutes of a simulated market, with a gap and an order.

    Parameters
    ----------
    speed
        How many times as fast as it was recorded, above 0; None for as fast as possible.

    Returns
    -------
    ReplayTicker
        As `replay` returns it.

    Raises
    ------
    ConfigError
        If the speed is not above 0.
    """
    return replay(SAMPLE, speed=speed)
