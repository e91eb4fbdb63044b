"""``df.kite.…`` and ``lf.kite.…``: the same functions where tab completion finds them.

Registered when `kitepolars.analytics` is imported; pure, any thread.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic

import polars as pl

from kitepolars.analytics import technical
from kitepolars.analytics.bars import Clock, Hours
from kitepolars.analytics.book import depth
from kitepolars.analytics.candles import candles
from kitepolars.analytics.columns import Frame, require, schema_of
from kitepolars.analytics.display import FormattedFrame, flat, show
from kitepolars.analytics.indicators import INDICATORS
from kitepolars.analytics.market import latest, movers
from kitepolars.analytics.technical import volume_profile
from kitepolars.analytics.technical.indicator import TOKEN_COLUMN

__all__ = ["KiteNamespace"]


class KiteNamespace(Generic[Frame]):
    """Analytics of a frame of ticks.

    `candles`, `latest`, `movers`, `depth` and `volume_profile` return a new frame. The others, the
    indicators, return the frame with one column more, of the function's name, or several that begin
    with it, computed within each instrument.

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
        """Return candles of the ticks: `kitepolars.candles`.

        Parameters
        ----------
        every, on, include_partial, fill, hours
            As for `kitepolars.candles`.

        Returns
        -------
        DataFrame or LazyFrame
            The columns of `kitepolars.CANDLES`, one row per bar and instrument; lazy if the frame
            is.

        Raises
        ------
        ConfigError
            If a parameter is out of range, or the frame lacks a column.
        """
        return candles(
            self._frame, every, on=on, include_partial=include_partial, fill=fill, hours=hours
        )

    def latest(self, *, now: dt.datetime | None = None) -> Frame:
        """Return the last tick of each instrument: `kitepolars.latest`.

        Parameters
        ----------
        now
            The time that ``staleness`` counts to, with a time zone.

        Returns
        -------
        DataFrame or LazyFrame
            One row per instrument, with the columns of `kitepolars.latest`; lazy if the frame is.

        Raises
        ------
        ConfigError
            If `now` has no time zone, or the frame lacks a column.
        """
        return latest(self._frame, now=now)

    def movers(self, n: int = 10) -> Frame:
        """Return the instruments that rose and fell most: `kitepolars.movers`.

        Parameters
        ----------
        n
            The number of instruments of each kind, 1 and up.

        Returns
        -------
        DataFrame or LazyFrame
            At most `n` gains and `n` losses, with the columns of `kitepolars.movers`; lazy if the
            frame is.

        Raises
        ------
        ConfigError
            If `n` is not a positive whole number, or the frame lacks a column.
        """
        return movers(self._frame, n)

    def depth(self, instrument: int | str | None = None) -> pl.DataFrame:
        """Return the order book of an instrument's last tick, ten rows: `kitepolars.depth`.

        Parameters
        ----------
        instrument
            A token or a symbol; may be left out when the frame has one instrument.

        Returns
        -------
        polars.DataFrame
            The columns of `kitepolars.analytics.DEPTH`; prices in rupees.

        Raises
        ------
        UnknownInstrument
            If no tick of it is in the frame.
        ConfigError
            If it has no book, the frame has several instruments and none is given, or a column is
            missing.
        """
        return depth(self._frame, instrument)

    def volume_profile(self, levels: int = 24, *, value_area: float = 0.7) -> Frame:
        """Return how much was traded at which prices: `kitepolars.indicators.volume_profile`.

        Parameters
        ----------
        levels
            Number of levels, 1 to 1,000.
        value_area
            The share of the volume that the value area has at least, above 0 and at most 1.

        Returns
        -------
        DataFrame or LazyFrame
            The columns of `kitepolars.indicators.VOLUME_PROFILE`; lazy if the frame is.

        Raises
        ------
        ConfigError
            If a parameter is out of range, or the frame lacks a column.
        """
        return volume_profile(self._frame, levels, value_area=value_area)

    def flat(self) -> Frame:
        """Return the frame for CSV files and spreadsheets: `kitepolars.analytics.flat`.

        Returns
        -------
        DataFrame or LazyFrame
            One column per level of the order book instead of arrays; lazy if the frame is.

        Raises
        ------
        ConfigError
            If it is not a DataFrame or LazyFrame of Polars.
        """
        return flat(self._frame)

    def show(self, columns: Sequence[str] | None = None, *, rows: int = 20) -> FormattedFrame:
        """Format the frame for display: `kitepolars.analytics.show`.

        Parameters
        ----------
        columns
            Those to show; the usual ones of the kind of frame by default.
        rows
            The most rows shown, 1 and up.

        Returns
        -------
        FormattedFrame
            Shown as a table by a notebook, as text by `print`.

        Raises
        ------
        ConfigError
            If a column does not exist, or `rows` is below 1.
        """
        return show(self._frame, columns, rows=rows)


_PARAMETERS: Final = re.compile(r"^Parameters\n-+\n(?:.+\n?)+", re.MULTILINE)
_RESULT: Final = """Returns
-------
DataFrame or LazyFrame
    The frame with its columns, as many rows; lazy if the frame is.

Raises
------
ConfigError
    If a parameter is out of range, or the frame lacks a column."""
"""What the methods of indicators return and raise."""


def _method(function: Callable[..., pl.Expr], *, within_instrument: bool) -> Callable[..., Any]:
    """Return the method that adds an indicator to a frame."""
    space = "kitepolars.indicators" if hasattr(technical, function.__name__) else "kitepolars"
    name, parameters = function.__name__, inspect.signature(function).parameters.values()

    def method(self: KiteNamespace[Any], *args: Any, **keywords: Any) -> Any:
        expr = function(*args, **keywords)
        columns = sorted(set(expr.meta.root_names()))
        if within_instrument:
            columns, expr = [TOKEN_COLUMN, *columns], expr.over(TOKEN_COLUMN)
        frame = self._frame
        require(frame, columns, name)
        added = frame.with_columns(expr)
        return added.unnest(name) if schema_of(added)[name] == pl.Struct else added

    method.__name__, method.__qualname__ = name, f"{KiteNamespace.__name__}.{name}"
    doc = inspect.getdoc(function) or ""
    summary = doc.partition("\n")[0].replace("Return", "Add", 1).removesuffix(".")
    described = _PARAMETERS.search(doc)
    parts = [f"{summary}: `{space}.{name}`.", described[0] if described else "", _RESULT]
    method.__doc__ = "\n\n".join(parts)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
    return method


for _name, (_function, _within) in INDICATORS.items():
    setattr(KiteNamespace, _name, _method(_function, within_instrument=_within))

if not hasattr(pl.DataFrame, "kite"):  # loading the module anew is no reason for a warning
    pl.api.register_dataframe_namespace("kite")(KiteNamespace)
    pl.api.register_lazyframe_namespace("kite")(KiteNamespace)
