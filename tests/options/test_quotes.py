"""What a chain makes of odd quotes: stale, one-sided, crossed, absurdly wide, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from math import erf, exp, log, sqrt
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.options import join_chain

EXPIRY: Final = date(2026, 11, 26)
NOW: Final = datetime(2026, 11, 20, 11, 0, tzinfo=IST)
YEARS: Final = (datetime(2026, 11, 26, 15, 30, tzinfo=IST) - NOW).total_seconds() / (365 * 86_400)
FORWARD, VOLATILITY = 1508.0, 0.30
STRIKES: Final = tuple(float(strike) for strike in range(1_300, 1_700, 20))
FIRST_TOKEN: Final = 256_002  # the low byte says NFO
INDEX, FUTURE = 256_265, 900_002

Row = dict[str, Any]
Market = dict[tuple[float, str], Row]


def black(kind: str, strike: float, forward: float, volatility: float) -> float:
    """Return an undiscounted price; written apart from the package, as its oracle."""

    def normal(x: float) -> float:
        return (1 + erf(x / sqrt(2))) / 2

    deviation = volatility * sqrt(YEARS)
    d1 = log(forward / strike) / deviation + deviation / 2
    sign = 1 if kind == "CE" else -1
    return sign * (forward * normal(sign * d1) - strike * normal(sign * (d1 - deviation)))


def market(
    forward: float = FORWARD,
    volatility: float = VOLATILITY,
    strikes: tuple[float, ...] = STRIKES,
    half_spread: float = 0.05,
    rate: float = 0.0,
) -> Market:
    """Return a tick of each contract, quoted at the model's price and just traded there."""
    ticks: Market = {}
    for place, strike in enumerate(strikes):
        for side, kind in enumerate(("CE", "PE")):
            fair = exp(-rate * YEARS) * black(kind, strike, forward, volatility)
            ticks[strike, kind] = {
                "instrument_token": FIRST_TOKEN + 256 * (2 * place + side),
                "received_at": NOW,
                "exchange_timestamp": NOW,
                "last_trade_time": NOW,
                "last_price": fair,
                "volume_traded": 500,
                "bid_price": book(max(fair - half_spread, 0.0)),
                "ask_price": book(fair + half_spread),
            }
    return ticks


def book(best: float) -> list[float]:
    return [float(best), 0.0, 0.0, 0.0, 0.0]


def chain_of(ticks: Market) -> pl.DataFrame:
    strikes = sorted({strike for strike, _ in ticks})
    return pl.DataFrame(
        {
            "underlying": ["ABC"] * len(strikes),
            "expiry": [EXPIRY] * len(strikes),
            "strike": strikes,
            "call_token": [ticks[strike, "CE"]["instrument_token"] for strike in strikes],
            "put_token": [ticks[strike, "PE"]["instrument_token"] for strike in strikes],
        },
        schema_overrides={"call_token": pl.UInt32, "put_token": pl.UInt32},
    )


def frame(ticks: Market, *more: Row, mode: str = "full") -> pl.DataFrame:
    absent = {
        "full": (),
        "quote": ("exchange_timestamp", "last_trade_time", "bid_price", "ask_price"),
        "ltp": (
            "exchange_timestamp", "last_trade_time", "bid_price", "ask_price", "volume_traded",
        ),
    }[mode]  # fmt: skip
    columns = {name: SCHEMA[name] for name in market()[1_500.0, "CE"]}
    rows = [{name: row.get(name) for name in columns} for row in (*ticks.values(), *more)]
    return pl.DataFrame(rows, schema=columns).with_columns(
        pl.lit(None, columns[name]).alias(name) for name in absent
    )


def joined(ticks: Market, *more: Row, mode: str = "full", **settings: Any) -> pl.DataFrame:
    return join_chain(chain_of(ticks), frame(ticks, *more, mode=mode), **settings)


def at(live: pl.DataFrame, strike: float) -> Row:
    return live.row(by_predicate=pl.col("strike") == strike, named=True)


def quote(bid: float, ask: float, **more: Any) -> Row:
    return {"bid_price": book(bid), "ask_price": book(ask)} | more


