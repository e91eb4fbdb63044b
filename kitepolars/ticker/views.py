"""The façade's widgets and pictures of itself. Each widget's module is imported on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitepolars.ticker.analysis import Analysis

if TYPE_CHECKING:
    from kitepolars.widgets import Chart, Controls, Dashboard, Ladder, LiveTable, Monitor


class Views(Analysis):
    """What a `Ticker` shows in a notebook. Keyword arguments are those of the widget."""

    def controls(self, **settings: Any) -> Controls:
        """Return the subscription panel: search, add, change mode, remove, undo, start, stop."""
        from kitepolars.widgets import Controls  # noqa: PLC0415 - widgets are loaded on use

        return Controls(self, **settings)

    def watch(self, instruments: Any = None, **settings: Any) -> LiveTable:
        """Return a live table of the latest values.

        Parameters
        ----------
        instruments
            Names or tokens; whatever is subscribed by default.
        settings
            Such as ``columns``; see `kitepolars.widgets.LiveTable`.
        """
        from kitepolars.widgets import LiveTable  # noqa: PLC0415 - widgets are loaded on use

        return LiveTable(self, instruments, **settings)

    def chart(self, instrument: str | int, every: str = "1m", **settings: Any) -> Chart:
        """Return live candles with volume.

        Parameters
        ----------
        instrument
            A name or a token.
        every
            The interval of a bar.
        settings
            Such as ``history``; see `kitepolars.widgets.Chart`.
        """
        from kitepolars.widgets import Chart  # noqa: PLC0415 - widgets are loaded on use

        return Chart(self, instrument, every=every, **settings)

    def ladder(self, instrument: str | int, **settings: Any) -> Ladder:
        """Return the five-level order book of an instrument, live."""
        from kitepolars.widgets import Ladder  # noqa: PLC0415 - widgets are loaded on use

        return Ladder(self, instrument, **settings)

    def monitor(self, **settings: Any) -> Monitor:
        """Return the health of the feed: connections, rates, losses, gaps, events."""
        from kitepolars.widgets import Monitor  # noqa: PLC0415 - widgets are loaded on use

        return Monitor(self, **settings)

    def dashboard(self, instrument: str | int | None = None, **settings: Any) -> Dashboard:
        """Return all of them together, in one cell.

        Parameters
        ----------
        instrument
            What the chart and the ladder show first; the first subscribed by default.
        settings
            See `kitepolars.widgets.Dashboard`.
        """
        from kitepolars.widgets import Dashboard  # noqa: PLC0415 - widgets are loaded on use

        return Dashboard(self, instrument, **settings)
