"""Frames as a trader prints them: Indian grouping, short times, chosen columns. Pure.

`show` is for the eye. What it returns has texts in it, so compute with the frame instead.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from kitepolars.analytics.columns import Frame, schema_of
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIMESTAMP

_OF_TICKS: Final = [
    *("name", "symbol", "last_price", "change", "bid", "ask"),
    *("volume_traded", "oi", "received_at"),
]
"""Columns of ticks that are shown by default; ``bid`` and ``ask`` are the best prices."""

_OF_A_SIDE: Final = ["oi", "volume", "iv", "bid", "ask", "last_price"]
_OF_CHAINS: Final = [
    *(f"call_{name}" for name in _OF_A_SIDE),
    "strike",
    *(f"put_{name}" for name in reversed(_OF_A_SIDE)),
]
"""Columns of an option chain that are shown by default: calls, strike, puts."""

_HEADINGS: Final = {
    "last_price": "Last",
    "volume_traded": "Volume",
    "received_at": "Received",
    "oi": "OI",
    "iv": "IV",
    "vwap": "VWAP",
}
_ZONE: Final = TIMESTAMP.time_zone or ""
_DECIMALS: Final = {"delta": 2, "gamma": 5, "theta": 2, "vega": 2, "years": 4}
_MISSING: Final = "–"
_MORE_DECIMALS: Final = 1e-6


@dataclass(frozen=True)
class FormattedFrame:
    """A table of texts, for notebooks and terminals.

    Parameters
    ----------
    headings
        The headings.
    rows
        The texts of each row.
    is_text
        Which columns are aligned to the left.
    shaded
        Which cells have a darker background: contracts in the money.
    hidden_rows
        Number of rows that are left out.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_text: Sequence[bool]
    shaded: frozenset[tuple[int, int]] = frozenset()
    hidden_rows: int = 0

    def __repr__(self) -> str:
        """Return the table as text."""
        table = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if left else cell.rjust(width)
                for cell, width, left in zip(row, widths, self.is_text, strict=True)
            ).rstrip()
            for row in table
        ]
        return "\n".join([*lines, *self._more()])

    def _repr_html_(self) -> str:
        head = "".join(self._cell("th", name, column) for column, name in enumerate(self.headings))
        body = "".join(
            "<tr>"
            + "".join(
                self._cell("td", text, column, shaded=(number, column) in self.shaded)
                for column, text in enumerate(row)
            )
            + "</tr>"
            for number, row in enumerate(self.rows)
        )
        more = "".join(f"<div>{escape(line)}</div>" for line in self._more())
        style = "font-variant-numeric:tabular-nums"
        return f'<table style="{style}"><thead><tr>{head}</tr></thead>{body}</table>{more}'

    def _cell(self, tag: str, text: str, column: int, *, shaded: bool = False) -> str:
        align = "left" if self.is_text[column] else "right"
        shade = ";background:rgb(128 128 128 / 16%)" if shaded else ""
        style = f"text-align:{align};white-space:nowrap{shade}"
        return f'<{tag} style="{style}">{escape(text)}</{tag}>'

    def _more(self) -> list[str]:
        return [f"… {_grouped(self.hidden_rows)} more rows"] if self.hidden_rows else []


def flat(frame: Frame) -> Frame:
    """Return a frame that CSV files and spreadsheets can hold: a column for each level.

    Parameters
    ----------
    frame
        Ticks, or any other frame of this package.

    Returns
    -------
    DataFrame or LazyFrame
        Array columns such as ``bid_price`` become ``bid_price_1`` … ``bid_price_5``, best first, in
        their place. Times are Indian, without a time zone, which spreadsheets do not have;
        durations are seconds.

    Raises
    ------
    ConfigError
        If it is no Polars frame.

    Examples
    --------
    >>> import polars as pl
    >>> ask = pl.Series("ask_price", [[10.0, 10.5]], dtype=pl.Array(pl.Float64, 2))
    >>> flat(ask.to_frame()).columns
    ['ask_price_1', 'ask_price_2']
    """
    columns = []
    for name, dtype in schema_of(frame).items():
        if isinstance(dtype, pl.Array):
            levels = range(dtype.size)
            columns += [
                pl.col(name).arr.get(level).alias(f"{name}_{level + 1}") for level in levels
            ]
        elif isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            columns.append(pl.col(name).dt.convert_time_zone(_ZONE).dt.replace_time_zone(None))
        elif isinstance(dtype, pl.Duration):
            columns.append(pl.col(name).dt.total_seconds(fractional=True))
        else:
            columns.append(pl.col(name))
    return frame.select(columns)


