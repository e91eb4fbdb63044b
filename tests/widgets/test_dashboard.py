"""The widgets together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import anywidget
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError
from kitepolars.widgets import Dashboard
from widgets.page import INFY, NIFTY, RELIANCE, Page

Show = Callable[..., Page]


pytestmark = pytest.mark.usefixtures("any_hour")


def shown(dashboard: Dashboard) -> set[int]:
    """Return the instruments that the parts show."""
    parts = dashboard.chart.instrument_token, dashboard.ladder.instrument_token
    return {*parts, dashboard.table.selected}


def test_a_dashboard_has_one_selection_that_every_part_leads_and_follows(
    ticker: kp.Ticker,
) -> None:
    dashboard = Dashboard(ticker, "NSE:INFY")
    assert shown(dashboard) == {INFY}
    dashboard.table.selected = RELIANCE
    assert shown(dashboard) == {RELIANCE}
    dashboard.chart._handle("instrument", {"token": INFY})
    assert shown(dashboard) == {INFY}
    dashboard.ladder.instrument = NIFTY
    assert shown(dashboard) == {NIFTY}
    dashboard.table._handle("select", {"token": INFY})
    assert shown(dashboard) == {INFY}


def test_a_dashboard_without_an_instrument_shows_the_first_subscribed(ticker: kp.Ticker) -> None:
    assert shown(Dashboard(ticker)) == {INFY}
    with kp.demo(instruments=[]) as empty, pytest.raises(ConfigError, match="subscribed"):
        Dashboard(empty)


def test_marimo_gets_the_anywidgets_of_a_composite_and_a_sentence_about_the_rest(
    ticker: kp.Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    marimo = SimpleNamespace(vstack=list, md=str)
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    dashboard = Dashboard(ticker, "NSE:INFY")
    *parts, sentence = dashboard._display_()
    assert parts[:3] == [dashboard.chart, dashboard.ladder, dashboard.table]
    assert {dashboard.controls._search, dashboard.controls._subscribed, dashboard.monitor} < {
        *parts
    }
    assert all(isinstance(part, anywidget.AnyWidget) for part in parts)
    assert "no plain ipywidgets" in sentence
