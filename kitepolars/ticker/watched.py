"""The alerts of a running ticker: what is watched, and what fired.

New ticks are evaluated on a separate thread, woken at each flush, or by a caller that asks for
`WatchedAlerts.frame`; a lock keeps them apart. Notifications run on further threads.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.alerting.rows import ALERTS, FiredAlert, FiredAlerts, RowsToCheck
from kitepolars.alerting.rules import Rule, Watch, evaluate
from kitepolars.alerting.sources import BarSource, LookedAt, TickSource
from kitepolars.calendar import SECOND
from kitepolars.frames.held import Held
from kitepolars.frames.index import TokenIndex
from kitepolars.listeners import Listeners
from kitepolars.ticker.callbacks import Callbacks
from kitepolars.ticker.runtime import Runtime

ALERTS_KEPT: Final = 100_000
"""Alerts that fired and are kept; older ones are dropped."""


@dataclass(eq=False)
class WatchedAlert:
    """An alert that is set: what it watches, what fired, until when it is snoozed."""

    watch: Watch
    source: TickSource
    fired: int = 0
    last_fired: dt.datetime | None = None
    snoozed_until: int = 0
    error: str | None = None
    listeners: Listeners[FiredAlert] = field(default_factory=Listeners)
    end_notification: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """Its name, which no other alert of the ticker has."""
        return self.watch.rule.name

    def clear(self) -> None:
        """Forget what was seen and what fired."""
        self.watch.clear()
        self.source.clear()
        self.fired, self.last_fired = 0, None


class WatchedAlerts:
    """The alerts that are set, and what fired.

    Parameters
    ----------
    runtime
        The ticker's parts.
    callbacks
        Runs the callbacks and notifications.
    """

    def __init__(self, runtime: Runtime, callbacks: Callbacks) -> None:
        self._runtime = runtime
        self._callbacks = callbacks
        self.index = TokenIndex()
        self._set: dict[str, WatchedAlert] = {}
        self._next = self._begins = 0
        self._newest_at = 0  # when the newest tick that was looked at arrived
        self._fired: deque[FiredAlert] = deque(maxlen=ALERTS_KEPT)
        self._count = 0
        self._listeners = Listeners[FiredAlert]()
        self._lock = threading.Lock()  # never taken by the loop thread

    def now(self) -> int:
        """Return the ticker's time: microseconds since the epoch, UTC."""
        return self._runtime.source.now()

    def add(
        self, rule: Rule, source: TickSource, notify: Callable[[FiredAlert], object] | None
    ) -> WatchedAlert:
        """Watch a rule from the next tick on; one of the same name is replaced."""
        held = self._runtime.held()
        with self._lock:
            self._take(held)
            alert = WatchedAlert(Watch(rule), source)
            if alert.watch.is_crossing:
                self._look_before(alert, held)
            elif isinstance(source, BarSource):
                source.look(self.now())  # what is finished already is not new
            before = self._set.pop(rule.name, None)
            if not self._set and before is None:
                self._callbacks.on_flush(self._woken)
            self._set[rule.name] = alert
        if before is not None:
            before.end_notification()
        if notify is not None:
            alert.end_notification = self._notify(alert, notify)
        return alert

    def move(self, alert: WatchedAlert, level: float) -> None:
        """Let an alert watch another price."""
        rule = alert.watch.rule.at(level)
        held = self._runtime.held()
        with self._lock:
            self._take(held)
            if not self.is_set(alert):
                return
            del self._set[alert.name]
            alert.watch = Watch(rule)
            self._look_before(alert, held)
            replaced = self._set.pop(rule.name, None)
            self._set[rule.name] = alert
        if replaced is not None:
            replaced.end_notification()

    def remove(self, alert: WatchedAlert) -> None:
        """Stop watching one."""
        with self._lock:
            if not self.is_set(alert):
                return
            del self._set[alert.name]
            is_last = not self._set
        alert.end_notification()
        if is_last:
            self._callbacks.off(self._woken)

    def is_set(self, alert: WatchedAlert) -> bool:
        """Whether an alert is watched."""
        return self._set.get(alert.name) is alert

    def active(self) -> tuple[WatchedAlert, ...]:
        """Return those that are set, the oldest first."""
        return tuple(self._set.values())

    def listen(self, listener: Callable[[FiredAlert], object]) -> Callable[[], None]:
        """Call `listener` with each alert that fires; what is returned ends that."""
        return self._listeners.add(listener)

    def frame(self) -> pl.DataFrame:
        """Return what fired, in order, up to the last tick."""
        held = self._runtime.held()
        with self._lock:
            self._take(held)
            self._catch_up()
            return pl.DataFrame(list(self._fired), schema=ALERTS, orient="row")

    def newest(self, most: int) -> FiredAlerts:
        """Return the last of what fired so far; it evaluates nothing."""
        with self._lock:
            held = len(self._fired)
            rows = [self._fired[place] for place in range(max(0, held - most), held)]
            return FiredAlerts(self._count, rows)

    def _notify(
        self, alert: WatchedAlert, notify: Callable[[FiredAlert], object]
    ) -> Callable[[], None]:
        """Call a function each time that an alert fires; what is returned ends that."""

        def called(fired: FiredAlert) -> None:
            notify(fired)

        called.__qualname__ = f"the notification of {alert.name!r}"
        self._callbacks.on_item(called, alert.listeners.add)
        return lambda: self._callbacks.off(called)

    def _woken(self, _: object) -> None:
        held = self._runtime.store.held
        with self._lock:
            self._take(held)

    def _look_before(self, alert: WatchedAlert, held: Held) -> None:
        """Let an alert see where its condition holds already."""
        source = alert.source
        if isinstance(source, LookedAt):
            rows = source.look(self.now())
        else:
            latest = held.latest()
            slots = self.index.slots(latest["instrument_token"].to_numpy())
            rows = RowsToCheck.of_frame(latest, slots, latest["received_at"].dt.epoch().to_numpy())
        evaluate([alert.watch], rows, [None])

    # -- new ticks; with the lock -----------------------------------------------------------------

    def _take(self, held: Held) -> None:
        """Look at the ticks that are new."""
        if self._runtime.store.begins > self._begins:
            self._begin_anew()
        begin = max(self._next, held.first)
        if self._set and begin > self._next:
            self._runtime.note("alert", f"alerts missed {begin - self._next:,} ticks: too slow")
        if held.total > begin and self._set:
            self._look_at(held, begin)
        self._next = max(self._next, held.total)

    def _begin_anew(self) -> None:
        """Forget what fired and what was seen: the recording is played from another time."""
        self._begins = self._next = self._runtime.store.begins
        self._fired.clear()
        for alert in self._set.values():
            alert.clear()

    def _look_at(self, held: Held, begin: int) -> None:
        """Look at the ticks from a number on."""
        rows = RowsToCheck.of_ticks(held, begin, self.index)
        ready = [alert for alert in self._set.values() if alert.error is None]
        of_ticks = [alert for alert in ready if not isinstance(alert.source, LookedAt)]
        self._look_at_some(rows, [one for one in of_ticks if one.source.tokens is None])
        some = [one for one in of_ticks if one.source.tokens is not None]
        if some:
            tokens = {token for one in some for token in one.source.tokens or ()}
            wanted = np.flatnonzero(self._is_of(tokens)[rows.slots])
            self._look_at_some(rows.only(wanted), some)
        self._newest_at = int(rows.times[-1])
        for alert in ready:
            if isinstance(alert.source, LookedAt) and alert.source.is_due(self._newest_at):
                self._look(alert, alert.source)

    def _catch_up(self) -> None:
        """Look at the sources to which ticks came since they were looked at, within a second."""
        for alert in self._set.values():
            source = alert.source
            if alert.error is None and isinstance(source, LookedAt) and source.is_behind:
                source.is_behind = False
                self._look(alert, source)

    def _look(self, alert: WatchedAlert, source: LookedAt) -> None:
        try:
            found = source.look(self._newest_at)
        except Exception as error:  # noqa: BLE001 - such as a chain that has expired
            self._fail(alert, error)
        else:
            self._evaluate([alert], found, [None])

    def _is_of(self, tokens: Sequence[int] | set[int]) -> npt.NDArray[np.bool_]:
        """Return, by slot, whether it is of one of some instruments."""
        slots = self.index.slots(np.fromiter(tokens, np.uint32, len(tokens)))
        found = np.zeros(len(self.index), np.bool_)
        found[slots] = True
        return found

    def _look_at_some(self, rows: RowsToCheck, some: Sequence[WatchedAlert]) -> None:
        if not some or not len(rows):
            return
        snapshots = rows.are("is_snapshot")
        ignored = []
        for alert in some:
            skip = None if alert.source.snapshots or not snapshots.any() else snapshots
            if alert.source.tokens is not None:
                others = ~self._is_of(alert.source.tokens)[rows.slots]
                skip = others if skip is None else skip | others
            ignored.append(skip)
        self._evaluate(some, rows, ignored)

    def _evaluate(
        self,
        some: Sequence[WatchedAlert],
        rows: RowsToCheck,
        ignored: Sequence[npt.NDArray[np.bool_] | None],
    ) -> None:
        """Evaluate alerts together; if that fails, find the one it is."""
        try:
            fired = evaluate([alert.watch for alert in some], rows, ignored)
        except Exception as error:  # noqa: BLE001 - a condition may call any function
            if len(some) == 1:
                self._fail(some[0], error)
                return
            for alert, skip in zip(some, ignored, strict=True):
                self._evaluate([alert], rows, [skip])
            return
        for alert, found in zip(some, fired, strict=True):
            if len(found):
                self._fire(alert, rows.fired(alert.name, found))

    def _fail(self, alert: WatchedAlert, error: Exception) -> None:
        alert.error = f"{error!r}"
        self._runtime.note("alert", f"{alert.name!r} is not evaluated any more: {error!r}")

    def _fire(self, alert: WatchedAlert, found: pl.DataFrame) -> None:
        for row in found.iter_rows():
            fired = FiredAlert(*row)
            if fired.fired_at.timestamp() * SECOND < alert.snoozed_until:
                continue
            alert.fired += 1
            alert.last_fired = fired.fired_at
            self._fired.append(fired)
            self._count += 1
            alert.listeners.tell(fired)
            self._listeners.tell(fired)
