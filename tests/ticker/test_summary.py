"""A ticker as HTML: figures, losses in red, escaped text."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from kitepolars.ticker.summary import stats_html, ticker_html

AT = dt.datetime(2026, 1, 5, 9, 15, 2)  # noqa: DTZ001 - shown as it is


def shown(**settings: Any) -> str:
    connection = {
        "connection": 0,
        "account": "<b>main</b>",
        "state": "open",
        "instruments": 1500,
        "capacity": 3000,
        "messages": 12345,
        "reconnects": 0,
    }
    defaults: dict[str, Any] = {
        "at": AT,
        "is_running": True,
        "figures": {"ticks": 1234567},
        "losses": {"gaps": 0},
        "connections": pl.DataFrame([connection]),
    }
    return ticker_html(**(defaults | settings))


def test_the_state_has_its_time_because_an_output_stays_on_the_page() -> None:
    moment, _, state = shown().partition("at 09:15:02 on 5 Jan:")
    assert moment.endswith("Ticker ")
    assert "running" in state
    assert "stopped" in shown(is_running=False)


def test_only_losses_above_zero_are_shown() -> None:
    assert "nothing lost" in shown()
    lost = shown(losses={"gaps": 2, "dropped messages": 0})
    assert "gaps <b>2</b>" in lost
    assert "dropped" not in lost


def test_text_from_outside_is_escaped() -> None:
    assert "&lt;b&gt;main&lt;/b&gt;" in shown()
    assert "<b>main</b>" not in shown()


def test_a_connection_shows_how_full_it_is() -> None:
    assert "1,500 / 3,000" in shown()
    assert "width:50%" in shown()


def test_without_connections_there_is_no_table() -> None:
    assert "<table>" not in shown(connections=pl.DataFrame())


def test_counters_are_a_table() -> None:
    table = "<table><tr><td>rows held</td><td>1,234</td></tr></table>"
    assert stats_html([("rows_held", 1234)]) == table
