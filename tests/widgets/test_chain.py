"""The option chain view: its numbers, expiries, selection, and the change of open interest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.widgets import OptionChain
from kitepolars.widgets.chain import SIDE_FIELDS, first_open_interest
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.threads import Publisher
from patience import PATIENCE
from widgets.page import Page

Show = Callable[..., Page]
WIDTH = 1 + 2 * len(SIDE_FIELDS)


@pytest.fixture(scope="module")
def options_ticker() -> Iterator[kp.Ticker]:
    """A running ticker with ticks of every contract of the nearest expiry."""
    with kp.demo(instruments=[], rate=10) as running:
        chain = running.instruments.option_chain("NIFTY")
        contracts = running.instruments.tokens(chain)
        running.subscribe(chain, mode="full")
        running.subscribe(["NSE:NIFTY 50"], mode="full")
        assert running.wait(
            until=lambda ticker: ticker.latest().height > len(contracts), timeout=PATIENCE
        )
        yield running


def rows_of(
    buffers: list[bytes] | tuple[bytes, ...],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.frombuffer(buffers[0]).reshape(-1, WIDTH)


def test_the_view_shows_what_option_chain_returns(options_ticker: kp.Ticker) -> None:
    options_ticker.stop()  # both then see the same ticks
    try:
        chain = OptionChain(options_ticker, "NIFTY", strikes=6)
        update = chain._snapshot(Reading(options_ticker))
        expected = options_ticker.option_chain("NIFTY", strikes=6)
    finally:
        options_ticker.start()
    rows = rows_of([bytes(buffer) for buffer in update.buffers])
    assert rows[:, 0].tolist() == expected["strike"].to_list()
    for place, side in enumerate(("call", "put")):
        for field in set(SIDE_FIELDS) - {"oi_change"}:
            shown = rows[:, 1 + place * len(SIDE_FIELDS) + SIDE_FIELDS.index(field)]
            wanted = expected[f"{side}_{field}"].cast(pl.Float64).to_numpy()
            np.testing.assert_array_equal(shown, wanted)
    assert update.content["missing"] == 0
    assert update.content["reference"] == "NIFTY 50"
    listed = options_ticker.instruments.option_chain("NIFTY")
    oi = dict(options_ticker.latest().select("instrument_token", "oi").iter_rows())
    calls, puts = (sum(map(oi.__getitem__, listed[f"{side}_token"])) for side in ("call", "put"))
    assert update.content["put_call_ratio"] == pytest.approx(puts / calls, rel=0.05)


def test_the_change_of_open_interest_counts_from_the_first_tick_held() -> None:
    at = dt.datetime(2026, 11, 26, 9, 15, tzinfo=dt.UTC)
    ticks = pl.DataFrame(
        {
            "instrument_token": [1, 2, 1, 3],
            "oi": [None, 70, 50, 9],
            "received_at": [at + dt.timedelta(seconds=second) for second in range(4)],
        },
        schema_overrides={"instrument_token": pl.UInt32, "oi": pl.UInt32},
    )
    first = first_open_interest(ticks, pl.Series([1, 2], dtype=pl.UInt32))
    assert first == {1: (50, at + dt.timedelta(seconds=2)), 2: (70, at + dt.timedelta(seconds=1))}


def test_a_view_switches_expiry_and_strikes_and_subscribes(
    options_ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    chain = OptionChain(options_ticker, "NIFTY", publisher=publisher)
    page = show(chain)
    page.say("ready")
    whole, _ = page.wait(lambda each: each["kind"] == "snapshot")
    following = whole["expiries"][1]
    page.say("expiry", expiry=following)
    offered, _ = page.wait(lambda each: each.get("expiry") == following)
    assert offered["missing"] == offered["contracts"] > 0
    assert str(chain.expiry) == following
    page.say("strikes", strikes="6")
    _, buffers = page.wait(lambda each: each.get("strikes") == "6")
    assert len(rows_of(buffers)) == 13
    page.say("subscribe")
    page.wait(lambda each: each.get("expiry") == following and each["missing"] == 0)
    page.say("expiry", expiry="2030-01-01")
    page.wait(lambda each: "expiry" in (each.get("notice") or ""))
    page.say("gone")


def test_a_chain_that_cannot_be_is_refused(options_ticker: kp.Ticker) -> None:
    with pytest.raises(UnknownInstrument):
        options_ticker.chain("NOSUCH")
    with pytest.raises(ConfigError, match="expiry"):
        options_ticker.chain("NIFTY", "2030-01-01")
    with pytest.raises(ConfigError, match="strikes"):
        options_ticker.chain("NIFTY", strikes=-1)
