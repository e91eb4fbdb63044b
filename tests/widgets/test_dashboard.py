"""The widgets together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError
from kitepolars.widgets import Dashboard
from widgets.page import RELIANCE, Page

Show = Callable[..., Page]


pytestmark = pytest.mark.usefixtures("any_hour")


def test_a_dashboard_follows_the_selected_row(ticker: kp.Ticker) -> None:
    dashboard = Dashboard(ticker)
    dashboard.table.selected = RELIANCE
    assert dashboard.chart.instrument == dashboard.ladder.instrument == "NSE:RELIANCE"
    with kp.demo(instruments=[]) as empty, pytest.raises(ConfigError, match="subscribed"):
        Dashboard(empty)
