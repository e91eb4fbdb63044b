from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import INFY, record_market
from kitepolars.analytics import CANDLES
from kitepolars.calendar import IST
from kitepolars.feed.account import Account
from kitepolars.rest import history
from kitepolars.sim import SimulatedKite
from kitepolars.ticker.older_candles import first_found, historical_candles, recorded_candles
from kitepolars.ticker.recording import RecordedIn
from kitepolars.widgets import Chart
from rest.conftest import fake_time, kite
from rest.stand_in import Answer, FakeTime, KiteApi

__all__ = ["fake_time", "kite"]  # fixtures

FRIDAY, MONDAY, TUESDAY = (dt.date(2026, 11, day) for day in (20, 23, 24))


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of a Friday and a Monday, four minutes each."""
    folder = tmp_path_factory.mktemp("older")
    record_market(folder / "ticks", day=FRIDAY, begin=dt.time(10, 0))
    record_market(folder / "ticks", day=MONDAY, begin=dt.time(11, 0))
    kp.publish(folder / "ticks", folder / "days")
    return folder / "days"


def test_a_recorded_day_at_a_time_is_found_newest_first(table: Path) -> None:
    older = recorded_candles(table)
    monday = older(INFY, "1m", at(TUESDAY, 9, 15))
    assert monday.schema == CANDLES
    assert monday["start"].to_list() == [at(MONDAY, 11, minute) for minute in range(4)]
    friday = older(INFY, "1m", monday["start"][0])
    assert friday["start"].to_list() == [at(FRIDAY, 10, minute) for minute in range(4)]
    assert older(INFY, "1m", friday["start"][0]).is_empty()
    whole = kp.candles(kp.scan(table, instruments=[INFY]), "1m").collect()
    assert_frame_equal(pl.concat([friday, monday]).drop("is_partial"), whole.drop("is_partial"))


def test_a_day_is_cut_where_the_chart_begins(table: Path) -> None:
    bars = recorded_candles(table)(INFY, "1m", at(MONDAY, 11, 2))
    assert bars["start"].to_list() == [at(MONDAY, 11), at(MONDAY, 11, 1)]


def test_bars_of_a_day_come_from_many_days(table: Path) -> None:
    bars = recorded_candles(table)(INFY, "1d", at(TUESDAY, 0))
    assert bars["start"].dt.date().to_list() == [FRIDAY, MONDAY]


def test_what_was_never_recorded_has_none(table: Path, tmp_path: Path) -> None:
    assert recorded_candles(table)(1, "1m", at(TUESDAY, 10)).is_empty()
    assert recorded_candles(tmp_path / "none")(INFY, "1m", at(TUESDAY, 10)).is_empty()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, kite: KiteApi, fake_time: FakeTime) -> KiteApi:
    """Return a stand-in for Kite's API, which history is fetched from."""
    fetch = history.historical

    def from_stand_in(*arguments: Any, **options: Any) -> pl.DataFrame:
        return fetch(*arguments, **options, url=kite.url, pace=fake_time.pace())

    monkeypatch.setattr(history, "historical", from_stand_in)
    return kite


ROWS = [
    ["2026-11-20T15:29:00+0530", 1704.5, 1705, 1699.25, 1702.8, 2499],
    ["2026-11-23T09:15:00+0530", 1702, 1702, 1698.15, 1698.15, 1271],
]


def test_kites_history_is_asked_for_a_week_of_minutes(asked: KiteApi) -> None:
    asked.script = [Answer.success({"candles": ROWS})]
    older = historical_candles(Account("main", "my_key", "my_token"))
    bars = older(INFY, "1m", at(MONDAY, 9, 15))
    assert bars.schema == CANDLES
    assert bars["start"].to_list() == [at(FRIDAY, 15, 29)]  # the other is not before
    [request] = asked.requests
    assert request.path == f"/instruments/historical/{INFY}/minute"
    assert request.params["from"] == "2026-11-17 00:00:00"
    assert request.params["to"] == "2026-11-23 09:14:59"


def test_intervals_that_kite_does_not_have_are_not_asked_for(asked: KiteApi) -> None:
    older = historical_candles(Account("main", "my_key", "my_token"))
    assert older(INFY, "5s", at(MONDAY, 9, 15)).is_empty()
    assert asked.requests == []


def test_the_first_that_has_candles_answers(table: Path) -> None:
    calls: list[str] = []

    def nothing(token: int, every: str, before: dt.datetime) -> pl.DataFrame:
        calls.append(f"{token} {every} {before:%H:%M}")
        return CANDLES.to_frame()

    older = first_found([nothing, recorded_candles(table)])
    assert older is not None
    assert older(INFY, "1m", at(TUESDAY, 9, 15)).height == 4
    assert calls == [f"{INFY} 1m 09:15"]
    assert first_found([]) is None


# -- a ticker's own ------------------------------------------------------------------------------


def test_a_ticker_on_kites_feed_has_kites_history(asked: KiteApi) -> None:
    ticker = kp.Ticker("my_key", "my_token")
    asked.script = [Answer.success({"candles": ROWS})]
    older = ticker._older_candles()
    assert older is not None
    assert older(INFY, "1m", at(TUESDAY, 9, 15)).height == 2
    assert asked.requests[0].headers["Authorization"] == "token my_key:my_token"
    ticker.set_access_token("tomorrow")
    asked.script = [Answer.success({"candles": ROWS})]
    older = ticker._older_candles()
    assert older is not None
    older(INFY, "1m", at(TUESDAY, 9, 15))
    assert asked.requests[1].headers["Authorization"] == "token my_key:tomorrow"


def test_a_ticker_elsewhere_never_asks_kite(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedKite(rate=0) as kite:
        assert kp.Ticker("key", "token", url=kite.url)._older_candles() is None
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert kp.Ticker("key", "token")._older_candles() is None  # httpx is not installed


def test_a_chart_of_a_recorded_ticker_goes_back_into_days(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker = kp.sample(speed=None)
    recorded = RecordedIn(table.with_name("ticks"), str(table))
    with ticker:
        ticker.play(progress=False)
        monkeypatch.setattr(ticker._recordings, "current", lambda: recorded)
        chart = Chart(ticker, "NSE:INFY")
        assert chart._older is not None
        bars = chart._older(INFY, "1m", at(TUESDAY, 9, 15))
        assert bars["start"].to_list() == [at(MONDAY, 11, minute) for minute in range(4)]
        chart.close()
