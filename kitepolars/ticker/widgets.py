"""The widgets as methods of a ticker: each returns a view of it. Any thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from kitepolars.instruments import SomeInstruments

if TYPE_CHECKING:
    from kitepolars.analytics.bars import OlderCandles
    from kitepolars.widgets import (
        AlertsPanel,
        Chart,
        Controls,
        Dashboard,
        DepthMap,
        Ladder,
        LiveTable,
        Monitor,
        OptionChain,
        TimeAndSales,
    )
    from kitepolars.widgets.reading import WatchedTicker


class TickerWidgets:
    """The methods of `Ticker` that return widgets; of a ticker they use its public methods.

    The widgets are imported when the first is asked for, because they are slow to load.
    """

    def controls(
        self: WatchedTicker, *, mode: str | None = None, watch_list: str = "watchlist.txt"
    ) -> Controls:
        """Return the subscription panel: search, add, change mode, remove, undo, start, stop.

        Parameters
        ----------
        mode
            The mode that is selected at first for new subscriptions; `default_mode` if None.
        watch_list
            The file name proposed for saving and loading.

        Returns
        -------
        Controls
            A widget; display it as the last line of a cell.
        """
        from kitepolars.widgets import Controls  # noqa: PLC0415 - loaded on use

        return Controls(self, mode=mode, watch_list=watch_list)

    def watch(
        self: WatchedTicker,
        instruments: SomeInstruments | None = None,
        *,
        columns: Sequence[str] | None = None,
        height: int = 360,
        stale_after: float = 30.0,
    ) -> LiveTable:
        """Return a live table of the latest values.

        Parameters
        ----------
        instruments
            Names or tokens; whatever is subscribed at the moment by default.
        columns
            Names from `kitepolars.widgets.columns.COLUMNS`; the usual ones by default.
        height
            Height of the rows' area in pixels.
        stale_after
            Seconds without a tick after which a row turns grey, above 0.

        Returns
        -------
        LiveTable
            A widget that refreshes four times a second while it is displayed.

        Raises
        ------
        ConfigError
            If a column is unknown, or `stale_after` is not positive.
        UnknownInstrument
            If a name is unknown.
        """
        from kitepolars.widgets import LiveTable  # noqa: PLC0415 - loaded on use

        return LiveTable(self, instruments, columns=columns, height=height, stale_after=stale_after)

    def chart(
        self: WatchedTicker,
        instrument: str | int,
        every: str = "1m",
        *,
        history: pl.DataFrame | OlderCandles | None = None,
        studies: Sequence[str] = (),
        height: int = 340,
    ) -> Chart:
        """Return live candles with volume, indicators, orders, fills and gaps.

        Parameters
        ----------
        instrument
            A name or a token.
        every
            The interval of a bar: 1s, 5s, 15s, 1m, 3m, 5m, 15m, 30m, 1h or 1d.
        history
            Older candles of this interval with the columns of `candles`, for example from
            `kp.historical`; or a function that returns them, given the token, the interval and
            the time before which they are wanted, when the chart is scrolled to its beginning.
            By default the days that the ticker's recorder publishes (`kp.recorded_candles`), then
            Kite's history of its first account (`kp.historical_candles`), if it has them.
        studies
            Indicators, such as ``["ema(20)", "rsi"]``. By default those last chosen in this
            browser.
        height
            Height of the chart in pixels.

        Returns
        -------
        Chart
            A widget that refreshes while it is displayed.

        Raises
        ------
        ConfigError
            If the interval is not one of these, the history lacks a column, or a study is invalid.
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Chart  # noqa: PLC0415 - loaded on use

        return Chart(self, instrument, every=every, history=history, studies=studies, height=height)

    def ladder(self: WatchedTicker, instrument: str | int) -> Ladder:
        """Return the five-level order book of an instrument, live.

        Parameters
        ----------
        instrument
            A name or a token. The book needs mode full, which the widget offers to subscribe.

        Returns
        -------
        Ladder
            A widget that refreshes while it is displayed.

        Raises
        ------
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Ladder  # noqa: PLC0415 - loaded on use

        return Ladder(self, instrument)

    def tape(self: WatchedTicker, instrument: str | int, *, height: int = 320) -> TimeAndSales:
        """Return time and sales of an instrument, live: what traded between its ticks.

        Parameters
        ----------
        instrument
            A name or a token. Sides need mode full, which the widget offers to subscribe.
        height
            Height of the rows in pixels.

        Returns
        -------
        TimeAndSales
            A widget that refreshes while it is displayed.

        Raises
        ------
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import TimeAndSales  # noqa: PLC0415 - loaded on use

        return TimeAndSales(self, instrument, height=height)

    def depth_map(self: WatchedTicker, instrument: str | int, *, height: int = 320) -> DepthMap:
        """Return the order book of an instrument through time, live, as a heat map.

        Parameters
        ----------
        instrument
            A name or a token; its ticks in mode full are drawn.
        height
            Height in pixels.

        Returns
        -------
        DepthMap
            A widget that refreshes while it is displayed.

        Raises
        ------
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import DepthMap  # noqa: PLC0415 - loaded on use

        return DepthMap(self, instrument, height=height)

    def chain(
        self: WatchedTicker,
        underlying: str,
        expiry: dt.date | str | None = None,
        *,
        strikes: int | None = 12,
        exchange: str | None = None,
        rate: float = 0.0,
        height: int = 560,
    ) -> OptionChain:
        """Return the live option chain: prices, volatilities, greeks and open interest by strike.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, ``"CRUDEOIL"``, …
        expiry
            A date or YYYY-MM-DD; the nearest by default.
        strikes
            How many strikes on each side of the money; None for all.
        exchange
            The exchange, if the options are listed on several.
        rate
            Annual interest rate, continuously compounded, as a fraction: 0.065 for 6.5 %.
        height
            Greatest height of the rows in pixels.

        Returns
        -------
        OptionChain
            A widget that refreshes while it is displayed.

        Raises
        ------
        UnknownInstrument
            If there are no options on the underlying.
        ConfigError
            If none expires on that day, or `strikes` is negative.
        """
        from kitepolars.widgets import OptionChain  # noqa: PLC0415 - loaded on use

        return OptionChain(
            self,
            underlying,
            expiry,
            strikes=strikes,
            exchange=exchange,
            rate=rate,
            height=height,
        )

    def alerts_panel(
        self: WatchedTicker, instrument: str | int | None = None, *, height: int = 168
    ) -> AlertsPanel:
        """Return the alerts by hand: set, snooze, remove; what fired, with a toast and a sound.

        Parameters
        ----------
        instrument
            What the form is about at first, a name or a token; what is selected in a table or a
            chain next, if None.
        height
            Greatest height of each of its two lists in pixels.

        Returns
        -------
        AlertsPanel
            A widget that refreshes four times a second while it is displayed.

        Raises
        ------
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import AlertsPanel  # noqa: PLC0415 - loaded on use

        return AlertsPanel(self, instrument, height=height)

    def monitor(self: WatchedTicker) -> Monitor:
        """Return the health of the feed: connections, rates, losses, gaps, events.

        Returns
        -------
        Monitor
            A widget that refreshes once a second while it is displayed.
        """
        from kitepolars.widgets import Monitor  # noqa: PLC0415 - loaded on use

        return Monitor(self)

    def dashboard(
        self: WatchedTicker,
        instrument: str | int | None = None,
        *,
        every: str = "1m",
        columns: Sequence[str] | None = None,
    ) -> Dashboard:
        """Return all widgets together, in one cell.

        Parameters
        ----------
        instrument
            What it shows first; the first subscribed instrument by default.
        every
            The chart's interval.
        columns
            The table's columns; the usual ones by default.

        Returns
        -------
        Dashboard
            A widget of widgets; its parts refresh while they are displayed.

        Raises
        ------
        ConfigError
            If nothing is subscribed and no instrument is given, or a setting is out of range.
        UnknownInstrument
            If the name is unknown.
        """
        from kitepolars.widgets import Dashboard  # noqa: PLC0415 - loaded on use

        return Dashboard(self, instrument, every=every, columns=columns)
