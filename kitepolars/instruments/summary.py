"""How a list of instruments shows itself: in one line, and as a table of segments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import polars as pl

_TEXT_COLUMNS: Final = 2  # exchange and segment; the others are aligned to the right
_CELL_STYLE: Final = "padding:2px 10px;text-align:{align};white-space:nowrap"


def one_line(frame: pl.DataFrame, rejected: int) -> str:
    """Return the number of instruments by exchange, the largest first."""
    counts = (
        frame.group_by("exchange")
        .len("count")
        .sort("count", pl.col("exchange").cast(pl.String), descending=[True, False])
    )
    parts = ", ".join(f"{exchange} {count:,}" for exchange, count in counts.iter_rows())
    left_out = f"; {rejected:,} rows rejected" if rejected else ""
    return f"<Instruments: {frame.height:,}{f' ({parts})' if parts else ''}{left_out}>"


def table_of_segments(frame: pl.DataFrame, rejected: int) -> str:
    """Return the number of instruments by segment as HTML."""
    table = _by_segment(frame)
    note = f" · {rejected:,} rows rejected" if rejected else ""
    head = _html_row("th", [name.replace("_", " ") for name in table.columns])
    rows = "".join(_html_row("td", values) for values in table.iter_rows())
    return (
        f"<div><strong>Instruments</strong> · {frame.height:,}{note}"
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _by_segment(frame: pl.DataFrame) -> pl.DataFrame:
    """Count instruments and underlyings (distinct names) by segment, the largest first."""
    counts = frame.group_by("exchange", "segment").agg(
        pl.len().alias("instruments"),
        pl.col("name").n_unique().alias("underlyings"),
        pl.col("expiry").min().alias("next_expiry"),
        pl.col("expiry").max().alias("last_expiry"),
    )
    return counts.sort("instruments", pl.col("segment").cast(pl.String), descending=[True, False])


def _html_row(tag: str, values: Sequence[object]) -> str:
    cells = (_html_cell(tag, value, right=i >= _TEXT_COLUMNS) for i, value in enumerate(values))
    return f"<tr>{''.join(cells)}</tr>"


def _html_cell(tag: str, value: object, *, right: bool) -> str:
    style = _CELL_STYLE.format(align="right" if right else "left")
    text = f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'