AN_HOUR_AGO: Final = NOW - timedelta(hours=1)
ODD: Final[dict[str, Row]] = {
    "no quotes, and a price of long ago": quote(0, 0, last_price=0.1, last_trade_time=AN_HOUR_AGO),
    "no quotes, a price of yesterday": quote(0, 0, last_price=0.1, volume_traded=0),
    "never traded": quote(0, 0, last_price=0.0, volume_traded=0),
    "absurdly wide": quote(0.05, 400, last_price=0.1, volume_traded=0),
    "wide, and a stale trade": quote(5, 300, last_price=40, last_trade_time=AN_HOUR_AGO),
    "wide, and a stale trade below": quote(5, 300, last_price=2, last_trade_time=AN_HOUR_AGO),
    "a bid alone": quote(0.05, 0, last_price=0.1, volume_traded=0),
    "an ask alone": quote(0, 900, last_price=0.1, volume_traded=0),
    "crossed": quote(300, 20, last_price=150),
    "an old book": quote(400, 401, last_price=400, exchange_timestamp=AN_HOUR_AGO),
    "an old book of a lost connection": quote(
        400, 401, exchange_timestamp=None, received_at=AN_HOUR_AGO
    ),
}


@pytest.mark.parametrize("strike", [1_300.0, 1_500.0, 1_520.0, 1_680.0])
@pytest.mark.parametrize("kinds", [("CE",), ("PE",), ("CE", "PE")])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_one_bad_strike_moves_nothing(strike: float, kinds: tuple[str, ...], odd: Row) -> None:
    ticks = market()
    for kind in kinds:
        ticks[strike, kind] |= odd
    live = joined(ticks)
    assert live["forward"][0] == pytest.approx(FORWARD, abs=0.05)
    bad = at(live, strike)
    for side, kind in (("call", "CE"), ("put", "PE")):
        if kind in kinds:
            assert [bad[f"{side}_{name}"] for name in ("iv", "delta", "theta")] == [None] * 3
    good = at(live, 1_480.0)
    assert (good["call_iv"], good["put_iv"]) == pytest.approx((VOLATILITY, VOLATILITY), abs=1e-3)
    assert 1_500.0 in joined(ticks, strikes=1)["strike"]


def test_three_bad_strikes_at_the_money_are_outvoted() -> None:
    """They are tight and fresh, and too dear: nothing but the other strikes says so."""
    ticks = market()
    for strike in (1_480.0, 1_500.0, 1_520.0):
        dear = ticks[strike, "CE"]["last_price"] + 9
        ticks[strike, "CE"] |= quote(dear - 0.05, dear + 0.05)
    assert joined(ticks)["forward"][0] == pytest.approx(FORWARD, abs=0.05)


def test_pairs_that_leave_the_forward_undecided_do_not_count() -> None:
    ticks = market(strikes=(1_400.0, 1_410.0, 1_420.0, 1_430.0, 1_500.0, 1_510.0, 1_520.0))
    for strike in (1_400.0, 1_410.0, 1_420.0, 1_430.0):
        fair = ticks[strike, "CE"]["last_price"]
        ticks[strike, "CE"] |= quote(fair, 1.5 * fair)
    assert joined(ticks)["forward"][0] == pytest.approx(FORWARD, abs=0.05)


def test_old_last_prices_far_from_the_money_do_not_count() -> None:
    """In ltp mode nothing tells an old price, but few trade far from the money."""
    ticks = market()
    for strike in STRIKES:
        if abs(strike - FORWARD) > 80:
            for kind in ("CE", "PE"):
                ticks[strike, kind] |= {"last_price": black(kind, strike, FORWARD - 30, VOLATILITY)}
    live = joined(ticks, mode="ltp")
    assert live["forward"][0] == pytest.approx(FORWARD)


def test_a_quote_below_intrinsic_value_has_no_volatility() -> None:
    ticks = market()
    ticks[1_400.0, "CE"] |= quote(106.0, 107.0)
    live = joined(ticks)
    assert live["forward"][0] == pytest.approx(FORWARD, abs=0.05)
    assert (at(live, 1_400)["call_iv"], at(live, 1_400)["call_delta"]) == (None, None)
    assert at(live, 1_400)["call_bid"] == 106.0


