"""What `Ticker.alert` returns: how one alert stands, to snooze, move or remove it. Any thread."""

from __future__ import annotations

import datetime as dt

from kitepolars.alerting.rules import duration
from kitepolars.alerting.sources import LookedAt
from kitepolars.calendar import in_india
from kitepolars.ticker.watched import WatchedAlert, WatchedAlerts


class Alert:
    """An alert that is set: what `Ticker.alert` returns, to snooze or to remove.

    Parameters
    ----------
    watched
        The alert.
    alerts
        Those of its ticker.
    """

    def __init__(self, watched: WatchedAlert, alerts: WatchedAlerts) -> None:
        self._watched = watched
        self._alerts = alerts

    @property
    def name(self) -> str:
        """Its name."""
        return self._watched.name

    @property
    def condition(self) -> str:
        """Its condition, as text."""
        return self._watched.watch.rule.text

    @property
    def instruments(self) -> tuple[int, ...] | None:
        """The tokens of the instruments it is about; None for all."""
        return self._watched.source.tokens

    @property
    def level(self) -> float | None:
        """The price that its condition compares the last price with, in rupees; None without one.

        Of candles it is None: those of a chart may have another interval.
        """
        if isinstance(self._watched.source, LookedAt):
            return None
        priced = self._watched.watch.rule.priced
        return None if priced is None else priced.level

    @property
    def fired(self) -> int:
        """How often it fired."""
        return self._watched.fired

    @property
    def last_fired(self) -> dt.datetime | None:
        """When it fired last, in Indian time."""
        return self._watched.last_fired

    @property
    def error(self) -> str | None:
        """Why it is not evaluated any more; None while it is."""
        return self._watched.error

    @property
    def snoozed_until(self) -> dt.datetime | None:
        """Until when it does not fire, by the ticker's clock, in Indian time; None if it does."""
        until = self._watched.snoozed_until
        return None if until <= self._alerts.now() else in_india(until)

    @property
    def is_set(self) -> bool:
        """Whether it is still watched: neither removed nor replaced, and without an error."""
        return self.error is None and self._alerts.is_set(self._watched)

    def snooze(self, time: str | float | dt.timedelta | None) -> None:
        """Do not fire for a while. What becomes true meanwhile never fires.

        Parameters
        ----------
        time
            ``"10m"``, seconds, or a timedelta, by the ticker's clock; None to end it.

        Raises
        ------
        ConfigError
            If it is not from 0 seconds to a day.
        """
        self._watched.snoozed_until = self._alerts.now() + duration("time", time)

    def move(self, level: float) -> None:
        """Compare the last price with another level, with the other settings as they are.

        If the condition holds at the new level already, it fires after it was false. A name that
        was made of the condition changes with it, and so does one that ends with the level.

        Parameters
        ----------
        level
            In rupees.

        Raises
        ------
        ConfigError
            If the alert compares no last price with a number, or the level is not a finite number.
        """
        self._alerts.move(self._watched, level)

    def remove(self) -> None:
        """Remove it; what fired stays in `Ticker.alerts`. Harmless when it is removed."""
        self._alerts.remove(self._watched)

    def __repr__(self) -> str:
        """Say how it stands in one line."""
        state = self.error or ("set" if self.is_set else "removed")
        return f"<Alert {self.name!r}: {state}, fired {self.fired:,} times>"
