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


def test_an_alert_moves_to_another_price_with_all_its_settings(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    told: list[kp.FiredAlert] = []
    crossing = kp.crosses("last_price", 1e6)
    alert = subscribed.alert(crossing, instruments=INFY, notify=told.append, once=True)
    named = subscribed.alert(crossing, name="ceiling")
    other = subscribed.alert(kp.change() > 900, name="no price")
    above = subscribed.alert(pl.col("last_price") > 1e6, name="a price, but no crossing")
    assert (alert.name, alert.level) == ("NSE:INFY last_price crosses 1000000", 1e6)
    price = subscribed.latest().filter(symbol="NSE:INFY")["last_price"][0]
    alert.move(price + 1e-6)  # the next tick that is higher crosses it
    named.move(2e6)
    assert alert.level == price + 1e-6
    assert alert.name.startswith(f"NSE:INFY last_price crosses {price:.0f}"[:-1])
    assert (named.name, named.level, alert.is_movable) == ("ceiling", 2e6, True)
    assert (above.level, above.is_movable, other.level) == (1e6, False, None)
    assert {one.name for one in subscribed.active_alerts()} == {
        alert.name,
        "ceiling",
        "no price",
        "a price, but no crossing",
    }
    for _ in range(200):
        step(subscribed, kite)
        if alert.fired:
            break
    assert subscribed.wait(until=lambda _: len(told) == 1, timeout=PATIENCE)
    assert told[0].name == alert.name
    for fixed, level in ((other, 1.0), (above, 1.0), (alert, float("nan"))):
        with pytest.raises(kp.ConfigError, match="level"):
            fixed.move(level)
    alert.remove()
    alert.move(price)
    assert not alert.is_set
