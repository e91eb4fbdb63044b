"""Pictures of a ticker for notebooks: HTML from its counters and connections. Pure.

Everything that came from outside is escaped; colours are the notebook's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import polars as pl

_BAR: Final = "background:var(--jp-layout-color2,#eee);border-radius:3px;width:120px;height:10px"
_GOOD: Final = "var(--jp-success-color1,#2e7d32)"
_BAD: Final = "var(--jp-error-color1,#c62828)"
_QUIET: Final = "var(--jp-ui-font-color2,#666)"
_CONNECTION_COLUMNS: Final = ("", "account", "state", "instruments", "", "messages", "reconnects")


def ticker_html(
    *, is_running: bool, figures: dict[str, int], losses: dict[str, int], connections: pl.DataFrame
) -> str:
    """Return a summary: the state in a word, figures, losses, and a row for each connection.

    Parameters
    ----------
    is_running
        Whether the ticker runs.
    figures
        Name → count, shown as they are.
    losses
        Name → count; those that are not 0 are shown in red.
    connections
        The columns of ``ticker.connections()``.
    """
    state, colour = ("running", _GOOD) if is_running else ("stopped", _QUIET)
    parts = [f'<b style="color:{colour}">● {state}</b>']
    parts += [f"{escape(name)} <b>{count:,}</b>" for name, count in figures.items()]
    lost = [f"{escape(name)} <b>{count:,}</b>" for name, count in losses.items() if count]
    parts.append(
        f'<span style="color:{_BAD}">{" · ".join(lost)}</span>'
        if lost
        else f'<span style="color:{_QUIET}">nothing lost</span>'
    )
    rows = "".join(_connection_row(row) for row in connections.iter_rows(named=True))
    table = f"<table>{_row('th', _CONNECTION_COLUMNS)}{rows}</table>" if rows else ""
    return (
        f'<div><div style="padding:4px 0">Ticker &nbsp; {" &nbsp; ".join(parts)}</div>{table}</div>'
    )


def stats_html(figures: Iterable[tuple[str, int]]) -> str:
    """Return counters as a table of one column of names and one of numbers."""
    rows = "".join(
        _row("td", [escape(name.replace("_", " ")), f"{count:,}"]) for name, count in figures
    )
    return f"<table>{rows}</table>"


def _connection_row(row: dict[str, object]) -> str:
    instruments, capacity = int(str(row["instruments"])), int(str(row["capacity"]))
    share = 100 * instruments / max(capacity, 1)
    colour = _GOOD if row["state"] == "open" else _BAD
    filled = f"width:{share:.0f}%;height:10px;background:{_GOOD}"
    bar = f'<div style="{_BAR}"><div style="{filled}"></div></div>'
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