def test_an_empty_side_is_null() -> None:
    ticks = market()
    ticks[1_500.0, "CE"] |= quote(0.0, 9.0)
    ticks[1_500.0, "PE"] |= quote(9.0, 0.0, last_price=0.0)
    row = at(joined(ticks), 1_500)
    assert (row["call_bid"], row["call_ask"]) == (None, 9.0)
    assert (row["put_bid"], row["put_ask"], row["put_last_price"]) == (9.0, None, None)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "value"),
    [
        (40.0, 0.0, 35.0, 40.0),  # somebody pays 40
        (40.0, 0.0, 41.0, 41.0),
        (0.0, 30.0, 35.0, 30.0),  # somebody sells at 30
        (0.0, 30.0, 29.0, 29.0),
        (10.0, 60.0, 33.0, 33.0),  # too wide for its middle
        (10.0, 60.0, 70.0, 60.0),
        (30.0, 34.0, 50.0, 32.0),
    ],
)
def test_bid_and_ask_bound_the_last_trade(
    bid: float, ask: float, last: float, value: float
) -> None:
    ticks = market()
    ticks[1_500.0, "CE"] |= quote(bid, ask, last_price=last)
    iv = at(joined(ticks, forward=FORWARD), 1_500)["call_iv"]
    assert black("CE", 1_500, FORWARD, iv) == pytest.approx(value)


def test_a_bid_above_a_trade_of_an_hour_ago_still_counts() -> None:
    ticks = market()
    ticks[1_500.0, "CE"] |= quote(40.0, 0.0, last_price=3.0, last_trade_time=AN_HOUR_AGO)
    iv = at(joined(ticks), 1_500)["call_iv"]
    assert black("CE", 1_500, FORWARD, iv) == pytest.approx(40.0, abs=0.05)


def test_only_the_age_that_is_asked_for_is_stale() -> None:
    ticks = market()
    for kind in ("CE", "PE"):
        ticks[1_500.0, kind] |= {"exchange_timestamp": NOW - timedelta(minutes=10)}
    assert at(joined(ticks), 1_500)["call_iv"] is None
    patient = joined(ticks, max_age=timedelta(minutes=15))
    assert at(patient, 1_500)["call_iv"] == pytest.approx(VOLATILITY, abs=1e-3)
    with pytest.raises(ConfigError, match="max_age"):
        joined(ticks, max_age=timedelta(-1))


@pytest.mark.parametrize("mode", ["quote", "ltp"])
def test_modes_without_a_book_take_last_prices(mode: str) -> None:
    ticks = market()
    ticks[1_300.0, "CE"] |= {"last_price": 0.1, "volume_traded": 0}
    live = joined(ticks, mode=mode)
    assert live["forward"][0] == pytest.approx(FORWARD)
    assert at(live, 1_500)["put_iv"] == pytest.approx(VOLATILITY, abs=1e-6)
    assert at(live, 1_300)["call_iv"] is None


def test_in_quote_mode_arrival_says_what_is_stale() -> None:
    ticks = market()
    for strike in STRIKES[:8]:
        for kind in ("CE", "PE"):
            price = black(kind, strike, FORWARD - 60, VOLATILITY)
            ticks[strike, kind] |= {"last_price": price, "received_at": AN_HOUR_AGO}
    live = joined(ticks, mode="quote")
    assert live["forward"][0] == pytest.approx(FORWARD)
    assert at(live, STRIKES[0])["put_iv"] is None


WRONG_CLOCKS: Final[dict[str, Row]] = {
    "a day ahead": {"exchange_timestamp": NOW + timedelta(days=1)},
    "a month ahead": {"exchange_timestamp": NOW + timedelta(days=40)},
    "before there were exchanges": {"exchange_timestamp": datetime(1970, 1, 1, tzinfo=IST)},
    "a day ahead, arrival unknown": {
        "exchange_timestamp": NOW + timedelta(days=1),
        "received_at": None,
    },
}


