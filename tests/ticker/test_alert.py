"""The handle of an alert: it tells how the alert stands, snoozes, moves and removes it."""

from __future__ import annotations

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, SBIN, step  # isort: skip


def test_a_snoozed_alert_does_not_fire(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    alert = subscribed.alert(pl.col("last_price") != 0, name="a")
    alert.snooze("10m")
    assert alert.snoozed_until is not None
    step(subscribed, kite)
    assert subscribed.alerts().is_empty()
    alert.snooze(None)
    assert alert.snoozed_until is None
    with pytest.raises(kp.ConfigError, match="10 parsecs"):
        alert.snooze("10 parsecs")


def test_an_alert_replaces_the_one_of_its_name(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    flips = pl.col("last_price") != 0
    alert = subscribed.alert(flips, name="a")
    newer = subscribed.alert(flips, name="a", instruments=[SBIN])
    assert not alert.is_set
    assert newer.is_set
    assert newer.instruments == (SBIN,)
    assert newer.condition == "[(last_price) != (0)]"
    step(subscribed, kite)
    assert subscribed.alerts()["symbol"].to_list() == ["NSE:SBIN"]


def test_a_removed_alert_does_not_fire(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    alert = subscribed.alert(pl.col("last_price") != 0, name="a")
    alert.remove()
    alert.remove()
    assert subscribed.active_alerts() == ()
    step(subscribed, kite)
    assert subscribed.alerts().is_empty()


def last_price(ticker: kp.Ticker) -> float:
    price: float = ticker.latest().filter(symbol="NSE:INFY")["last_price"][0]
    return price


def test_an_alert_that_is_moved_is_named_after_its_price(subscribed: kp.Ticker) -> None:
    crossing = kp.crosses("last_price", 1e6)
    alert = subscribed.alert(crossing, instruments=INFY)
    named = subscribed.alert(crossing, name="ceiling")
    above = subscribed.alert(pl.col("last_price") > 1e6, name="above 1,000,000")
    assert (alert.name, alert.level) == ("NSE:INFY last_price crosses 1000000", 1e6)
    alert.move(2_000_000)
    named.move(2e6)
    above.move(1.05)
    assert (alert.name, alert.level) == ("NSE:INFY last_price crosses 2000000", 2e6)
    assert (named.name, named.level) == ("ceiling", 2e6)
    assert (above.name, above.level) == ("above 1.05", 1.05)
    names = {one.name for one in subscribed.active_alerts()}
    assert names == {alert.name, "ceiling", "above 1.05"}


def test_an_alert_that_is_moved_fires_at_the_other_price_with_its_settings(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    told: list[kp.FiredAlert] = []
    crossing = kp.crosses("last_price", 1e6)
    alert = subscribed.alert(crossing, instruments=INFY, notify=told.append, once=True)
    while not subscribed.alerts().height:
        alert.move(last_price(subscribed) + 1e-6)  # the next tick that is higher crosses it
        step(subscribed, kite)
    assert subscribed.wait(until=lambda _: len(told) == 1, timeout=PATIENCE)
    assert told[0].name == alert.name
    alert.remove()
    alert.move(1.0)
    assert not alert.is_set


def test_only_what_compares_a_price_can_be_moved(subscribed: kp.Ticker) -> None:
    alert = subscribed.alert(kp.crosses("last_price", 1e6))
    other = subscribed.alert(kp.change() > 900, name="no price")
    assert other.level is None
    for fixed, level in ((other, 1.0), (alert, float("nan"))):
        with pytest.raises(kp.ConfigError, match="level"):
            fixed.move(level)
