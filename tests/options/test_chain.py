"""The live chain: quotes beside strikes, and what the model says of them."""

from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import SCHEMA
from kitepolars.options import join_chain, price

EXPIRY = date(2026, 11, 26)
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=IST)
YEARS = (datetime(2026, 11, 26, 15, 30, tzinfo=IST) - NOW).total_seconds() / (365 * 86_400)
STRIKES = np.arange(23_500.0, 24_501.0, 100.0)
FORWARD, VOLATILITY, RATE = 24_030.0, 0.14, 0.06
NFO = 2  # the low byte of its tokens


def token(place: int, side: int) -> int:
    return (1_000 + 2 * place + side) * 256 + NFO


@pytest.fixture
def chain() -> pl.DataFrame:
    places = range(len(STRIKES))
    return pl.DataFrame(
        {
            "underlying": ["NIFTY"] * len(STRIKES),
            "expiry": [EXPIRY] * len(STRIKES),
            "strike": STRIKES,
            "lot_size": [75] * len(STRIKES),
            "call_token": [token(place, 0) for place in places],
            "call_symbol": [f"NFO:C{strike:g}" for strike in STRIKES],
            "put_token": [token(place, 1) for place in places],
            "put_symbol": [f"NFO:P{strike:g}" for strike in STRIKES],
        },
        schema_overrides={"call_token": pl.UInt32, "put_token": pl.UInt32},
    )