@pytest.mark.parametrize("wrong", WRONG_CLOCKS.values(), ids=WRONG_CLOCKS.keys())
@pytest.mark.parametrize("of", ["a contract", "another instrument"])
def test_one_wrong_clock_does_not_move_the_time(wrong: Row, of: str) -> None:
    ticks, more = market(), []
    if of == "a contract":
        ticks[1_500.0, "CE"] |= wrong
    else:
        more = [ticks[1_500.0, "CE"] | {"instrument_token": 408_065} | wrong]
    live = joined(ticks, *more)
    assert live["years"][0] == pytest.approx(YEARS)
    assert at(live, 1_500)["call_iv"] == pytest.approx(VOLATILITY, abs=1e-3)


def test_exchange_times_long_after_arrival_are_not_believed() -> None:
    ahead = {"exchange_timestamp": NOW + timedelta(hours=2)}
    live = joined({key: row | ahead for key, row in market().items()})
    assert live["years"][0] == pytest.approx(YEARS)


def test_the_time_is_that_of_the_chain_not_of_another_market() -> None:
    rupee = {"instrument_token": 259, "exchange_timestamp": NOW + timedelta(hours=2)}
    live = joined(market(), market()[1_500.0, "CE"] | rupee | {"received_at": None})
    assert live["years"][0] == pytest.approx(YEARS)


def future(price: float, **more: Any) -> Row:
    row = market()[1_500.0, "CE"] | {"instrument_token": FUTURE, "last_price": price}
    return row | quote(price - 1, price + 1) | more


def one_sided(ticks: Market, kind: str) -> Market:
    """Let nobody quote or trade one kind of option."""
    nothing = quote(0, 0, volume_traded=0)
    return {key: row | nothing if key[1] == kind else row for key, row in ticks.items()}


def test_the_future_is_the_forward_where_no_pair_is_quoted() -> None:
    ticks = one_sided(market(), "PE")
    live = joined(ticks, future(FORWARD), future=FUTURE)
    assert live["forward"][0] == FORWARD
    assert at(live, 1_500)["call_iv"] == pytest.approx(VOLATILITY, abs=1e-3)
    assert joined(ticks, future(FORWARD))["forward"].null_count() == len(STRIKES)
    stale = future(FORWARD, exchange_timestamp=AN_HOUR_AGO)
    assert joined(ticks, stale, future=FUTURE)["forward"].null_count() == len(STRIKES)


def test_several_pairs_come_before_the_future_and_one_pair_after_it() -> None:
    ticks = market()
    assert joined(ticks, future(1_400), future=FUTURE)["forward"][0] == pytest.approx(FORWARD)
    single = one_sided(ticks, "PE") | {(1_500.0, "PE"): ticks[1_500.0, "PE"]}
    assert joined(single, future(1_512), future=FUTURE)["forward"][0] == 1_512
    assert joined(single)["forward"][0] == pytest.approx(FORWARD)


def test_strikes_lie_around_the_index_where_no_pair_is_quoted() -> None:
    ticks = one_sided(market(), "PE")
    index = {"instrument_token": INDEX, "received_at": NOW, "last_price": 1_418.0}
    live = joined(ticks, index, references=[INDEX], strikes=1)
    assert live["strike"].to_list() == [1_400, 1_420, 1_440]
    assert live["call_last_price"].null_count() == 0
    assert live["call_iv"].null_count() == 3
    old = index | {"received_at": AN_HOUR_AGO}
    live = joined(ticks, old, future(1_501), references=[INDEX, FUTURE], strikes=1)
    assert live["strike"].to_list() == [1_480, 1_500, 1_520]


def test_strikes_are_limited_whatever_is_known() -> None:
    ticks = market()
    nothing = frame(ticks).clear()
    live = join_chain(chain_of(ticks), nothing, strikes=3)
    assert (live.height, live["years"].null_count(), live["forward"].null_count()) == (7, 7, 7)
    index = {"instrument_token": INDEX, "received_at": NOW, "last_price": 1_418.0}
    live = join_chain(chain_of(ticks), frame({(0.0, "CE"): index}), references=[INDEX], strikes=0)
    assert live["strike"].to_list() == [1_420]
    assert live["years"][0] == pytest.approx(YEARS)
    assert live.schema == join_chain(chain_of(ticks), frame(ticks)).schema
    low = frame({key: row for key, row in ticks.items() if key == (1_340.0, "CE")})
    live = join_chain(chain_of(ticks), low, strikes=1)
    assert live["strike"].to_list() == [1_320, 1_340, 1_360]
    assert joined(ticks, strikes=0)["strike"].to_list() == [1_500]
    assert joined(ticks, forward=9e9, strikes=2)["strike"].to_list() == [1_640, 1_660, 1_680]


