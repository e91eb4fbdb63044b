"""Alerts of a running ticker: at the ticks of the pure function, once, on threads of their own."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.playback import SAMPLE
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, NIFTY, SBIN  # isort: skip

BEGIN = dt.datetime(2026, 11, 20, 10, tzinfo=IST)
MINUTE = dt.timedelta(minutes=1)
RISING = kp.crosses("last_price", "average_traded_price")


def replayed() -> kp.ReplayTicker:
    return kp.replay(SAMPLE, end=BEGIN + MINUTE, speed=None)


def played(ticker: kp.ReplayTicker) -> pl.DataFrame:
    """Play to the end, and return the ticks."""
    try:
        return ticker.play(progress=False).frame()
    finally:
        ticker.stop()


@pytest.fixture
def subscribed(ticker: kp.Ticker, kite: SimulatedKite) -> kp.Ticker:
    tokens = [INFY, SBIN, NIFTY]
    ticker.subscribe(tokens, mode="full")
    assert kite.wait_for(lambda kite: kite.subscribed() == dict.fromkeys(tokens, "full"))
    assert ticker.wait(rows=3, timeout=PATIENCE)
    return ticker


def step(ticker: kp.Ticker, kite: SimulatedKite) -> None:
    rows = ticker.frame().height
    kite.step()
    assert ticker.wait(rows=rows + 3, timeout=PATIENCE)


def price_of(ticker: kp.Ticker, symbol: str) -> float:
    return float(ticker.latest().filter(symbol=symbol)["last_price"][0])


def happened(ticker: kp.Ticker, kind: str) -> list[str]:
    return ticker.events().filter(kind=kind)["detail"].to_list()


CONDITIONS: dict[str, Any] = {
    "crossing": RISING,
    "lean": kp.imbalance() > 0.1,
    "range": pl.col("last_price") > pl.col("high") - 0.5,
}


def test_a_replay_fires_where_the_pure_function_does_each_time() -> None:
    histories = []
    for _ in range(2):
        ticker = replayed()
        for name, condition in CONDITIONS.items():
            ticker.alert(condition, name=name, cooldown=5)
        ticker.alert(RISING, name="one", instruments=["NSE:INFY", "NSE:SBIN"], lasting=1)
        ticks = played(ticker)
        histories.append(ticker.alerts())
    assert histories[0].height > 20
    assert_frame_equal(*histories)
    for name, condition in CONDITIONS.items():
        want = kp.alerts(ticks, condition, name=name, cooldown=5)
        assert_frame_equal(histories[0].filter(name=name), want)
    some = ticks.filter(pl.col("symbol").is_in(["NSE:INFY", "NSE:SBIN"]))
    want = kp.alerts(some, RISING, name="one", lasting=1)
    assert_frame_equal(histories[0].filter(name="one"), want)


def test_finished_candles_are_watched_with_indicators() -> None:
    ticker = replayed()
    given: dict[str, Any] = {
        "every": "2s",
        "on": "received_at",
        "indicators": [kp.indicators.rsi(5)],
    }
    alert = ticker.alert(pl.col("rsi") < 30, name="low", **given)
    ticks = played(ticker)
    want = kp.alerts(ticks, pl.col("rsi") < 30, name="low", **given)
    order = ["fired_at", "instrument_token"]
    assert want.height == alert.fired > 0
    assert_frame_equal(ticker.alerts().sort(order), want.sort(order))


def test_a_chain_is_watched() -> None:
    ticker = replayed()
    alert = ticker.alert(pl.col("call_iv") > 0, chain="NIFTY", name="volatile", once=True)
    ticks = played(ticker)
    found = ticker.alerts()
    assert alert.fired == found.height > 0
    assert found["symbol"].str.contains(r"^NIFTY \d+$").all()
    assert found["instrument_token"].null_count() == found.height
    assert found["fired_at"].is_in(ticks["received_at"].implode()).all()


def test_going_back_forgets_what_fired() -> None:
    ticker = replayed()
    alert = ticker.alert(CONDITIONS["lean"], name="a")
    ticker.seek(BEGIN + MINUTE / 2)
    half = ticker.alerts()
    ticker.seek(BEGIN + MINUTE * 0.75)
    assert ticker.alerts().height > half.height > 0
    ticker.seek(BEGIN + MINUTE / 2)
    assert_frame_equal(ticker.alerts(), half)
    assert alert.fired == half.height


def test_a_running_ticker_calls_the_callbacks_concerned(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    every: list[kp.FiredAlert] = []
    some: list[kp.FiredAlert] = []
    came = threading.Event()

    @subscribed.on_alert
    def any_alert(fired: kp.FiredAlert) -> None:
        every.append(fired)

    def of_infy(fired: kp.FiredAlert) -> None:
        some.append(fired)
        came.set()

    priced = pl.col("last_price") > 0
    subscribed.alert(priced, name="first", once=True)
    alert = subscribed.alert(priced, name="infy", instruments=INFY, notify=of_infy)
    assert [one.name for one in subscribed.active_alerts()] == ["first", "infy"]
    step(subscribed, kite)
    assert came.wait(PATIENCE)
    found = subscribed.alerts()
    assert set(found.filter(name="first")["symbol"]) == {"NSE:INFY", "NSE:SBIN", "NSE:NIFTY 50"}
    assert [(fired.name, fired.symbol) for fired in some] == [("infy", "NSE:INFY")]
    assert found.rows()[-1] == tuple(some[0])
    assert subscribed.wait(until=lambda _: len(every) == 4, timeout=PATIENCE)
    assert alert.fired == 1
    assert alert.last_fired == some[0].fired_at
    subscribed.off(any_alert)
    assert repr(alert) == "<Alert 'infy': set, fired 1 times>"


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
    above = subscribed.alert(pl.col("last_price") > 1e6, name="above 1,000,000")
    assert (alert.name, alert.level) == ("NSE:INFY last_price crosses 1000000", 1e6)
    alert.move(price := price_of(subscribed, "NSE:INFY") + 1e-6)
    named.move(2e6)
    assert alert.level == price
    assert alert.name.startswith(f"NSE:INFY last_price crosses {price:.0f}"[:-1])
    above.move(1.05)
    assert (named.name, named.level) == ("ceiling", 2e6)
    assert (above.name, above.level, other.level) == ("above 1.05", 1.05, None)
    assert {one.name for one in subscribed.active_alerts()} == {
        alert.name,
        "ceiling",
        "no price",
        "above 1.05",
    }
    while alert.name not in subscribed.alerts()["name"]:  # until the price rises
        alert.move(price_of(subscribed, "NSE:INFY") + 1e-6)
        step(subscribed, kite)
    assert subscribed.wait(until=lambda _: len(told) == 1, timeout=PATIENCE)
    assert told[0].name == alert.name
    for fixed, level in ((other, 1.0), (alert, float("nan"))):
        with pytest.raises(kp.ConfigError, match="level"):
            fixed.move(level)
    alert.remove()
    alert.move(price)
    assert not alert.is_set


def test_alerts_without_a_name_are_distinguished_by_their_instruments(ticker: kp.Ticker) -> None:
    names = ["NSE:INFY", ["NSE:INFY", "NSE:SBIN"], None]
    for instruments in names:
        ticker.alert(pl.col("last_price") > 5, instruments=instruments)
    ticker.alert(pl.col("last_price") > 5, instruments=[INFY, SBIN, NIFTY, 738561, 1270529])
    assert [one.name for one in ticker.active_alerts()] == [
        "NSE:INFY [(last_price) > (5)]",
        "NSE:INFY, NSE:SBIN [(last_price) > (5)]",
        "[(last_price) > (5)]",
        "NSE:INFY, NSE:SBIN, NSE:NIFTY 50 and 2 more [(last_price) > (5)]",
    ]


def test_the_last_that_fired_keep_their_numbers(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    subscribed.alert(pl.col("last_price") > 0, name="a")
    step(subscribed, kite)
    assert subscribed.alerts().height == 3
    newest = subscribed._alerts.newest(2)
    assert newest.number == 3
    assert [tuple(row) for row in newest.rows] == subscribed.alerts().rows()[1:]


def test_a_failure_is_reported_and_does_not_stop_the_others(
    subscribed: kp.Ticker, kite: SimulatedKite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kitepolars.alerting import rules  # noqa: PLC0415 - what is replaced

    def refused(_: kp.FiredAlert) -> None:
        raise ConnectionError("no route")

    bad = subscribed.alert(pl.col("last_price") > 0, name="bad")
    good = subscribed.alert(pl.col("last_price") > 0, name="good", notify=refused)
    fired = rules.Watch.fired

    def broken(watch: rules.Watch, found: Any, rows: Any) -> Any:
        if watch.rule.name == "bad":
            raise pl.exceptions.ComputeError("overflow")
        return fired(watch, found, rows)

    monkeypatch.setattr(rules.Watch, "fired", broken)
    step(subscribed, kite)
    assert set(subscribed.alerts()["name"]) == {"good"}
    assert good.is_set
    assert not bad.is_set
    assert "overflow" in (bad.error or "")
    assert "'bad' is not evaluated any more" in happened(subscribed, "alert")[0]
    assert subscribed.wait(until=lambda t: happened(t, "callback"), timeout=PATIENCE)
    assert "the notification of 'good' failed (1)" in happened(subscribed, "callback")[0]


def test_what_cannot_be_watched_is_refused_and_nothing_is_set(ticker: kp.Ticker) -> None:
    for given in (
        {"condition": pl.col("rsi") < 30},
        {"condition": pl.col("rsi") < 30, "every": "1m"},
        {"condition": pl.col("last_price") > 1, "every": "1m", "chain": "NIFTY"},
        {"condition": pl.col("close") > 1, "indicators": [kp.indicators.rsi()]},
        {"condition": pl.col("close") > 1, "every": "7 parsecs"},
        {"condition": pl.col("last_price")},
        {"condition": pl.col("last_price") > 1, "cooldown": -1},
    ):
        with pytest.raises(kp.ConfigError):
            ticker.alert(**given)
    with pytest.raises(kp.UnknownInstrument):
        ticker.alert(pl.col("last_price") > 1, instruments="NSE:INFYY")
    assert ticker.active_alerts() == ()
    assert ticker.alerts().schema == kp.ALERTS


def test_the_last_firing_is_delivered_before_the_ticker_stops(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    told: list[kp.FiredAlert] = []
    subscribed.alert(pl.col("last_price") > 0, name="a", notify=told.append)
    step(subscribed, kite)
    subscribed.stop()
    assert len(told) == subscribed.alerts().height == 3