def worth(kind: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return price(
        kind, forward=FORWARD, strike=STRIKES, years=YEARS, volatility=VOLATILITY, rate=RATE
    )


@pytest.fixture
def latest() -> pl.DataFrame:
    rows = [
        {
            "instrument_token": token(place, side),
            "exchange_timestamp": NOW,
            "last_price": value,
            "bid_price": [value - 0.5, *[0.0] * 4],
            "ask_price": [value + 0.5, *[0.0] * 4],
            "volume_traded": 100 + place,
            "oi": 1_000 + place,
        }
        for side, kind in enumerate(("CE", "PE"))
        for place, value in enumerate(worth(kind).tolist())
    ]
    columns = {name: SCHEMA[name] for name in rows[0]}
    return pl.DataFrame(rows, schema=columns)


def test_quotes_stand_on_both_sides_of_the_strike(
    chain: pl.DataFrame, latest: pl.DataFrame
) -> None:
    joined = join_chain(chain, latest, rate=RATE)
    outwards = ["last_price", "bid", "ask", "volume", "oi", "iv", "delta", "gamma", "theta",
                "vega", "symbol", "token"]  # fmt: skip
    assert joined.columns == [
        "underlying", "expiry", *(f"call_{name}" for name in reversed(outwards)),
        "strike", *(f"put_{name}" for name in outwards), "forward", "years",
    ]  # fmt: skip
    assert joined["strike"].to_list() == STRIKES.tolist()
    row = joined.row(3, named=True)
    assert row["call_token"] == token(3, 0)
    assert row["call_last_price"] == worth("CE")[3]
    assert row["put_bid"] == worth("PE")[3] - 0.5
    assert row["put_ask"] == worth("PE")[3] + 0.5
    assert (row["call_volume"], row["put_oi"]) == (103, 1_003)


def test_the_model_finds_what_made_the_prices(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    joined = join_chain(chain, latest, rate=RATE)
    assert joined["years"].to_list() == pytest.approx([YEARS] * len(STRIKES))
    assert joined["forward"].to_list() == pytest.approx([FORWARD] * len(STRIKES))
    for side in ("call", "put"):
        assert joined[f"{side}_iv"].to_list() == pytest.approx([VOLATILITY] * len(STRIKES))
    discount = np.exp(-RATE * YEARS)
    assert (joined["call_delta"] - joined["put_delta"]).to_list() == pytest.approx(
        [discount] * len(STRIKES)
    )
    assert joined["call_gamma"].to_list() == pytest.approx(joined["put_gamma"].to_list())
    assert (joined["call_theta"] < 0).all()
    assert (joined["put_vega"] > 0).all()


def test_a_forward_of_ones_own(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    joined = join_chain(chain, latest, forward=24_100.0, rate=RATE)
    assert joined["forward"].unique().to_list() == [24_100.0]
    assert (joined["call_iv"].drop_nulls() < VOLATILITY).all()
    assert (joined["put_iv"].drop_nulls() > VOLATILITY).all()


def test_strikes_around_the_forward(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    joined = join_chain(chain, latest, strikes=1)
    assert joined["strike"].to_list() == [23_900.0, 24_000.0, 24_100.0]
    with pytest.raises(ConfigError, match="strikes"):
        join_chain(chain, latest, strikes=-1)


def test_the_last_price_counts_where_the_book_is_empty(
    chain: pl.DataFrame, latest: pl.DataFrame
) -> None:
    empty = pl.lit([0.0] * 5, pl.Array(pl.Float64, 5))
    ltp = latest.with_columns(bid_price=empty, volume_traded=None, oi=None)
    joined = join_chain(chain, ltp, rate=RATE)
    assert joined["call_iv"].to_list() == pytest.approx([VOLATILITY] * len(STRIKES))
    quotes = ltp.with_columns(bid_price=None, ask_price=None).cast(
        {"bid_price": SCHEMA["bid_price"], "ask_price": SCHEMA["ask_price"]}
    )
    joined = join_chain(chain, quotes, rate=RATE)
    assert joined["put_iv"].to_list() == pytest.approx([VOLATILITY] * len(STRIKES))
    assert joined["put_ask"].null_count() == len(STRIKES)


def test_a_mode_without_the_columns(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    bare = latest.select("instrument_token", "last_price")
    joined = join_chain(chain, bare, rate=RATE, at=NOW)
    assert joined["call_iv"].to_list() == pytest.approx([VOLATILITY] * len(STRIKES))
    assert joined.schema == join_chain(chain, latest).schema
    with pytest.raises(ConfigError, match="pass at: "):
        join_chain(chain, bare)


def test_no_quotes_give_nulls(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    joined = join_chain(chain, latest.clear(), at=NOW)
    assert joined.height == len(STRIKES)
    for name in ("call_last_price", "call_iv", "put_delta", "forward"):
        assert joined[name].null_count() == len(STRIKES)
    some = latest.filter(pl.col("instrument_token") != token(0, 0))
    joined = join_chain(chain, some, rate=RATE)
    assert joined["call_iv"].null_count() == 1
    assert joined["put_iv"].null_count() == 0


def test_a_side_that_is_not_listed(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    first = pl.int_range(pl.len()) == 0
    chain = chain.with_columns(
        pl.when(~first).then("put_token").alias("put_token"),
        pl.when(~first).then("put_symbol").alias("put_symbol"),
    )
    joined = join_chain(chain, latest, rate=RATE)
    assert joined["put_last_price"].null_count() == 1
    assert joined["call_iv"].null_count() == 0


@pytest.mark.parametrize(
    "at",
    [NOW.replace(tzinfo=None), NOW, pytest.param(None, id="the newest tick")],
)
def test_the_time_they_are_valued_at(
    chain: pl.DataFrame, latest: pl.DataFrame, at: datetime | None
) -> None:
    older = latest.with_columns(received_at=pl.lit(None, SCHEMA["received_at"]))
    assert join_chain(chain, older, at=at)["years"][0] == pytest.approx(YEARS)


def test_arrival_counts_where_there_is_no_exchange_time(
    chain: pl.DataFrame, latest: pl.DataFrame
) -> None:
    quote = latest.with_columns(
        received_at=pl.col("exchange_timestamp"),
        exchange_timestamp=pl.lit(None, SCHEMA["exchange_timestamp"]),
    )
    assert join_chain(chain, quote)["years"][0] == pytest.approx(YEARS)


def test_after_expiry_there_is_no_volatility(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    joined = join_chain(chain, latest, at=datetime(2026, 11, 26, 15, 30, tzinfo=IST))
    assert joined["years"].unique().to_list() == [0.0]
    assert joined["call_iv"].null_count() == len(STRIKES)
    assert joined["put_theta"].null_count() == len(STRIKES)


def test_time_ends_when_the_contract_stops_trading(
    chain: pl.DataFrame, latest: pl.DataFrame
) -> None:
    currency = chain.with_columns((pl.col("call_token", "put_token") + 1).cast(pl.UInt32))
    assert join_chain(currency, latest, at=NOW)["years"][0] == pytest.approx(YEARS - 3 / 24 / 365)
    metal = chain.with_columns((pl.col("call_token", "put_token") + 5).cast(pl.UInt32))
    winter = YEARS + (8 + 25 / 60) / 24 / 365
    assert join_chain(metal, latest, at=NOW)["years"][0] == pytest.approx(winter)
    summer = metal.with_columns(expiry=date(2026, 7, 15))
    at = datetime(2026, 7, 15, 22, 30, tzinfo=IST)
    assert join_chain(summer, latest, at=at)["years"][0] == pytest.approx(1 / 24 / 365)


def test_each_expiry_has_a_forward_of_its_own(chain: pl.DataFrame, latest: pl.DataFrame) -> None:
    later = chain.with_columns(
        pl.lit(date(2026, 12, 31)).alias("expiry"),
        (pl.col("call_token", "put_token") + 256_000).cast(pl.UInt32),
    )
    same = latest.with_columns((pl.col("instrument_token") + 256_000).cast(pl.UInt32))
    joined = join_chain(pl.concat([later, chain]), pl.concat([latest, same]), rate=RATE, strikes=1)
    near, far = joined.partition_by("expiry", maintain_order=True)
    assert_frame_equal(near, join_chain(chain, latest, rate=RATE, strikes=1))
    growth = np.exp(RATE * (far["years"][0] - near["years"][0]))
    found = near["forward"][0] + (growth - 1) * (near["forward"][0] - 24_000)
    assert far["forward"][0] == pytest.approx(found, abs=0.05)
    assert (near.height, far.height) == (3, 3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda chain, latest: (chain.drop("strike"), latest), "chain"),
        (lambda chain, latest: (chain, latest.drop("last_price")), "latest"),
    ],
)
def test_a_frame_without_a_column(
    chain: pl.DataFrame, latest: pl.DataFrame, change: Any, field: str
) -> None:
    with pytest.raises(ConfigError, match=field):
        join_chain(*change(chain, latest))
