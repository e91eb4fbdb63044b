"""The panel of alerts: what its form sets, what its buttons change, what it says of what fired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError
from kitepolars.widgets import AlertsPanel, Chart
from kitepolars.widgets.alerts import CHECKS, MEASURES
from kitepolars.widgets.threads import COMMANDS, Publisher
from patience import PATIENCE
from widgets.page import INFY, RELIANCE, Page

Show = Callable[..., Page]

pytestmark = pytest.mark.usefixtures("any_hour")

FORM: Final = {
    "measure": "last_price",
    "check": "up",
    "level": 1e6,
    "everywhere": False,
    "lasting": 0,
    "cooldown": 60,
    "once": False,
}


@pytest.fixture(autouse=True)
def no_alerts(ticker: kp.Ticker) -> Iterator[None]:
    """Leave no alert to the next test."""
    yield
    for alert in ticker.active_alerts():
        alert.remove()


def opened(panel: AlertsPanel, show: Show) -> Page:
    page = show(panel)
    page.say("ready")
    page.wait(lambda each: each["kind"] == "snapshot")
    return page


def named(message: dict[str, Any]) -> list[str]:
    return [alert["name"] for alert in message.get("alerts", ())]


def test_the_form_sets_an_alert_and_buttons_snooze_and_remove_it(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = opened(AlertsPanel(ticker, INFY, publisher=publisher), show)
    whole, _ = page.received[0]
    assert [name for name, *_ in whole["measures"]] == list(MEASURES)
    assert [name for name, _ in whole["checks"]] == list(CHECKS)
    assert whole["values"]["last_price"] > 0
    page.say("set", **FORM)
    name = "NSE:INFY Last crosses above 1,000,000"
    message, _ = page.wait(lambda each: named(each) == [name])
    (row,) = message["alerts"]
    assert (row["about"], row["fired"], row["snoozed"]) == ("INFY", 0, None)
    (alert,) = ticker.active_alerts()
    assert (alert.instruments, alert.level) == ((INFY,), 1e6)
    page.say("snooze", name=name, seconds=600)
    page.wait(lambda each: each.get("alerts") and each["alerts"][0]["snoozed"])
    assert alert.snoozed_until is not None
    page.say("remove", name=name)
    page.wait(lambda each: each.get("alerts") == [], beyond=1)
    assert ticker.active_alerts() == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"measure": "token"}, "measure"),
        ({"check": "__import__"}, "check"),
        ({"level": float("nan")}, "a number"),
        ({"level": "7 parsecs"}, "7 parsecs"),
        ({"level": None}, ""),
        ({"lasting": -1}, "lasting"),
        ({"cooldown": 1e9}, "cooldown"),
    ],
)
def test_what_cannot_be_set_is_shown_in_the_panel(
    ticker: kp.Ticker, publisher: Publisher, show: Show, wrong: dict[str, Any], said: str
) -> None:
    page = opened(AlertsPanel(ticker, INFY, publisher=publisher), show)
    page.say("set", **FORM | wrong)
    page.wait(lambda each: each.get("notice") and said in each["notice"])
    assert ticker.active_alerts() == ()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("check", CHECKS)
def test_every_choice_of_the_form_is_a_condition(
    ticker: kp.Ticker, measure: str, check: str
) -> None:
    alert = AlertsPanel(ticker).set_alert(measure, check, 3.0, everywhere=True)
    assert alert.instruments is None
    assert alert.name.startswith("Any ")
    with pytest.raises(ConfigError, match="select an instrument"):
        AlertsPanel(ticker).set_alert(measure, check, 3.0)


def test_what_fired_comes_once_each_and_before_it_was_opened_with_the_snapshot(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    before = ticker._fired_alerts(1).number
    ticker.alert(pl.col("last_price") != 0, name="<b>first</b>", instruments=INFY, once=True)
    assert ticker.wait(until=lambda t: t._fired_alerts(1).number > before, timeout=PATIENCE)
    page = opened(AlertsPanel(ticker, publisher=publisher), show)
    whole, _ = page.received[0]
    assert whole["fired"][-1] | {"time": 0, "price": 0} == {
        "number": before,
        "time": 0,
        "name": "<b>first</b>",
        "token": INFY,
        "symbol": "NSE:INFY",
        "label": "INFY",
        "price": 0,
    }
    ticker.alert(pl.col("last_price") != 0, name="second", instruments=RELIANCE, once=True)
    message, _ = page.wait(lambda each: each.get("fired"), beyond=1)
    assert [(row["number"], row["name"]) for row in message["fired"]] == [(before + 1, "second")]
    assert message["number"] == before + 2
    page.say("select", token=RELIANCE)
    page.wait(lambda each: each.get("symbol") == "NSE:RELIANCE")


def test_a_chart_makes_moves_and_removes_the_alerts_that_it_draws(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(Chart(ticker, INFY, every="1s", publisher=publisher))

    def drawn(level: float) -> dict[str, Any]:
        def has(each: dict[str, Any]) -> bool:
            levels = [one["level"] for one in each.get("marks", {}).get("alerts", ())]
            return levels == [level]

        message, _ = page.wait(has)
        alert: dict[str, Any] = message["marks"]["alerts"][0]
        return alert

    page.say("ready")
    message, _ = page.wait(lambda each: "tick" in each)
    assert message["tick"] == 0.1, "to which the view rounds a dragged level"
    page.say("alert", price=1e6)
    first = drawn(1e6)
    assert first == {"name": "NSE:INFY last_price crosses 1000000", "level": 1e6}
    ticker.alert(kp.crosses("last_price", 5), instruments=RELIANCE)  # not drawn here
    page.say("move", name=first["name"], price=0.05)
    moved = drawn(0.05)
    page.say("remove", name=moved["name"])
    page.say("remove", name=moved["name"])
    assert COMMANDS.join(PATIENCE)
    page.wait(lambda each: each.get("marks", {}).get("alerts") == [], beyond=len(page.received))


def test_a_chart_marks_where_an_alert_fired(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    ticker.alert(pl.col("last_price") > 0, name="marked", instruments=INFY, once=True)
    page = show(Chart(ticker, INFY, every="1s", publisher=publisher))
    page.say("ready")

    def marked(each: dict[str, Any]) -> bool:
        return any(one["name"] == "marked" for one in each.get("marks", {}).get("fired", ()))

    message, _ = page.wait(marked)
    (fired,) = (one for one in message["marks"]["fired"] if one["name"] == "marked")
    row = ticker.alerts().filter(name="marked").row(0, named=True)
    assert (fired["time"], fired["price"]) == (row["fired_at"].timestamp(), row["price"])
