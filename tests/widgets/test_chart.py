"""The chart: bars, history, intervals, instruments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError
from kitepolars.widgets import Chart
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.threads import Publisher
from patience import PATIENCE
from widgets.page import INFY, RELIANCE, Page

Show = Callable[..., Page]


pytestmark = pytest.mark.usefixtures("any_hour")


def test_a_chart_sends_the_bars_that_changed(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    chart = Chart(ticker, INFY, every="1s", publisher=publisher)
    page = show(chart)
    page.say("ready")
    whole, buffers = page.wait(lambda each: each.get("from") == 0)
    assert whole["symbol"] == "NSE:INFY"
    bars = np.frombuffer(buffers[0]).reshape(-1, 6).copy()
    page.wait(lambda each: each.get("from", 0) > 0)
    for content, parts in page.received[1:]:
        if content.get("from"):
            bars = np.vstack([bars[: content["from"]], np.frombuffer(parts[0]).reshape(-1, 6)])
    assert (np.diff(bars[:, 0]) >= 1).all(), "no bar is twice there"
    page.say("every", every="1m")
    page.wait(lambda each: each.get("every") == "1m")
    page.say("instrument", token=RELIANCE)
    page.wait(lambda each: each.get("symbol") == "NSE:RELIANCE")
    assert (chart.instrument, chart.interval) == ("NSE:RELIANCE", "1m")
    page.say("query", text="tatamotors")
    hits, _ = page.wait(lambda each: each.get("hits"))
    assert hits["hits"][0]["symbol"].endswith("TATAMOTORS")
    page.say("every", every="7m")
    page.wait(lambda each: "every must be" in (each.get("notice") or ""))


def test_a_chart_joins_history_and_live_bars(ticker: kp.Ticker) -> None:
    live = ticker.candles("1m", ["NSE:INFY"])
    older = live.with_columns(pl.col("start") - dt.timedelta(minutes=n) for n in range(1, 2))
    both = pl.concat([older, live.with_columns(close=pl.lit(0.0))])
    message = Chart(ticker, INFY, history=both)._snapshot(Reading(ticker))
    bars = np.frombuffer(bytes(message.buffers[0])).reshape(-1, 6)
    assert len(bars) >= live.height + 1
    assert (bars[:, 4] > 0).all(), "where a bar is in both, the live one is shown"
    assert (np.diff(bars[:, 0]) > 0).all()
    with pytest.raises(ConfigError, match="volume"):
        Chart(ticker, INFY, history=live.drop("volume"))
    with pytest.raises(ConfigError, match="one of 1s"):
        Chart(ticker, INFY, every="2m")


def test_a_chart_of_a_mode_without_exchange_time_has_a_notice() -> None:
    with kp.demo(instruments=[], rate=10) as ticker:
        ticker.subscribe([INFY], mode="quote")
        assert ticker.wait(rows=4, timeout=PATIENCE)
        message = Chart(ticker, INFY, every="1s")._snapshot(Reading(ticker))
        assert "arrival" in message.content["remark"]
        assert message.buffers[0]


def test_a_chart_sends_its_studies_beside_the_bars(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    chart = Chart(ticker, INFY, every="1s", studies=["ema(3)", "macd"], publisher=publisher)
    page = show(chart)
    page.say("ready")
    whole, (bars, ema, macd) = page.wait(lambda each: len(each.get("studies", ())) == 2)
    assert [study["own_pane"] for study in whole["studies"]] == [False, True]
    count = len(bars) // (6 * 8)
    assert (len(ema), len(macd)) == (8 * count, 3 * 8 * count)
    page.say("studies", studies=["rsi(2)"])
    page.wait(lambda each: [study["text"] for study in each.get("studies", ())] == ["rsi(2)"])
    assert chart.studies == ["rsi(2)"]
    page.say("studies", studies=["nosuch"])
    page.wait(lambda each: "studies must be" in (each.get("notice") or ""))
    assert chart.studies == ["rsi(2)"]


def test_a_chart_that_is_scrolled_back_asks_for_older_candles_until_there_are_none(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    asked: list[tuple[int, str, dt.datetime]] = []
    live = ticker.candles("1m", ["NSE:INFY"]).head(1)

    def older(token: int, every: str, before: dt.datetime) -> pl.DataFrame:
        asked.append((token, every, before))
        if len(asked) == 3:
            return live.clear()
        return pl.concat(
            live.with_columns(
                start=pl.lit(before - dt.timedelta(minutes=k)).cast(live["start"].dtype)
            )
            for k in (3, 2, 1)
        )

    chart = Chart(ticker, INFY, every="1m", history=older, publisher=publisher)
    page = show(chart)
    page.say("ready")
    whole, _ = page.wait(lambda each: each.get("from") == 0)
    assert whole["older"] is True
    for times in (1, 2):
        page.say("older")
        bars = _wait_for_bars(page, 1 + 3 * times)
        assert (np.diff(bars[:, 0]) > 0).all()
    page.say("older")
    page.refreshed(2)
    page.say("older")
    page.refreshed(2)
    assert [each[:2] for each in asked] == [(INFY, "1m")] * 3, "and never again"
    assert asked[0][2] > asked[1][2] > asked[2][2]


def _wait_for_bars(page: Page, least: int) -> Any:
    def enough(content: dict[str, Any]) -> bool:
        return content.get("from") == 0 and _bars_in(page, content) >= least

    _, buffers = page.wait(enough)
    return np.frombuffer(buffers[0]).reshape(-1, 6)


def _bars_in(page: Page, content: dict[str, Any]) -> int:
    return next(len(parts[0]) // 48 for each, parts in page.received if each is content)


def test_history_belongs_to_the_interval_it_was_given_for(ticker: kp.Ticker) -> None:
    live = ticker.candles("1m", ["NSE:INFY"])
    older = live.with_columns(pl.col("start") - dt.timedelta(hours=1))
    chart = Chart(ticker, INFY, every="1m", history=older)
    both = np.frombuffer(bytes(chart._snapshot(Reading(ticker)).buffers[0])).reshape(-1, 6)
    chart.interval = "5m"
    other = np.frombuffer(bytes(chart._snapshot(Reading(ticker)).buffers[0])).reshape(-1, 6)
    assert other[0, 0] > both[0, 0] + 1800


def test_a_chart_offers_to_subscribe_what_is_not_subscribed(
    publisher: Publisher, show: Show
) -> None:
    with kp.demo(instruments=[], rate=10) as ticker:
        page = show(Chart(ticker, INFY, every="1s", publisher=publisher))
        page.say("ready")
        offering, _ = page.wait(lambda each: each["kind"] == "snapshot")
        assert (offering["offers"], offering["empty"]) == (True, "")
        page.say("subscribe")
        page.wait(lambda each: each.get("offers") is False)
        page.wait(lambda each: each.get("from", 0) > 0)
        assert ticker.subscriptions()["instrument_token"].to_list() == [INFY]
        page.say("gone")


@pytest.mark.parametrize(("given", "named"), [("5minute", "5m"), ("1min", "1m"), ("day", "1d")])
def test_an_interval_may_have_kites_name(ticker: kp.Ticker, given: str, named: str) -> None:
    assert Chart(ticker, INFY, every=given).interval == named
