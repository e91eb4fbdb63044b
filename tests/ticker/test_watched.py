"""What is watched fires at the ticks of the pure function, each time that a recording is played."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.playback import SAMPLE
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import step  # isort: skip

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
    assert_frame_equal(ticker.alerts().sort(order), want.sort(order))
    assert want.height == alert.fired > 0


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


def test_the_last_firing_is_delivered_before_the_ticker_stops(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    told: list[kp.FiredAlert] = []
    subscribed.alert(pl.col("last_price") > 0, name="a", notify=told.append)
    step(subscribed, kite)
    subscribed.stop()
    assert len(told) == subscribed.alerts().height == 3
