"""The transport of a replay, ``replay.transport()``: play, pause, speed, a time line. UI thread."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Final, Protocol

from kitepolars.widgets.channel import Update, milliseconds
from kitepolars.widgets.host import asset
from kitepolars.widgets.reading import Reading, WatchedTicker
from kitepolars.widgets.threads import COMMANDS, TICK, CommandQueue, Publisher
from kitepolars.widgets.view import LiveWidget

SPEEDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, None)
"""The speeds offered; None plays as fast as possible."""

MOST_GAPS: Final = 500
"""Gaps marked on the time line, the latest of them."""


class ReplayPosition(Protocol):
    """Where a replay stands."""

    @property
    def begin(self) -> dt.datetime:
        """The time of the first record."""
        ...

    @property
    def now(self) -> dt.datetime:
        """The time up to which it has been played."""
        ...

    @property
    def end(self) -> dt.datetime:
        """The time of the last record."""
        ...


class PlayedTicker(WatchedTicker, Protocol):
    """The part of `kitepolars.playback.ReplayTicker` that the transport uses."""

    speed: float | None

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether all of it has been played."""
        ...

    @property
    def position(self) -> ReplayPosition:
        """Where it stands."""
        ...

    def pause(self) -> None:
        """Stand still."""
        ...

    def resume(self) -> None:
        """Play on."""
        ...

    def seek(self, time: dt.datetime) -> None:
        """Go to a time."""
        ...


class Transport(LiveWidget):
    """Play, pause, speed, and a time line with gaps marked, for a replay.

    Parameters
    ----------
    ticker
        The replay.
    publisher
        The UI thread; tests pass another one.
    commands
        Runs what the buttons ask for; tests pass another one.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Transport
    >>> transport = Transport(kp.sample())
    >>> transport.close()
    """

    _esm = asset("transport.js")

    _refresh_every = TICK

    def __init__(
        self,
        ticker: PlayedTicker,
        *,
        publisher: Publisher | None = None,
        commands: CommandQueue = COMMANDS,
    ) -> None:
        self._replay = ticker
        self._commands = commands
        self._sent: Mapping[str, Any] = {}
        self._gaps: set[tuple[float, float]] = set()
        super().__init__(ticker, publisher=publisher, traits={})

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Do what a button asks for, on the command thread: a seek may take a while."""
        actions = {
            "play": self._play,
            "pause": self._replay.pause,
            "speed": lambda: self._set_speed(content.get("speed")),
            "seek": lambda: self._seek(content.get("at")),
        }
        if action := actions.get(kind):
            self._commands.post(lambda: self._do(action))

    def _snapshot(self, reading: Reading) -> Update:
        """Return everything; it is small."""
        replay = self._replay
        is_over = replay.is_over  # first: a seek meanwhile must not show an old position as played
        is_playing = replay.is_running and not replay.is_paused and not is_over
        position = replay.position
        self._note_gaps(reading)
        self._sent = {
            "begin": milliseconds(position.begin),
            "now": milliseconds(position.now),
            "end": milliseconds(position.end),
            "speed": replay.speed,
            "speeds": SPEEDS,
            "playing": is_playing,
            "over": is_over,
            "gaps": sorted(self._gaps)[-MOST_GAPS:],
        }
        return Update(self._sent, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return everything, if anything is new."""
        before = self._sent
        update = self._snapshot(reading)
        return None if self._sent == before else update

    def _note_gaps(self, reading: Reading) -> None:
        """Keep the gaps seen: after a seek back, the replay does not know the later ones."""
        ended = reading.gaps.tail(MOST_GAPS).select("started_at", "ended_at").drop_nulls()
        self._gaps.update(
            (milliseconds(began), milliseconds(end)) for began, end in ended.iter_rows()
        )

    def _do(self, action: Any) -> None:
        self._channel.attempt(action)
        self._channel.refresh()

    def _play(self) -> None:
        """Start or resume; from the beginning, if all of it has been played."""
        replay = self._replay
        if replay.is_over:
            replay.seek(replay.position.begin)
        replay.start()
        replay.resume()

    def _set_speed(self, speed: object) -> None:
        if speed is None or isinstance(speed, int | float):
            self._replay.speed = speed

    def _seek(self, at: object) -> None:
        """Go to a time in milliseconds since the epoch, or to the nearer end of the recording."""
        if isinstance(at, int | float) and math.isfinite(at):
            position = self._replay.position
            begin, end = milliseconds(position.begin), milliseconds(position.end)
            within = min(max(at, begin), end)
            self._replay.seek(dt.datetime.fromtimestamp(within / 1000, position.begin.tzinfo))
