"""Everything in one cell, ``ticker.dashboard()``: chart, ladder, table, panels, health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from kitepolars.errors import ConfigError
from kitepolars.widgets.alerts import AlertsPanel
from kitepolars.widgets.channel import Channel
from kitepolars.widgets.chart import Chart
from kitepolars.widgets.controls import Controls
from kitepolars.widgets.ladder import Ladder
from kitepolars.widgets.monitor import Monitor
from kitepolars.widgets.reading import WatchedTicker
from kitepolars.widgets.table import LiveTable
from kitepolars.widgets.threads import Publisher
from kitepolars.widgets.view import Composite, channel_of


class Dashboard(Composite):
    """The widgets together, on one instrument: the one selected in the table or the chart.

    Parameters
    ----------
    ticker
        The ticker.
    instrument
        What chart and ladder show at first; None for the first subscribed instrument.
    every
        The chart's interval.
    columns
        The table's columns.
    publisher
        The UI thread; tests pass another one.

    Attributes
    ----------
    table, chart, ladder, alerts, monitor, controls
        Its parts.

    Raises
    ------
    ConfigError
        If no instrument is given and none is subscribed, or a setting is out of range.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import Dashboard
    >>> ticker = kp.demo()
    >>> dashboard = Dashboard(ticker, instrument="NSE:INFY")
    >>> ticker.stop()
    """

    def __init__(
        self,
        ticker: WatchedTicker,
        instrument: str | int | None = None,
        *,
        every: str = "1m",
        columns: Sequence[str] | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        shown = _first(ticker) if instrument is None else instrument
        self.controls = Controls(ticker, publisher=publisher)
        self.chart = Chart(ticker, shown, every=every, publisher=publisher)
        self.ladder = Ladder(ticker, shown, publisher=publisher)
        self.table = LiveTable(ticker, columns=columns, publisher=publisher)
        self.alerts = AlertsPanel(ticker, shown, publisher=publisher)
        self.monitor = Monitor(ticker, publisher=publisher)
        self.table.selected = self.chart.instrument_token
        self.table.observe(self._select, "selected")
        for part in (self.chart, self.ladder, self.alerts):
            part.observe(self._select, "instrument_token")
        panel = ipywidgets.Accordion(
            [self.controls, self.alerts, self.monitor],
            titles=("Subscriptions", "Alerts", "Health"),
        )
        market = _box("kp-wrap", _box("kp-main", self.chart), _box("kp-side", self.ladder))
        super().__init__([market, self.table, panel])
        self.add_class("kp")
        self.add_class("kp-dashboard")

    def _pictures(self) -> list[Channel]:
        """Return those of everything but the panels, which need a kernel."""
        return [channel_of(part) for part in (self.chart, self.ladder, self.table, self.monitor)]

    def _select(self, change: Any) -> None:
        """Show the instrument that was chosen in one part in all of them."""
        if token := change["new"]:
            self.table.selected = token
            self.chart.instrument = self.ladder.instrument = self.alerts.instrument = token


def _first(ticker: WatchedTicker) -> int:
    tokens = ticker.subscriptions()["instrument_token"]
    if tokens.is_empty():
        nothing = "no instrument is subscribed yet: pass instrument, or subscribe first"
        raise ConfigError("instrument", None, message=nothing)
    return int(tokens[0])


def _box(kind: str, *parts: Any) -> Any:
    box = ipywidgets.HBox(parts) if kind == "kp-wrap" else ipywidgets.VBox(parts)
    box.add_class(kind)
    return box
