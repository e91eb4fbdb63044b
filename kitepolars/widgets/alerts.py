"""Alerts by hand, ``ticker.alerts_panel()``: a form, those that are set, what fired. UI thread.

The form's conditions are rows of `MEASURES` and `CHECKS`: nothing that is typed is evaluated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import polars as pl
import traitlets

from kitepolars.alerting.conditions import Condition, crosses, level_text
from kitepolars.errors import ConfigError
from kitepolars.widgets.channel import Update, milliseconds
from kitepolars.widgets.columns import COLUMNS
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import InstrumentView, select_instrument
from kitepolars.widgets.marks import fired_rows
from kitepolars.widgets.reading import ActiveAlert, Reading, WatchedTicker, labels_of
from kitepolars.widgets.threads import TICK, Publisher

MEASURES: Final = tuple(
    name
    for name, column in COLUMNS.items()
    if column.kind in {"price", "quantity", "change", "percent", "share"}
)
"""Columns of the live table that an alert can be about."""

VALUES_EVERY: Final = 1.0
"""Seconds after which the present values of the measures are read again."""
LABELS_SHOWN: Final = 3
"""Instruments of an alert that are named."""


@dataclass(frozen=True, kw_only=True)
class AlertCheck:
    """A way to compare a measure with a number.

    Parameters
    ----------
    label
        What it is called.
    condition
        Makes the condition.
    """

    label: str
    condition: Callable[[pl.Expr, float], Condition]


CHECKS: Final = {
    "crosses": AlertCheck(label="crosses", condition=crosses),
    "up": AlertCheck(
        label="crosses above", condition=lambda value, level: crosses(value, level, "up")
    ),
    "down": AlertCheck(
        label="crosses below", condition=lambda value, level: crosses(value, level, "down")
    ),
    "above": AlertCheck(label="is above", condition=lambda value, level: value > level),
    "below": AlertCheck(label="is below", condition=lambda value, level: value < level),
}
"""Comparisons by name. One that crosses waits until the value has been on the other side."""


class AlertsPanel(InstrumentView):
    """The alerts of a ticker by hand: make, snooze, remove; what fired, with a toast and a sound.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        What the form is about at first, a name or a token; None for what is selected next.
    height
        Greatest height of each of the two lists in pixels.
    publisher
        The UI thread; tests pass another one.

    Raises
    ------
    UnknownInstrument
        If the name is unknown.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import AlertsPanel
    >>> ticker = kp.demo()
    >>> panel = AlertsPanel(ticker, "NSE:INFY")
    >>> panel.set_alert("change", "up", 2.0).name
    'NSE:INFY Change crosses above 2'
    >>> ticker.stop()
    """

    _esm = asset("alerts.js")

    _refresh_every = TICK

    height = traitlets.Int(168).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int | None = None,
        *,
        height: int = 168,
        publisher: Publisher | None = None,
    ) -> None:
        self._sent: dict[str, Any] = {}
        self._number = 0
        self._values: dict[str, float] = {}
        self._valued: tuple[int, float] = (0, float("-inf"))
        super().__init__(ticker, instrument, publisher=publisher, traits={"height": height})

    def set_alert(
        self,
        measure: str,
        check: str,
        level: float,
        *,
        everywhere: bool = False,
        lasting: float | None = None,
        cooldown: float | None = None,
        once: bool = False,
    ) -> Any:
        """Set an alert as the form does, and return it.

        Parameters
        ----------
        measure
            A name from `MEASURES`.
        check
            A name from `CHECKS`.
        level
            What the measure is compared with, in its unit in the table.
        everywhere
            Whether all instruments are watched, rather than the one shown.
        lasting, cooldown, once
            As for `kitepolars.Ticker.alert`, in seconds.

        Returns
        -------
        kitepolars.Alert
            The alert.

        Raises
        ------
        ConfigError
            If a name is unknown, the level is no number, a duration is impossible, or no
            instrument is shown.
        """
        if measure not in MEASURES:
            raise ConfigError("measure", measure, f"one of {', '.join(MEASURES)}")
        if check not in CHECKS:
            raise ConfigError("check", check, f"one of {', '.join(CHECKS)}")
        if not math.isfinite(level):
            raise ConfigError("level", level, "a number")
        if not (everywhere or self.instrument_token):
            raise ConfigError("instrument", None, message="select an instrument in a table first")
        column = COLUMNS[measure]
        condition = CHECKS[check].condition(column.expression, level)
        words = f"{column.label} {CHECKS[check].label} {level_text(level)}"
        return self.ticker.alert(
            condition,
            name=f"{'Any' if everywhere else self.instrument} {words}",
            instruments=None if everywhere else [self.instrument_token],
            lasting=lasting,
            cooldown=cooldown,
            once=once,
        )

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Set, snooze or remove an alert, on the command thread; or select an instrument."""
        if kind == "set":
            self._post(partial(self._set_from_form, content))
        elif kind == "snooze":
            seconds = float(content["seconds"])
            self._post(partial(self._change, content["name"], lambda one: one.snooze(seconds)))
        elif kind == "remove":
            self._post(partial(self._change, content["name"], lambda one: one.remove()))
        elif kind == "select":
            self.instrument = int(content["token"])
            select_instrument(self.ticker, int(content["token"]))

    def _snapshot(self, reading: Reading) -> Update:
        """Return the form, all alerts that are set, and the last that fired."""
        self._sent = self._state(reading)
        self._number = reading.fired.number
        fixed = {
            "measures": [[name, COLUMNS[name].label, COLUMNS[name].kind] for name in MEASURES],
            "checks": [[name, check.label] for name, check in CHECKS.items()],
        }
        return Update({**fixed, **self._sent, **self._fired(reading, 0)}, whole=True)

    def _changes(self, reading: Reading) -> Update | None:
        """Return what differs, and what fired since the last message."""
        state = self._state(reading)
        news = {name: value for name, value in state.items() if value != self._sent.get(name)}
        self._sent = state
        before, self._number = self._number, reading.fired.number
        first = reading.fired.number - len(reading.fired.rows)
        if before != self._number or first > before:
            news |= self._fired(reading, before)
        return Update(news) if news else None

    # -- on the UI thread --------------------------------------------------------------------

    def _state(self, reading: Reading) -> dict[str, Any]:
        token = self.instrument_token
        return {
            "symbol": self.instrument if token else "",
            "label": labels_of(self.ticker, [token])[0] if token else "",
            "values": self._read_values(reading),
            "alerts": [self._row(alert) for alert in reading.active_alerts],
        }

    def _row(self, alert: ActiveAlert) -> dict[str, Any]:
        return {
            "name": alert.name,
            "condition": alert.condition,
            "about": self._about(alert.instruments),
            "fired": alert.fired,
            "last": alert.last_fired and milliseconds(alert.last_fired),
            "snoozed": (until := alert.snoozed_until) and milliseconds(until),
            "error": alert.error,
        }

    def _about(self, tokens: tuple[int, ...] | None) -> str:
        if tokens is None:
            return "All instruments"
        more = [f"{len(tokens) - LABELS_SHOWN:,} more"] if len(tokens) > LABELS_SHOWN else []
        return ", ".join([*labels_of(self.ticker, tokens[:LABELS_SHOWN]), *more])

    def _read_values(self, reading: Reading) -> dict[str, float]:
        """Return the present values of the measures of the instrument shown."""
        token, now = self.instrument_token, time.monotonic()
        shown, read_at = self._valued
        if shown == token and now - read_at < VALUES_EVERY:
            return self._values
        self._valued = token, now
        rows = reading.latest.filter(pl.col("instrument_token") == token)
        values = rows.select(
            COLUMNS[name].expression.cast(pl.Float64).alias(name) for name in MEASURES
        )
        self._values = {
            name: value
            for name, value in (values.row(0, named=True) if values.height else {}).items()
            if value is not None and math.isfinite(value)
        }
        return self._values

    def _fired(self, reading: Reading, before: int) -> dict[str, Any]:
        """Return what fired from a number on, and the number of the first that is known."""
        fired = reading.fired
        rows = [(number, row) for number, row in fired_rows(fired) if number >= before]
        tokens = [row.instrument_token or 0 for _, row in rows]
        labels = labels_of(self.ticker, tokens)
        return {
            "number": fired.number,
            "first": fired.number - len(fired.rows),
            "fired": [
                {
                    "number": number,
                    "time": row.fired_at.timestamp(),
                    "name": row.name,
                    "token": token,
                    "symbol": row.symbol,
                    "label": label if token else row.symbol,
                    "price": row.price,
                }
                for (number, row), token, label in zip(rows, tokens, labels, strict=True)
            ],
        }

    # -- on the command thread ---------------------------------------------------------------

    def _post(self, act: Callable[[], object]) -> None:
        self._channel.post(partial(self._run, act))

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        finally:
            self._channel.refresh()

    def _set_from_form(self, content: Mapping[str, Any]) -> None:
        self.set_alert(
            str(content["measure"]),
            str(content["check"]),
            float(content["level"]),
            everywhere=bool(content["everywhere"]),
            lasting=float(content["lasting"]),
            cooldown=float(content["cooldown"]),
            once=bool(content["once"]),
        )

    def _change(self, name: str, change: Callable[[ActiveAlert], object]) -> None:
        """Change the alert of a name, unless it is gone."""
        for alert in self.ticker.active_alerts():
            if alert.name == name:
                change(alert)
