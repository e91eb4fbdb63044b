"""Names, modes, capacity, and what the server receives."""

from __future__ import annotations

from typing import Any

import pytest

import kitepolars as kp
from kitepolars.frames.schema import SCHEMA
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, NIFTY, SBIN, MakeTicker  # isort: skip


def test_names_tokens_and_frames_can_be_subscribed(
    ticker: kp.Ticker, kite: SimulatedKite, instruments: kp.Instruments
) -> None:
    ticker.subscribe("NSE:INFY", mode="FULL")
    ticker.subscribe([SBIN, "nse:nifty 50"], mode=kp.Mode.LTP)
    ticker.subscribe(instruments.frame.filter(tradingsymbol="ACC", exchange="NSE"))
    assert kite.wait_for(
        lambda kite: kite.subscribed() == {INFY: "full", SBIN: "ltp", NIFTY: "ltp", 5633: "quote"}
    )
    rows = ticker.subscriptions().sort("symbol").rows()
    assert (INFY, "NSE:INFY", "full", 0) in rows
    assert len(rows) == 4


def test_a_mode_change_and_an_unsubscribe_reach_the_server(
    ticker: kp.Ticker, kite: SimulatedKite
) -> None:
    ticker.subscribe([INFY, SBIN])
    ticker.set_mode("NSE:INFY", "full")
    ticker.unsubscribe([SBIN, NIFTY])
    assert kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full"})
    assert len(kite.handshakes) == 1


def test_unknown_names_change_nothing_and_suggest(ticker: kp.Ticker) -> None:
    with pytest.raises(kp.UnknownInstrument, match="did you mean") as caught:
        ticker.subscribe(["NSE:SBIN", "NSE:INFI"])
    assert "NSE:INFY" in caught.value.suggestions
    assert ticker.subscriptions().height == 0
    with pytest.raises(KeyError):
        ticker.set_mode(["NSE:SBIN"], "full")


def test_without_a_list_names_say_what_to_do(make_ticker: MakeTicker) -> None:
    ticker = make_ticker(instruments=None)
    with pytest.raises(kp.UnknownInstrument, match=r"Instruments\.fetch"):
        ticker.subscribe("NSE:INFY")
    ticker.subscribe([INFY])
    assert ticker.subscriptions()["symbol"].to_list() == [None]


def test_too_many_change_nothing(make_ticker: MakeTicker) -> None:
    ticker = make_ticker(limits=kp.Limits(connections=2, instruments_per_connection=3))
    ticker.subscribe(range(1, 6))
    with pytest.raises(kp.CapacityExceeded) as caught:
        ticker.subscribe([5, 6, 7])
    assert (caught.value.requested, caught.value.available) == (2, 1)
    assert ticker.subscriptions().height == 5


def test_nine_thousand_instruments_over_three_connections(
    ticker: kp.Ticker, kite: SimulatedKite, instruments: kp.Instruments
) -> None:
    tokens = instruments.frame["instrument_token"].head(9_000)
    ticker.subscribe(tokens, mode="full")
    assert ticker.wait(rows=9_000, timeout=PATIENCE)
    assert ticker.connections()["instruments"].to_list() == [3_000] * 3
    assert len(kite.subscribed()) == 9_000
    frame = ticker.frame()
    assert frame.schema == SCHEMA
    assert frame["instrument_token"].n_unique() == 9_000
    assert frame["is_snapshot"].all()
    assert frame["symbol"].null_count() == 0
    assert set(frame["connection"]) == {0, 1, 2}
    stats = ticker.stats()
    assert (stats.ticks, stats.rejected_packets, stats.dropped) == (9_000, 0, 0)
    with pytest.raises(kp.CapacityExceeded):
        ticker.subscribe(instruments.frame["instrument_token"][9_000])


def test_symbols_follow_a_list_that_is_assigned_later(
    make_ticker: MakeTicker, instruments: kp.Instruments
) -> None:
    ticker = make_ticker(instruments=None).start()
    ticker.subscribe([INFY])
    assert ticker.wait(rows=1, timeout=PATIENCE)
    assert ticker.frame()["symbol"].to_list() == [None]
    ticker.instruments = instruments
    assert ticker.frame()["symbol"].to_list() == ["NSE:INFY"]


def test_what_is_done_to_the_frame_of_subscriptions_stays_there(
    make_ticker: MakeTicker, instruments: kp.Instruments
) -> None:
    ticker = make_ticker(instruments=None)
    ticker.subscribe([INFY])
    ticker.subscriptions().drop_in_place("symbol")
    assert ticker.subscriptions()["symbol"].to_list() == [None]
    ticker.instruments = instruments
    assert ticker.subscriptions()["symbol"].to_list() == ["NSE:INFY"]
    ticker.set_mode([INFY], "ltp")
    assert ticker.subscriptions()["mode"].to_list() == ["ltp"]


def test_a_note_is_an_event_without_credentials(make_ticker: MakeTicker) -> None:
    ticker = make_ticker(access_token="hush-hush")
    ticker.note("strategy", "went long with hush-hush")
    kind, detail = ticker.events().select("kind", "detail").row(-1)
    assert kind == "strategy"
    assert detail.startswith("went long with ")
    assert "hush" not in detail


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"api_key": None}, "api_key"),
        ({"access_token": None}, "access_token"),
        ({"default_mode": "depth"}, "mode"),
        ({"url": "http://127.0.0.1"}, "url"),
        ({"accounts": []}, "accounts"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    make_ticker: MakeTicker, settings: dict[str, object], field: str
) -> None:
    with pytest.raises(kp.ConfigError) as caught:
        make_ticker(**settings)
    assert caught.value.field == field


def test_a_wrong_mode_says_which_there_are(ticker: kp.Ticker) -> None:
    with pytest.raises(kp.ConfigError, match="'ltp', 'quote', 'full'"):
        ticker.subscribe([INFY], mode="depth")


def test_no_secret_shows(make_ticker: MakeTicker) -> None:
    ticker = make_ticker(access_token="hush-hush").start()
    ticker.subscribe([INFY])
    shown = [repr(ticker), str(ticker.stats()), repr(vars(ticker)), ticker._repr_html_()]
    shown += [frame.write_json() for frame in (ticker.events(), ticker.connections())]
    assert "hush" not in " ".join(shown)


def test_several_accounts_share_the_work(make_ticker: MakeTicker) -> None:
    ticker = make_ticker(
        accounts=[kp.Account("one", "key1", "t"), kp.Account("two", "key2", "t")],
        limits=kp.Limits(connections=1, instruments_per_connection=10),
    ).start()
    ticker.subscribe(range(257, 257 + 20 * 256, 256))
    assert ticker.connections().select("account", "instruments").rows() == [
        ("one", 10),
        ("two", 10),
    ]


@pytest.mark.parametrize("typed", ["nse:infy", ["NSE:SBIN", "nse:infy"], [779521, "nse:infy"]])
def test_what_is_not_subscribed_is_named_as_typed(ticker: kp.Ticker, typed: Any) -> None:
    ticker.subscribe("NSE:SBIN")
    with pytest.raises(kp.UnknownInstrument, match=r"'nse:infy'.*subscribe first"):
        ticker.set_mode(typed, "FULL")
    ticker.set_mode("NSE:SBIN", "Full")
    assert ticker.subscriptions()["mode"].to_list() == ["full"]
