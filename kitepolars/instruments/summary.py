"""Owns how the instruments show themselves in a notebook; pure, on any thread."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import polars as pl

_TEXTS: Final = 2  # exchange and segment; what follows is aligned as numbers are
_CELL: Final = "padding:2px 10px;text-align:{align};white-space:nowrap"


def by_segment(frame: pl.DataFrame) -> pl.DataFrame:
    """Count the instruments of each segment, the largest first.

    Parameters
    ----------
    frame
        The columns of the dump.

    Returns
    -------
    DataFrame
        ``exchange``, ``segment``, ``instruments``, ``underlyings`` (distinct names),
        ``next_expiry`` and ``last_expiry``.
    """
    counts = frame.group_by("exchange", "segment").agg(
        pl.len().alias("instruments"),
        pl.col("name").n_unique().alias("underlyings"),
        pl.col("expiry").min().alias("next_expiry"),
        pl.col("expiry").max().alias("last_expiry"),
    )
    return counts.sort("instruments", pl.col("segment").cast(pl.String), descending=[True, False])


def as_html(frame: pl.DataFrame, rejected: int) -> str:
    """Return a heading and the table of segments as HTML, every text escaped.

    Parameters
    ----------
    frame
        The columns of the dump.
    rejected
        How many rows of the dump were left out.
    """
    table = by_segment(frame)
    note = f" · {rejected:,} rows rejected" if rejected else ""
    head = _row("th", [name.replace("_", " ") for name in table.columns])
    rows = "".join(_row("td", values) for values in table.iter_rows())
    return (
        f"<div><strong>Instruments</strong> · {frame.height:,}{note}"
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _row(tag: str, values: Sequence[object]) -> str:
    cells = (_cell(tag, value, right=i >= _TEXTS) for i, value in enumerate(values))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(tag: str, value: object, *, right: bool) -> str:
    style = _CELL.format(align="right" if right else "left")
    text = f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'
