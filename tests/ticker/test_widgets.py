"""The methods that make widgets take what the widgets' classes take."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from kitepolars import Ticker
from kitepolars.widgets import Chart, Controls, Dashboard, Ladder, LiveTable, Monitor

OF_TESTS = {"publisher", "commands"}


@pytest.mark.parametrize(
    ("method", "widget"),
    [
        (Ticker.watch, LiveTable),
        (Ticker.chart, Chart),
        (Ticker.ladder, Ladder),
        (Ticker.controls, Controls),
        (Ticker.monitor, Monitor),
        (Ticker.dashboard, Dashboard),
    ],
)
def test_a_method_has_the_settings_of_its_widget(method: Any, widget: Any) -> None:
    taken = {
        name: parameter.default
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    }
    offered = {
        name: parameter.default
        for name, parameter in inspect.signature(widget).parameters.items()
        if name not in OF_TESTS and name != "ticker"
    }
    assert taken == offered


@pytest.mark.parametrize("make", [Ticker.from_env, Ticker.from_kite])
def test_other_ways_to_make_a_ticker_have_its_settings(make: Any) -> None:
    of_ticker = inspect.signature(Ticker).parameters
    settings = {
        name: of_ticker[name].default
        for name in of_ticker
        if name not in {"api_key", "access_token", "accounts"}
    }
    taken = inspect.signature(make).parameters
    assert {name: p.default for name, p in taken.items() if name != "kite"} == settings
