"""What a ticker answers: DataFrames and counters of this moment. Any thread.

Each answer is made of an immutable snapshot, in the calling thread.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import polars as pl

from kitepolars.analytics import Clock, FormattedFrame, Hours, depth, movers, show
from kitepolars.analytics.market import with_market
from kitepolars.analytics.technical import Indicator
from kitepolars.calendar import in_india
from kitepolars.errors import UnknownInstrument
from kitepolars.feed.limits import Limits
from kitepolars.frames.held import Held
from kitepolars.instruments import Instrument, Instruments, SomeInstruments
from kitepolars.options import MAX_AGE, ListedChain, join_chain, listed_chain
from kitepolars.tables import (
    connections_frame,
    events_frame,
    gaps_frame,
    orders_frame,
    subscriptions_frame,
)
from kitepolars.ticker.kept_candles import KeptCandles
from kitepolars.ticker.runtime import Runtime
from kitepolars.ticker.stats import Stats
from kitepolars.ticker.summary import ticker_html
from kitepolars.wire.layouts import Mode

_CHAINS_KEPT: Final = 64
"""Option chains whose instruments are cached; a user watches few."""


@dataclass(frozen=True, slots=True)
class _NamedSubscriptions:
    """The frame of subscriptions, and the objects that it was made of."""

    subscriptions: Mapping[int, tuple[Mode, int | None]]
    instruments: Instruments
    frame: pl.DataFrame


class TickerAnswers:
    """The methods of `Ticker` that return DataFrames and counters, and change nothing.

    Parameters
    ----------
    runtime
        The ticker's parts.
    instruments
        The instruments known by name.
    limits
        What Kite allows per account.
    """

    hours: Hours = "exchange"

    def __init__(self, runtime: Runtime, instruments: Instruments, limits: Limits) -> None:
        self._runtime = runtime
        self._limits = limits
        self._candles = KeptCandles(runtime)
        self._find_chain = lru_cache(_CHAINS_KEPT)(listed_chain)
        self._named: _NamedSubscriptions | None = None
        self.instruments = instruments

    @property
    def is_running(self) -> bool:
        """Whether the feed runs: after `start()`, until `stop()`."""
        return self._runtime.is_running

    @property
    def instruments(self) -> Instruments:
        """The instruments known by name. Another list may be assigned; ticks keep their names."""
        return self._instruments

    @instruments.setter
    def instruments(self, instruments: Instruments) -> None:
        self._instruments = instruments
        name = self._runtime.store.name_instruments
        self._runtime.flushed(lambda: name(lambda tokens: instruments.symbols(tokens).to_list()))

    def _held(self) -> Held:
        """Decode what waits, and return the immutable state behind `frame`; for views."""
        return self._runtime.held()

    def _now(self) -> dt.datetime:
        """Return the source's time."""
        return in_india(self._runtime.source.now())

    # -- ticks ----------------------------------------------------------------------------

    def frame(self) -> pl.DataFrame:
        """Return every tick held, in arrival order, up to now.

        No data is copied, so the call costs the same after ten million ticks as after ten
        thousand. The returned frame never changes.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.frames.schema.SCHEMA`: prices in rupees, quantities in
            units, times in Asia/Kolkata; null where the mode does not carry the field.
        """
        return self._held().frame()

    def lazy(self) -> pl.LazyFrame:
        """Return the same as `frame`, as a LazyFrame.

        Returns
        -------
        polars.LazyFrame
            The columns of `frame`; over the rows held at the time of the call.
        """
        return self.frame().lazy()

    def latest(self) -> pl.DataFrame:
        """Return the last tick of each instrument. The cost does not depend on the history.

        Returns
        -------
        polars.DataFrame
            ``instrument_token``, ``symbol``, ``last_price``, ``change`` (percent to the previous
            close), ``range_position`` (0 at the day's low, 1 at its high), ``staleness`` (the
            time since the tick arrived), then the other columns of `frame`, as `kp.latest` orders
            them; in the order in which instruments were first subscribed.
        """
        return with_market(self._held().latest(), now=self._now())

    def movers(self, n: int = 10) -> pl.DataFrame:
        """Return the instruments that rose most and those that fell most since the last close.

        Parameters
        ----------
        n
            The most of each, 1 and up.

        Returns
        -------
        polars.DataFrame
            ``mover`` ("gainer" or "loser"), ``rank`` (1 is the strongest), ``instrument_token``,
            ``symbol``, ``last_price`` (rupees), ``change`` (percent); at most `n` rows of each.

        Raises
        ------
        ConfigError
            If `n` is not a positive whole number.
        """
        return movers(self.latest(), n)

    def show(
        self,
        instruments: SomeInstruments | None = None,
        columns: Sequence[str] | None = None,
        *,
        rows: int = 20,
    ) -> FormattedFrame:
        """Return the last tick of each instrument as a trader reads it, for notebook or terminal.

        Parameters
        ----------
        instruments
            Names or tokens; whatever has ticks by default.
        columns
            Columns of `latest`, and ``name``, ``bid`` or ``ask``; the usual ones by default.
        rows
            The most rows shown, 1 and up.

        Returns
        -------
        FormattedFrame
            Shown as a table by a notebook, as text by `print`.

        Raises
        ------
        UnknownInstrument
            If a name is unknown.
        ConfigError
            If a column does not exist, or `rows` is below 1.

        Examples
        --------
        >>> import kitepolars as kp
        >>> with kp.demo(instruments=["NSE:INFY"]) as ticker:
        ...     print(ticker.wait(rows=1, timeout=60))
        ...     print(str(ticker.show(columns=["name", "symbol"])))
        True
        Name  Symbol
        INFY  NSE:INFY
        """
        latest = self.latest()
        if instruments is not None:
            tokens = self._instruments.tokens(instruments)
            latest = latest.filter(pl.col("instrument_token").is_in(tokens))
        names = self._instruments.labels(latest["instrument_token"]).alias("name")
        return show(latest.with_columns(names), columns, rows=rows)

    def depth(self, instrument: Instrument) -> pl.DataFrame:
        """Return the order book of an instrument's last tick: five bids, five asks, best first.

        Parameters
        ----------
        instrument
            A name such as ``"NSE:INFY"`` or a token.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.DEPTH`; prices in rupees.

        Raises
        ------
        UnknownInstrument
            When there is no such instrument, or no tick of it yet.
        ConfigError
            When it has no book: an index, or not in full mode.
        """
        token = self._instruments.resolve(instrument)
        ticks = self._held().latest()
        if token not in ticks["instrument_token"]:
            hint = "There is no tick of it yet: subscribe it in full mode, or wait for the first."
            raise UnknownInstrument(str(instrument), hint=hint)
        return depth(ticks, token)

    def candles(
        self,
        every: str | dt.timedelta = "1m",
        instruments: SomeInstruments | None = None,
        *,
        on: Clock = "exchange_timestamp",
        include_partial: bool = True,
        fill: bool = False,
        indicators: Sequence[Indicator] = (),
    ) -> pl.DataFrame:
        """Return open, high, low, close and volume of intervals, aligned to the session.

        A further call costs the ticks since the last one, not the day. Once an interval has been
        requested, it does not depend on the retention: its bars are updated before ticks are
        dropped. If it is first requested after ticks were dropped, `events` has the time from
        which its bars are complete; earlier ones have ``is_partial``.

        Parameters
        ----------
        every
            ``"1s"`` to ``"1d"``, or a `datetime.timedelta`.
        instruments
            Only these; all by default.
        on
            The clock that cuts the bars: ``"exchange_timestamp"`` or ``"received_at"``.
        include_partial
            Whether to include bars that are not over yet.
        fill
            Whether to put flat bars where nothing traded.
        indicators
            Indicators of `kitepolars.indicators`, such as ``kp.indicators.rsi(14)``, to add as
            columns. A further call with the same ones costs the new bars.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.CANDLES`; prices in rupees, ``start`` in
            Asia/Kolkata; then those of the indicators.

        Raises
        ------
        ConfigError
            If the interval or the clock is invalid, or one of `indicators` is no indicator.
        """
        tokens = None if instruments is None else self.instruments.tokens(instruments)
        frame = self._candles.frame(
            every,
            on,
            self.hours,
            include_partial=include_partial,
            fill=fill,
            indicators=indicators,
        )
        return frame if tokens is None else frame.filter(pl.col("instrument_token").is_in(tokens))

    def option_chain(
        self,
        underlying: str,
        expiry: dt.date | str | None = None,
        *,
        strikes: int | None = 10,
        exchange: str | None = None,
        rate: float = 0.0,
        forward: float | None = None,
        max_age: dt.timedelta = MAX_AGE,
    ) -> pl.DataFrame:
        """Return calls and puts side by side around the money, with live quotes and greeks.

        Subscribe the chain first, in full mode, which has the order book:
        ``ticker.subscribe(ticker.instruments.option_chain("NIFTY"), mode="full")``. Contracts
        without a tick have nulls; a chain of which nothing is subscribed says so in a warning.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, ``"CRUDEOIL"``, …
        expiry
            A date or YYYY-MM-DD; the nearest by default.
        strikes
            Strikes on each side of the money, 0 and up; None for all. The money is the forward
            or, while that is unknown, the price of the live index, share or nearest future.
        exchange
            Where, if the options are listed on several.
        rate
            Annual interest rate, continuously compounded, as a fraction: 0.065 for 6.5 %.
        forward
            The forward in rupees, above 0, instead of the one that the quotes imply.
        max_age
            The age above which a quote or a trade is stale.

        Returns
        -------
        polars.DataFrame
            As `kitepolars.options.join_chain`, which says how options are valued.

        Raises
        ------
        UnknownInstrument
            When there are no options on it.
        ConfigError
            When none expires on that day.
        """
        found = self._chain(
            underlying,
            expiry,
            strikes=strikes,
            exchange=exchange,
            rate=rate,
            forward=forward,
            max_age=max_age,
        )
        self._warn_if_blank(*found)
        return found[2]

    def _chain(
        self,
        underlying: str,
        expiry: dt.date | str | None,
        *,
        strikes: int | None = None,
        exchange: str | None = None,
        rate: float = 0.0,
        forward: float | None = None,
        max_age: dt.timedelta = MAX_AGE,
    ) -> tuple[ListedChain, pl.DataFrame, pl.DataFrame]:
        """Return what is listed of a chain, the latest ticks, and both together."""
        listed = self._listed_chain(underlying, expiry, exchange=exchange)
        ticks = self._held().latest()
        live = join_chain(
            listed.contracts,
            ticks,
            forward=forward,
            rate=rate,
            strikes=strikes,
            max_age=max_age,
            future=listed.future,
            references=listed.references,
        )
        return listed, ticks, live

    def _warn_if_blank(self, listed: ListedChain, ticks: pl.DataFrame, live: pl.DataFrame) -> None:
        """Warn when nothing of a chain is subscribed."""
        is_blank = not (live["call_last_price"].count() or live["put_last_price"].count())
        if is_blank and not any(map(listed.has_any, (ticks, self.subscriptions()))):
            advice = f"no contract of this chain is subscribed: {listed.how_to_subscribe}"
            warnings.warn(advice, stacklevel=3)

    def _listed_chain(
        self, underlying: str, expiry: dt.date | str | None, *, exchange: str | None
    ) -> ListedChain:
        """Return the instruments of a chain as of the source's day; for views."""
        today = self._now().date()
        return self._find_chain(self._instruments, underlying, expiry, exchange, today)

    # -- the state of things --------------------------------------------------------------

    def subscriptions(self) -> pl.DataFrame:
        """Return one row per instrument: token, symbol, mode, connection.

        Returns
        -------
        polars.DataFrame
            ``instrument_token``, ``symbol`` (null if not known), ``mode`` (as requested),
            ``connection`` (its index; null until one is assigned).
        """
        runtime, instruments = self._runtime, self._instruments
        named = self._named
        subscriptions = runtime.call(runtime.ledger.connections.subscriptions)
        if (
            named is None
            or named.subscriptions is not subscriptions
            or named.instruments is not instruments
        ):
            frame = subscriptions_frame(subscriptions, instruments.symbols(list(subscriptions)))
            named = self._named = _NamedSubscriptions(subscriptions, instruments, frame)
        return named.frame.clone()  # its columns are shared; what is done to it is the caller's

    def connections(self) -> pl.DataFrame:
        """Return one row per connection: state, instruments, messages, bytes, reconnects.

        Returns
        -------
        polars.DataFrame
            ``connection``, ``account``, ``state``, ``instruments`` and ``capacity``, ``messages``
            and ``bytes`` received, ``last_message_at``, ``reconnects``, ``since``; times in
            Asia/Kolkata.
        """
        statuses = self._runtime.call(self._runtime.ledger.connections.snapshot)
        return connections_frame(statuses, self._limits.instruments_per_connection)

    def orders(self, *, latest: bool = False) -> pl.DataFrame:
        """Return one row per distinct order update, times in IST, prices in rupees.

        Parameters
        ----------
        latest
            Return one row per order instead: its most advanced update, in whatever order the
            updates arrived.

        Returns
        -------
        polars.DataFrame
            ``received_at``, then the fields of Kite's order updates; fields without a column are in
            ``other``, as JSON.
        """
        return orders_frame(self._runtime.call(self._runtime.ledger.orders.snapshot), latest=latest)

    def events(self) -> pl.DataFrame:
        """Return what happened besides ticks: errors, alerts, rejections, reconnects.

        Returns
        -------
        polars.DataFrame
            ``at`` (Asia/Kolkata), ``connection`` (null if not about one), ``kind``, ``detail``; the
            oldest first, the last 10,000.
        """
        return events_frame(self._runtime.flushed(self._runtime.ledger.events.snapshot))

    def gaps(self) -> pl.DataFrame:
        """Return the gaps in the data, open ones included.

        Returns
        -------
        polars.DataFrame
            ``account``, ``started_at`` and ``ended_at`` (Asia/Kolkata; null while open),
            ``reason``, ``instruments`` affected, ``waiting`` (those still without a packet).
        """
        return gaps_frame(self._runtime.flushed(self._runtime.ledger.gaps.snapshot))

    def stats(self) -> Stats:
        """Return the counters of this moment.

        Returns
        -------
        Stats
            Counters of this moment; it does not change afterwards.
        """
        return self._runtime.stats()

    def __repr__(self) -> str:
        """Say how things stand in one line."""
        if not hasattr(self, "_runtime"):  # the constructor raised, and a traceback shows it
            return f"<{type(self).__name__}: not made>"
        stats = self.stats()
        state = f"{stats.connected} connections" if self.is_running else "stopped"
        parts = [state, f"{stats.instruments:,} instruments", f"{stats.ticks:,} ticks"]
        parts += [f"{count:,} {name}" for name, count in stats.losses.items() if count]
        parts += [stats.history.warning] if stats.history.warning else []
        return f"<Ticker: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show how things stand, with a row for each connection."""
        stats = self.stats()
        return ticker_html(
            at=self._now(),
            is_running=self.is_running,
            figures={
                "instruments": stats.instruments,
                "ticks": stats.ticks,
                "rows held": stats.rows,
            },
            losses=stats.losses,
            warning=stats.history.warning,
            connections=self.connections(),
        )
