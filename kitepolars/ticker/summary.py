"""How a ticker shows itself in a notebook: HTML from its counters and connections. Pure.

Text from outside is escaped; the colours are the notebook's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import polars as pl

_BAR_STYLE: Final = (
    "background:var(--jp-layout-color2,#eee);border-radius:3px;width:120px;height:10px"
)
_GOOD: Final = "var(--jp-success-color1,#2e7d32)"
_BAD: Final = "var(--jp-error-color1,#c62828)"
_MUTED: Final = "var(--jp-ui-font-color2,#666)"
_CONNECTION_COLUMNS: Final = ("", "account", "state", "instruments", "", "messages", "reconnects")


def ticker_html(
    *,
    at: dt.datetime,
    is_running: bool,
    figures: dict[str, int],
    losses: dict[str, int],
    connections: pl.DataFrame,
    warning: str = "",
) -> str:
    """Return a summary: its time, the state, counters, losses, a row for each connection.

    Parameters
    ----------
    at
        When this was so, in Indian time: the output of a cell stays on the page.
    is_running
        Whether the ticker was running.
    figures
        Counters by name.
    losses
        Counters by name; those above 0 are shown in red.
    connections
        The columns of ``ticker.connections()``.
    warning
        What else is wrong, in red; empty if nothing is.
    """
    state, colour = ("running", _GOOD) if is_running else ("stopped", _MUTED)
    parts = [f'<b style="color:{colour}">● {state}</b>']
    parts += [f"{escape(name)} <b>{count:,}</b>" for name, count in figures.items()]
    lost = [f"{escape(name)} <b>{count:,}</b>" for name, count in losses.items() if count]
    parts.append(
        f'<span style="color:{_BAD}">{" · ".join(lost)}</span>'
        if lost
        else f'<span style="color:{_MUTED}">nothing lost</span>'
    )
    if warning:
        parts.append(f'<span style="color:{_BAD}">{escape(warning)}</span>')
    rows = "".join(_connection_row(row) for row in connections.iter_rows(named=True))
    table = f"<table>{_row('th', _CONNECTION_COLUMNS)}{rows}</table>" if rows else ""
    moment = f"Ticker at {at:%H:%M:%S} on {at.day} {at:%b}"
    return (
        f'<div><div style="padding:4px 0"><span style="color:{_MUTED}">{moment}:</span> &nbsp; '
        f"{' &nbsp; '.join(parts)}</div>{table}</div>"
    )


def stats_html(figures: Iterable[tuple[str, object]]) -> str:
    """Return counters, times and texts as a table of names and values; absent ones left out."""
    rows = "".join(
        _row("td", [escape(name.replace("_", " ")), escape(_shown(value))])
        for name, value in figures
        if value is not None and value != ""
    )
    return f"<table>{rows}</table>"


def _shown(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%H:%M:%S} on {value.day} {value:%b}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _connection_row(row: dict[str, object]) -> str:
    instruments, capacity = int(str(row["instruments"])), int(str(row["capacity"]))
    share = 100 * instruments / max(capacity, 1)
    colour = _GOOD if row["state"] == "open" else _BAD
    filled = f"width:{share:.0f}%;height:10px;background:{_GOOD}"
    bar = f'<div style="{_BAR_STYLE}"><div style="{filled}"></div></div>'
    return _row(
        "td",
        [
            f"{row['connection']}",
            escape(str(row["account"])),
            f'<span style="color:{colour}">{escape(str(row["state"]))}</span>',
            f"{instruments:,} / {capacity:,}",
            bar,
            f"{row['messages']:,}",
            f"{row['reconnects']:,}",
        ],
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"
