"""What a ticker watches: alerts on ticks, candles and option chains. Any thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import polars as pl

from kitepolars.alerting.conditions import Condition
from kitepolars.alerting.rows import FiredAlert, FiredAlerts
from kitepolars.alerting.rules import Rule
from kitepolars.alerting.sources import BarSource, ChainSource, TickSource
from kitepolars.analytics import Clock
from kitepolars.analytics.bars import parse_interval
from kitepolars.analytics.technical import Indicator
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.instruments import SomeInstruments
from kitepolars.source import LiveSource
from kitepolars.ticker.alert import Alert
from kitepolars.ticker.answers import TickerAnswers
from kitepolars.ticker.callbacks import Callbacks
from kitepolars.ticker.watched import WatchedAlerts

_NAMED: Final = 3
"""Instruments that the default name of an alert begins with."""

F = TypeVar("F", bound=Callable[..., object])


class TickerAlerts(TickerAnswers):
    """The methods of `Ticker` for alerts.

    Its parts are made by `Ticker`.
    """

    _alerts: WatchedAlerts
    _callbacks: Callbacks

    def alert(
        self,
        condition: Condition,
        *,
        name: str | None = None,
        instruments: SomeInstruments | None = None,
        lasting: str | float | dt.timedelta | None = None,
        cooldown: str | float | dt.timedelta | None = None,
        once: bool = False,
        snapshots: bool = False,
        every: str | dt.timedelta | None = None,
        indicators: Sequence[Indicator] = (),
        on: Clock = "exchange_timestamp",
        chain: str | None = None,
        expiry: dt.date | str | None = None,
        notify: Callable[[FiredAlert], object] | None = None,
    ) -> Alert:
        """Watch a condition: on new ticks, on finished candles, or on an option chain.

        It fires for an instrument when the condition becomes true, and again after it was false.
        All conditions are evaluated together, on a separate thread that each flush wakes, so
        neither the feed nor the calling cell waits; `kitepolars.alerts` says when the same alert
        would have fired in a frame. On a replay it fires at the same ticks each time.

        Parameters
        ----------
        condition
            An expression over a row that is true or false, such as ``kp.change() > 2``, or
            `kitepolars.crosses`. A null is neither: nothing changes.
        name
            Its name; by default the condition's text, after the instruments if some are named. An
            alert of the same name is replaced, as when a notebook's cell is run again.
        instruments
            Names or tokens; all by default.
        lasting
            How long the condition has to hold: ``"30s"``, seconds, or a timedelta. It fires at the
            first tick of the instrument after that.
        cooldown
            How long after it fired the same instrument does not fire again, by the ticks' time.
        once
            Whether an instrument fires once only.
        snapshots
            Whether cached values (``is_snapshot``) count.
        every
            Evaluates the candles of this interval, with the columns of `candles`, when they are
            finished; they are looked at once a second.
        indicators
            With `every`, indicators of `kitepolars.indicators` to add as columns.
        on
            With `every`, the clock that cuts the candles.
        chain
            Evaluates each strike of the option chain of this underlying, with the columns of
            `option_chain`, once a second.
        expiry
            With `chain`, a date or YYYY-MM-DD; the nearest by default.
        notify
            Called with each `FiredAlert` on its own thread, such as
            `kitepolars.Webhook`. `on_alert` is for all alerts.

        Returns
        -------
        Alert
            To snooze or to remove it.

        Raises
        ------
        ConfigError
            If the condition names columns that are not there, is not true or false, or needs
            other rows than its own; if a duration is impossible; if `every` and `chain` are given.
        UnknownInstrument
            If a name is unknown.

        Examples
        --------
        >>> import kitepolars as kp
        >>> ticker = kp.sample(speed=None)
        >>> alert = ticker.alert(kp.crosses("last_price", 1422, "up"), instruments="NSE:RELIANCE")
        >>> _ = ticker.play(progress=False)
        >>> ticker.stop()
        >>> ticker.alerts()["symbol"].unique().to_list(), alert.fired > 0
        (['NSE:RELIANCE'], True)
        """
        tokens = None if instruments is None else self.instruments.tokens(instruments)
        if every is not None and chain is not None:
            both = "pass chain or every, not both: an alert watches a chain or candles"
            raise ConfigError("chain", chain, message=both)
        if every is None and indicators:
            no_bars = "indicators need every, the length of the bars they are computed of"
            raise ConfigError("indicators", indicators, message=no_bars)
        source: TickSource
        if every is not None:

            def bars() -> pl.DataFrame:
                return self.candles(every, on=on, indicators=indicators)

            source = BarSource(tokens, bars, parse_interval(every))
            schema = bars().schema
        elif chain is not None:
            source = ChainSource(lambda: self._chain(chain, expiry)[2], chain)
            found = self._chain(chain, expiry)
            schema = found[2].schema
            if isinstance(self._runtime.source, LiveSource):  # a recording has yet to begin
                self._warn_if_blank(*found)
        else:
            source, schema = TickSource(tokens, snapshots=snapshots), SCHEMA
        rule = Rule.make(
            condition,
            schema,
            name=name,
            lasting=lasting,
            cooldown=cooldown,
            once=once,
            about="" if tokens is None else self._about(tokens),
        )
        return Alert(self._alerts.add(rule, source, notify), self._alerts)

    def _about(self, tokens: Sequence[int]) -> str:
        """Return the first instruments of some by name, and the number of the others."""
        symbols = [self.instruments.symbol(token) or str(token) for token in tokens[:_NAMED]]
        more = [f"and {len(tokens) - _NAMED:,} more"] if len(tokens) > _NAMED else []
        return " ".join([", ".join(symbols), *more])

    def alerts(self) -> pl.DataFrame:
        """Return what fired, in order: one row for each time that an alert fired.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.ALERTS`; the last 100,000 rows. Times in Asia/Kolkata,
            prices in rupees.
        """
        return self._alerts.frame()

    def active_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that are set, the oldest first.

        Returns
        -------
        tuple of Alert
            Those that are set now; a snapshot.
        """
        return tuple(Alert(one, self._alerts) for one in self._alerts.active())

    def _fired_alerts(self, most: int) -> FiredAlerts:
        """Return the last of what fired so far; it evaluates nothing."""
        return self._alerts.newest(most)

    def on_alert(self, function: F) -> F:
        """Call a function each time that an alert fires, on its own thread.

        Parameters
        ----------
        function
            Takes one `FiredAlert`: ``fired_at``, ``name``, ``instrument_token``, ``symbol`` and
            ``price``. What it raises is reported in `events`; `off` ends it.

        Returns
        -------
        Callable
            `function` itself, so that it works as a decorator.
        """
        self._callbacks.on_item(function, self._alerts.listen)
        return function