def show(
    frame: pl.DataFrame | pl.LazyFrame, columns: Sequence[str] | None = None, *, rows: int = 20
) -> FormattedFrame:
    """Format a frame for the eye.

    Prices have two decimals, or four where they need them; quantities and prices are grouped
    as in India; times are Indian, with the day only if there are several; percentages are
    signed. Of ticks and option chains the usual columns are shown, a chain as it is printed:
    calls, strike, puts, with what is in the money shaded.

    Parameters
    ----------
    frame
        Ticks, candles, an option chain, or any other frame of this package.
    columns
        The columns to show, in order; of ticks also ``bid`` and ``ask``.
    rows
        The largest number of rows shown, at least 1; an option chain is shown around the money.

    Returns
    -------
    FormattedFrame
        A table that notebooks and terminals display.

    Raises
    ------
    ConfigError
        If a column is not in the frame, or `rows` is below 1.

    Examples
    --------
    >>> import polars as pl
    >>> show(pl.DataFrame({"symbol": ["NSE:INFY"], "last_price": [1234567.5], "oi": [None]}))
    Symbol            Last  OI
    NSE:INFY  12,34,567.50   –
    """
    if rows < 1:
        raise ConfigError("rows", rows, "1 or more")
    whole = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    whole = whole.with_columns(
        pl.col(f"{side}_price").arr.first().alias(side)
        for side in ("bid", "ask")
        if isinstance(whole.schema.get(f"{side}_price"), pl.Array) and side not in whole.columns
    )
    whole = whole.with_columns(cs.datetime(time_zone="*").dt.convert_time_zone(_ZONE))
    names = _chosen(whole, columns)
    shown = _rows_around_the_money(whole, rows)
    formats = {name: _format(name, shown[name]) for name in names}
    return FormattedFrame(
        headings=[_heading(name, names) for name in names],
        rows=[
            [formats[name](value) for name, value in row.items()]
            for row in shown.select(names).iter_rows(named=True)
        ],
        is_text=[
            isinstance(shown.schema[name], pl.String | pl.Categorical | pl.Enum) for name in names
        ],
        shaded=_in_the_money(shown, names),
        hidden_rows=whole.height - shown.height,
    )


def _chosen(frame: pl.DataFrame, columns: Sequence[str] | None) -> list[str]:
    if columns is not None:
        if missing := [name for name in columns if name not in frame.columns]:
            raise ConfigError("columns", missing, f"names from {', '.join(frame.columns)}")
        return list(columns)
    if {"strike", "call_last_price"} <= set(frame.columns):
        return [name for name in _OF_CHAINS if name in frame.columns]
    if {"bid", "last_price"} <= set(frame.columns):
        return [name for name in _OF_TICKS if name in frame.columns]
    named = "symbol" in frame.columns
    return [
        name
        for name, dtype in frame.schema.items()
        if not dtype.is_nested() and not (named and name == "instrument_token")
    ]


def _rows_around_the_money(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Return the first rows, or those of an option chain around the forward."""
    if not {"strike", "forward"} <= set(frame.columns) or frame.height <= rows:
        return frame.head(rows)
    nearest = (frame["strike"] - frame["forward"]).abs().arg_min()
    first = 0 if nearest is None else nearest - rows // 2
    return frame.slice(min(max(first, 0), frame.height - rows), rows)


def _heading(name: str, names: Sequence[str]) -> str:
    side, _, rest = name.partition("_")
    own = rest if side in {"call", "put"} and "strike" in names else name
    return _HEADINGS.get(own, own.replace("_", " ").capitalize())


def _in_the_money(frame: pl.DataFrame, names: Sequence[str]) -> frozenset[tuple[int, int]]:
    if not {"strike", "forward"} <= set(frame.columns):
        return frozenset()
    return frozenset(
        (row, column)
        for row, (strike, forward) in enumerate(frame.select("strike", "forward").iter_rows())
        for column, name in enumerate(names)
        if forward is not None
        and (
            (name.startswith("call_") and strike < forward)
            or (name.startswith("put_") and strike > forward)
        )
    )


def _format(name: str, values: pl.Series) -> Callable[[Any], str]:
    """Return how a column's values become texts."""
    own = name.removeprefix("call_").removeprefix("put_")
    text = _BY_NAME.get(own) or _by_dtype(values)
    return lambda value: _MISSING if _is_missing(value) else text(value)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _by_dtype(values: pl.Series) -> Callable[[Any], str]:
    if values.dtype.is_float():
        paise = values.drop_nulls().drop_nans() * 100
        fine = bool(((paise - paise.round()).abs() > _MORE_DECIMALS).any())
        return lambda value: _grouped(value, 4 if fine else 2)
    if values.dtype.is_integer():
        return _grouped
    if isinstance(values.dtype, pl.Datetime):
        days = values.drop_nulls().dt.date().n_unique()
        form = "%H:%M:%S" if days <= 1 else "%d %b %H:%M:%S"
        return lambda value: value.strftime(form)
    if isinstance(values.dtype, pl.Date):
        return lambda value: f"{value.day} {value:%b %Y}"
    if isinstance(values.dtype, pl.Duration):
        return lambda value: f"{value / dt.timedelta(seconds=1):.1f} s"
    return str


def _grouped(value: float, decimals: int = 0) -> str:
    """Return a number with the grouping of lakhs and crores: ``"12,34,567.50"``."""
    sign = "-" if value < 0 else ""
    whole, _, fraction = f"{abs(value):.{decimals}f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)]
    digits = ",".join([*reversed(pairs), tail])
    return f"{sign}{digits}.{fraction}" if decimals else f"{sign}{digits}"


_BY_NAME: Final[Mapping[str, Callable[[Any], str]]] = {
    "change": lambda value: f"{value:+.2f}%",
    "iv": lambda value: f"{100 * value:.1f}%",
    "strike": lambda value: f"{value:.2f}".removesuffix(".00"),
    "range_position": lambda value: f"{100 * value:.0f}%",
    "instrument_token": str,
    **{name: f"{{:.{decimals}f}}".format for name, decimals in _DECIMALS.items()},
}
