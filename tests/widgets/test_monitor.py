"""The monitor's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kitepolars as kp
from kitepolars.widgets import Monitor
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.threads import Publisher
from widgets.page import Page

Show = Callable[..., Page]


pytestmark = pytest.mark.usefixtures("any_hour")


def test_a_monitor_counts(ticker: kp.Ticker, publisher: Publisher, show: Show) -> None:
    page = show(Monitor(ticker, publisher=publisher))
    page.say("ready")
    content, _ = page.wait(lambda each: each["rates"] and each["rates"][-1][1] > 0)
    assert content["word"] == "Healthy"
    assert content["connections"][0]["state"] == "open"
    assert content["events_total"] >= 1
    assert {label for label, _, _ in content["tiles"]} >= {"ticks/s", "gaps", "rows held"}


def test_a_monitor_has_no_rate_before_its_second_reading(ticker: kp.Ticker) -> None:
    tiles = {
        label: text
        for label, text, _ in Monitor(ticker)._snapshot(Reading(ticker)).content["tiles"]
    }
    assert tiles["ticks/s"] == "–"
    assert tiles["ticks"] != "0"
