"""``df.kite.…`` and ``lf.kite.…``: the same functions where tab completion finds them.

Registered when `kitepolars.analytics` is imported; pure, any thread.
"""

from __future__ import annotations

import datetime as dt
from typing import Generic

import polars as pl

from kitepolars.analytics import book, ticks
from kitepolars.analytics.book import depth
from kitepolars.analytics.candles import candles
from kitepolars.analytics.columns import Frame, require
from kitepolars.analytics.engine import Clock, Hours
from kitepolars.analytics.market import latest, movers
from kitepolars.wire.layouts import DEPTH_LEVELS

__all__ = ["KiteNamespace"]

_TOKEN = ("instrument_token",)
_BOOK = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")


class KiteNamespace(Generic[Frame]):
    """Analytics of a frame of ticks.

    `candles`, `latest`, `movers` and `depth` return a new frame. The others return the frame
    with one column more, of the function's name, computed within each instrument.

    Parameters
    ----------
    frame
        A DataFrame or LazyFrame of ticks in arrival order.

    Examples
    --------
    >>> import polars as pl
    >>> import kitepolars.analytics
    >>> ticks = pl.DataFrame({"instrument_token": [1, 1], "volume_traded": [100, 130]})
    >>> ticks.kite.volume_delta()["volume_delta"].to_list()
    [None, 30]
    """

    def __init__(self, frame: Frame) -> None:
        self._frame: Frame = frame

    def candles(
        self,
        every: str | dt.timedelta,
        *,
        on: Clock = "exchange_timestamp",
        include_partial: bool = True,
        fill: bool = False,
        hours: Hours = "exchange",
    ) -> Frame:
        """Make bars of the ticks: `kitepolars.candles`."""
        return candles(
            self._frame, every, on=on, include_partial=include_partial, fill=fill, hours=hours
        )

    def latest(self, *, now: dt.datetime | None = None) -> Frame:
        """Return the last tick of each instrument: `kitepolars.latest`."""
        return latest(self._frame, now=now)

    def movers(self, n: int = 10) -> Frame:
        """Return who rose and who fell most: `kitepolars.movers`."""
        return movers(self._frame, n)

    def depth(self, instrument: int | str | None = None) -> pl.DataFrame:
        """Return the order book of an instrument's last tick, ten rows: `kitepolars.depth`."""
        return depth(self._frame, instrument)

    def spread(self) -> Frame:
        """Add the best ask less the best bid: `kitepolars.spread`."""
        return self._with(book.spread(), _BOOK)

    def mid(self) -> Frame:
        """Add the middle of the best prices: `kitepolars.mid`."""
        return self._with(book.mid(), _BOOK)

    def microprice(self) -> Frame:
        """Add the middle drawn to the thinner side: `kitepolars.microprice`."""
        return self._with(book.microprice(), _BOOK)

    def imbalance(self, levels: int = DEPTH_LEVELS) -> Frame:
        """Add how far the book leans to the bids: `kitepolars.imbalance`."""
        return self._with(book.imbalance(levels), _BOOK)

    def depth_weighted_price(self, levels: int = DEPTH_LEVELS) -> Frame:
        """Add the average price in the book: `kitepolars.depth_weighted_price`."""
        return self._with(book.depth_weighted_price(levels), _BOOK)

    def change(self) -> Frame:
        """Add the percent to the previous close: `kitepolars.change`."""
        return self._with(ticks.change(), ("last_price", "close"))

    def volume_delta(self) -> Frame:
        """Add the volume since the instrument's tick before: `kitepolars.volume_delta`."""
        return self._within(ticks.volume_delta(), ("volume_traded",))

    def vwap(self) -> Frame:
        """Add the volume-weighted price since the first tick: `kitepolars.vwap`."""
        return self._within(ticks.vwap(), ("last_price", "volume_traded"))

    def returns(self, *, log: bool = False) -> Frame:
        """Add the relative change since the tick before: `kitepolars.returns`."""
        return self._within(ticks.returns(log=log), ("last_price",))

    def realised_volatility(
        self, window: str | dt.timedelta = "5m", *, on: str = "received_at"
    ) -> Frame:
        """Add the realised volatility of the window before: `kitepolars.realised_volatility`."""
        return self._within(ticks.realised_volatility(window, on=on), ("last_price", on))

    def _with(self, expr: pl.Expr, names: tuple[str, ...]) -> Frame:
        require(self._frame, names, expr.meta.output_name())
        return self._frame.with_columns(expr)

    def _within(self, expr: pl.Expr, names: tuple[str, ...]) -> Frame:
        return self._with(expr.over(*_TOKEN), (*_TOKEN, *names))


if not hasattr(pl.DataFrame, "kite"):  # loading the module anew is no reason for a warning
    pl.api.register_dataframe_namespace("kite")(KiteNamespace)
    pl.api.register_lazyframe_namespace("kite")(KiteNamespace)
