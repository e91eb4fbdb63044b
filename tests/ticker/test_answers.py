"""The façade's answers: the market now, candles as they grow, books, chains, orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.analytics import CANDLES
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, NIFTY, SBIN, MakeTicker, step  # isort: skip

pytestmark = pytest.mark.usefixtures("any_hour")


def more_than(ticks: int) -> Callable[[kp.Ticker], bool]:
    return lambda ticker: ticker.stats().ticks > ticks


def test_latest_has_the_contracts_columns_and_the_markets(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    step(subscribed, kite)
    latest = subscribed.latest()
    assert latest.columns == kp.latest(subscribed.frame()).columns
    assert set(latest.columns) == {*SCHEMA, "change", "range_position", "staleness"}
    assert latest["symbol"].to_list() == ["NSE:INFY", "NSE:SBIN", "NSE:NIFTY 50"]
    last = subscribed.frame().group_by("instrument_token").last().sort("instrument_token")
    by_token = latest.sort("instrument_token")
    assert_frame_equal(by_token.select(list(SCHEMA)), last.select(list(SCHEMA)))
    change = (latest["last_price"] - latest["close"]) * 100 / latest["close"]
    assert latest["change"].to_list() == pytest.approx(change.to_list())
    assert (latest["staleness"] >= dt.timedelta(0)).all()


def test_candles_brought_up_to_date_are_those_of_all_ticks(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    for _ in range(3):
        step(subscribed, kite, 2)
        bars = subscribed.candles("1s", on="received_at")
        assert bars.schema == CANDLES
        assert_frame_equal(
            bars, kp.candles(subscribed.frame(), "1s", on="received_at", hours="any")
        )
    only = subscribed.candles("1s", "NSE:INFY", on="received_at")
    assert set(only["symbol"]) == {"NSE:INFY"}
    with pytest.raises(kp.ConfigError, match="every"):
        subscribed.candles("7 parsecs")


@pytest.fixture
def bounded(make_ticker: MakeTicker) -> kp.Ticker:
    """Return a ticker that holds sixty ticks, and whose candles of a second are asked for."""
    ticker = make_ticker(retention=kp.Retention(max_rows=60)).start()
    ticker.subscribe([INFY, SBIN, NIFTY], mode="full")
    assert ticker.wait(rows=3, timeout=PATIENCE)
    ticker.candles("1s", on="received_at")
    return ticker


def receive(ticker: kp.Ticker, kite: SimulatedKite, steps: int) -> pl.DataFrame:
    """Return the ticks of some steps, more than the ticker holds."""
    ticks = []
    for _ in range(steps):
        before = ticker.stats().ticks
        kite.step()
        assert ticker.wait(until=more_than(before + 2), timeout=PATIENCE)
        ticks.append(ticker.frame().tail(ticker.stats().ticks - before))
    assert ticker.frame().height < ticker.stats().ticks
    return pl.concat(ticks)


def test_candles_do_not_depend_on_retention(bounded: kp.Ticker, kite: SimulatedKite) -> None:
    snapshots = bounded.frame()
    whole = pl.concat([snapshots, receive(bounded, kite, 30)])
    bars = bounded.candles("1s", on="received_at")
    want = kp.candles(whole, "1s", on="received_at", hours="any")
    assert_frame_equal(bars.drop("is_partial"), want.drop("is_partial"))
    assert not bounded.events().filter(kind="candles").height


def test_candles_asked_for_after_ticks_were_dropped_begin_partial(
    bounded: kp.Ticker, kite: SimulatedKite
) -> None:
    receive(bounded, kite, 30)
    late = bounded.candles("2s", on="received_at")
    begins = bounded.frame()["received_at"][0]
    assert late.filter(pl.col("start") < begins)["is_partial"].all()


def test_an_event_says_once_from_when_on_late_candles_are_whole(
    bounded: kp.Ticker, kite: SimulatedKite
) -> None:
    receive(bounded, kite, 30)
    for _ in range(2):
        bounded.candles("2s", on="received_at")
    (event,) = bounded.events().filter(kind="candles")["detail"]
    assert "whole from" in event


def test_depth_is_ten_rows_of_the_last_book(subscribed: kp.Ticker, kite: SimulatedKite) -> None:
    step(subscribed, kite)
    book = subscribed.depth("NSE:INFY")
    last = subscribed.latest().row(by_predicate=pl.col("symbol") == "NSE:INFY", named=True)
    assert book.filter(side="bid")["price"].to_list() == last["bid_price"]
    assert book.filter(side="ask")["quantity"].to_list() == last["ask_quantity"]


def test_depth_says_what_would_work(subscribed: kp.Ticker) -> None:
    with pytest.raises(kp.UnknownInstrument, match="subscribe it in full mode"):
        subscribed.depth("NSE:ACC")
    with pytest.raises(kp.ConfigError, match="index"):
        subscribed.depth("NSE:NIFTY 50")


def test_movers_name_the_strongest(subscribed: kp.Ticker) -> None:
    movers = subscribed.movers(1)
    assert set(movers["mover"]) <= {"gainer", "loser"}
    assert movers.height <= 2


def test_an_option_chain_joins_live(make_ticker: MakeTicker) -> None:
    ticker = make_ticker().start()
    chain = ticker.instruments.option_chain("NIFTY")
    ticker.subscribe(chain, mode="full")
    assert ticker.wait(
        until=lambda ticker: ticker.latest().height == ticker.subscriptions().height,
        timeout=PATIENCE,
    )
    live = ticker.option_chain("NIFTY", strikes=3)
    assert live.height == 7
    assert live["call_iv"].drop_nulls().is_between(0.01, 2).all()
    assert (live["call_delta"].drop_nulls() > 0).all()
    assert live["strike"].is_sorted()


def test_the_instruments_of_a_chain_are_found_once_for_each_list(ticker: kp.Ticker) -> None:
    first = ticker._listed_chain("NIFTY", None, exchange=None)
    assert ticker._listed_chain("NIFTY", None, exchange=None) is first
    ticker.instruments = kp.Instruments(ticker.instruments.frame)
    assert ticker._listed_chain("NIFTY", None, exchange=None) is not first


def test_a_chain_of_which_nothing_is_subscribed_says_what_to_do(ticker: kp.Ticker) -> None:
    with pytest.warns(UserWarning, match="no contract of this chain is subscribed") as warned:
        live = ticker.option_chain("NIFTY", strikes=3)
    assert live.height == 7
    assert [warning.filename for warning in warned] == [__file__]
    advice = str(warned[0].message).partition(": ")[2]
    exec(advice, {"ticker": ticker})  # noqa: S102 - the advice is our own
    assert ticker.option_chain("NIFTY", strikes=3).height == 7
    tokens = ticker.instruments.tokens(ticker.instruments.option_chain("NIFTY"))
    assert set(ticker.subscriptions()["instrument_token"]) == set(tokens)


def test_a_chain_of_calls_lies_around_the_live_index(ticker: kp.Ticker) -> None:
    chain = ticker.instruments.option_chain("NIFTY")
    calls = chain["call_token"].head(20).to_list()
    ticker.subscribe([NIFTY, *calls], mode="full")
    assert ticker.wait(until=lambda ticker: ticker.latest().height == 21, timeout=PATIENCE)
    live = ticker.option_chain("NIFTY", strikes=3)
    level = ticker.latest().filter(instrument_token=NIFTY)["last_price"][0]
    nearest = chain["strike"].to_numpy()[abs(chain["strike"].to_numpy() - level).argmin()]
    assert live["strike"].to_list()[3] == nearest
    assert live.height == 7
    forward = ticker.option_chain("NIFTY", strikes=None, forward=level)
    assert forward["call_iv"].count() > 10
    assert forward["put_iv"].null_count() == chain.height


def test_orders_are_typed_and_the_furthest_update_wins(
    ticker: kp.Ticker, kite: SimulatedKite
) -> None:
    stamp = "2026-11-20 10:00:0"
    for status, filled, second in (("OPEN", 0, 1), ("COMPLETE", 10, 3), ("UPDATE", 4, 2)):
        kite.order_update(
            order_id="A",
            status=status,
            filled_quantity=filled,
            average_price=12.5,
            order_timestamp=f"{stamp}{second}",
            exchange_update_timestamp=f"{stamp}{second}",
        )
    kite.order_update(order_id="B", status="OPEN", quantity="many", unheard_of=[1])
    assert ticker.wait(until=lambda ticker: ticker.orders().height == 4, timeout=PATIENCE)
    orders = ticker.orders()
    assert orders["status"].to_list() == ["OPEN", "COMPLETE", "UPDATE", "OPEN"]
    assert str(orders["order_timestamp"][0]) == "2026-11-20 10:00:01+05:30"
    assert orders["quantity"][3] is None
    assert '"quantity": "many"' in orders["other"][3]
    assert '"unheard_of": [1]' in orders["other"][3]
    latest = ticker.orders(latest=True)
    assert dict(latest.select("order_id", "status").rows()) == {"A": "COMPLETE", "B": "OPEN"}


def test_candles_with_indicators_are_those_of_the_whole_frame(
    subscribed: kp.Ticker, kite: SimulatedKite
) -> None:
    indicators = [kp.indicators.ema(2), kp.indicators.macd(2, 3, 2)]
    for _ in range(3):
        step(subscribed, kite, 2)
        got = subscribed.candles("1s", on="received_at", indicators=indicators)
        want = got.select(CANDLES.names()).with_columns(indicators).unnest("macd")
        assert_frame_equal(got, want, check_exact=True)
    finished = subscribed.candles(
        "1s", "NSE:INFY", on="received_at", include_partial=False, indicators=indicators
    )
    assert finished.columns == got.columns
    assert not finished["is_partial"].any()
    with pytest.raises(ConfigError, match=r"rsi\(14\)"):
        subscribed.candles("1s", indicators=[pl.col("close")])  # type: ignore[list-item]


def test_a_frame_has_what_has_arrived_though_reads_wait_for_more(
    kite: SimulatedKite, make_ticker: MakeTicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitepolars.ticker.sources.READ_INTERVAL", 3_600.0)
    ticker = make_ticker(flush=kp.Flush(interval=None)).start()
    ticker.subscribe([INFY])

    def has(rows: int) -> Callable[[kp.Ticker], bool]:
        return lambda it: it.frame().height == rows

    for rows in range(1, 24):  # the first is the cached value
        assert ticker.wait(until=has(rows), timeout=PATIENCE)
        kite.step()