def test_an_empty_chain_stays_empty() -> None:
    ticks = market()
    empty = join_chain(chain_of(ticks).clear(), frame(ticks), strikes=3)
    assert empty.is_empty()
    assert empty.schema == joined(ticks).schema


@given(
    terms=st.tuples(st.floats(1_380, 1_620), st.floats(0.1, 0.8), st.sampled_from([0.0, 0.065])),
    noise=st.floats(0, 2),
    seed=st.integers(0, 2**32 - 1),
    outliers=st.lists(
        st.tuples(st.sampled_from(STRIKES), st.sampled_from(("CE", "PE")), st.floats(1, 900)),
        max_size=3,
        unique_by=lambda outlier: outlier[0],
    ),
)
@settings(deadline=None)
def test_noise_and_outliers_leave_the_forward_within_the_noise(
    terms: tuple[float, float, float],
    noise: float,
    seed: int,
    outliers: list[tuple[float, str, float]],
) -> None:
    """Each quote is off by the noise; up to three tight, fresh quotes are off by anything."""
    rng = np.random.default_rng(seed)
    forward, volatility, rate = terms
    ticks = market(forward, volatility, rate=rate)
    for row in ticks.values():
        middle = max(row["last_price"] + rng.uniform(-noise, noise), 0.1)
        row.update(quote(middle - 0.05, middle + 0.05))
    for strike, kind, price in outliers:
        ticks[strike, kind] |= quote(price, price + 0.05)
    found = joined(ticks, rate=rate)["forward"][0]
    # A quote cannot fall to 0 or below, so that cheap ones are off by 0.1 more.
    assert found == pytest.approx(forward, abs=(2 * noise + 0.2) * 1.01)


@given(
    forward=st.floats(1_380, 1_620),
    volatility=st.floats(0.15, 0.8),
    rate=st.sampled_from([0.0, 0.065]),
)
@settings(deadline=None)
def test_volatility_and_parity_come_back(forward: float, volatility: float, rate: float) -> None:
    live = joined(market(forward, volatility, half_spread=1e-3, rate=rate), rate=rate)
    assert live["forward"][0] == pytest.approx(forward, abs=1e-6 * forward)
    near = live.filter((pl.col("strike") - forward).abs() < 50)
    for side in ("call", "put"):
        assert near[f"{side}_iv"].to_list() == pytest.approx([volatility] * near.height, rel=1e-4)
    assert (near["call_delta"] - near["put_delta"]).to_list() == pytest.approx(
        [exp(-rate * YEARS)] * near.height
    )
    assert (near["call_delta"].diff().drop_nulls() < 0).all()


@given(st.data())
@settings(deadline=None)
def test_a_value_is_never_outside_its_own_quotes(data: st.DataObject) -> None:
    """Whatever is quoted: the volatility gives a price within bid and ask, or is null."""
    draw: Callable[..., Any] = data.draw
    ticks = market()
    bid, ask, last = (draw(st.sampled_from([0.0, 0.05, 1, 12.5, 40, 41, 60, 900])) for _ in "abc")
    age = draw(st.sampled_from([0, 60, 301, 7_200]))
    ticks[1_500.0, "CE"] |= quote(
        bid, ask, last_price=last, volume_traded=draw(st.sampled_from([0, 5])),
        last_trade_time=NOW - timedelta(seconds=age),
    )  # fmt: skip
    row = at(joined(ticks), 1_500)
    if row["call_iv"] is None:
        return
    value = black("CE", 1_500, row["forward"], row["call_iv"])
    assert value >= bid - 1e-6
    assert value <= (ask or np.inf) + 1e-6
    assert bid <= (ask or np.inf)
