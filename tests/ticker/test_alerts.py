"""The methods of a ticker for alerts: what is refused, default names, callbacks."""

from __future__ import annotations

import threading

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, NIFTY, SBIN, step  # isort: skip


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
