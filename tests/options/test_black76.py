"""The model: known values, the laws it obeys, and what has no answer."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.options import Greeks, greeks, implied_volatility, price
from kitepolars.options.black76 import normal_distribution

KINDS = st.sampled_from(["CE", "PE"])


def terms(**ranges: tuple[float, float]) -> st.SearchStrategy[dict[str, float]]:
    """Draw the terms of an option; the strike as its ratio to the forward."""
    usual = {
        "forward": (1.0, 100_000.0),
        "strike": (0.5, 2.0),
        "years": (1 / 365, 3.0),
        "volatility": (0.02, 3.0),
        "rate": (-0.05, 0.2),
    }
    drawn = {name: st.floats(*bounds) for name, bounds in (usual | ranges).items()}
    return st.fixed_dictionaries(drawn).map(
        lambda at: at | {"strike": at["strike"] * at["forward"]}
    )


@pytest.mark.parametrize(
    ("kind", "strike", "rate", "expected"),
    [
        # Worked by hand: at the money it is F (2 N(σ√T / 2) - 1), here N(0.1) = 0.539827837.
        ("CE", 100.0, 0.0, 7.9655674554),
        ("PE", 100.0, 0.0, 7.9655674554),
        # d1 = (ln(100/110) + 0.02) / 0.2 = -0.376550899, d2 = d1 - 0.2; N(d1) = 0.353253692,
        # N(d2) = 0.282121438; the call is exp(-0.05) (100 N(d1) - 110 N(d2)).
        ("CE", 110.0, 0.05, 4.0826870977),
        ("PE", 110.0, 0.05, 13.5949813428),
    ],
)
def test_known_prices(kind: str, strike: float, rate: float, expected: float) -> None:
    found = price(kind, forward=100.0, strike=strike, years=1.0, volatility=0.2, rate=rate)
    assert found == pytest.approx(expected, rel=1e-9)


@given(KINDS, terms())
def test_the_volatility_of_a_price_gives_the_price_again(kind: str, at: dict[str, float]) -> None:
    paid = price(kind, **at)
    volatility, forward = at.pop("volatility"), at["forward"]
    found = implied_volatility(kind, paid, **at)
    intrinsic = max(0.0, (forward - at["strike"]) * (1 if kind == "CE" else -1))
    time_value = float(paid) * np.exp(at["rate"] * at["years"]) - intrinsic
    if time_value > 1e-9 * forward:  # below, the price has no digits left for it
        assert found == pytest.approx(volatility, rel=1e-4)
    assume(not np.isnan(found))
    again = price(kind, **at, volatility=found)
    assert again == pytest.approx(float(paid), abs=1e-12 * forward)


@given(terms())
def test_put_call_parity(at: dict[str, float]) -> None:
    difference = price("CE", **at) - price("PE", **at)
    parity = np.exp(-at["rate"] * at["years"]) * (at["forward"] - at["strike"])
    assert difference == pytest.approx(parity, abs=1e-11 * at["forward"])


def slope(kind: str, name: str, step: float, at: dict[str, float]) -> float:
    up, down = (price(kind, **(at | {name: at[name] + side * step})) for side in (1, -1))
    return float(up - down) / (2 * step)


CALM = terms(
    forward=(100.0, 50_000.0), strike=(0.8, 1.25), years=(0.02, 2.0), volatility=(0.05, 1.0)
)


@given(KINDS, CALM)
def test_greeks_are_the_slopes_of_the_price(kind: str, at: dict[str, float]) -> None:
    found, forward = greeks(kind, **at), at["forward"]
    step = 1e-4 * forward
    slopes = {
        "theta": -slope(kind, "years", 1e-4 * at["years"], at) / 365,
        "vega": slope(kind, "volatility", 1e-4 * at["volatility"], at) / 100,
        "rho": slope(kind, "rate", 1e-4, at) / 100,
    }
    for name, expected in slopes.items():
        assert getattr(found, name) == pytest.approx(expected, rel=1e-3, abs=1e-6 * forward)
    assert found.delta == pytest.approx(slope(kind, "forward", step, at), rel=1e-3, abs=1e-5)
    above, below = (greeks(kind, **(at | {"forward": forward + d})).delta for d in (step, -step))
    gamma = float(above - below) / (2 * step)
    assert found.gamma * forward == pytest.approx(gamma * forward, rel=1e-3, abs=1e-3)


@given(KINDS, terms(rate=(0.0, 0.0)))
def test_signs_and_bounds(kind: str, at: dict[str, float]) -> None:
    found = greeks(kind, **at)
    assert 0 <= found.delta * (1 if kind == "CE" else -1) <= 1
    assert found.gamma >= 0
    assert found.vega >= 0
    assert found.theta <= 0


@pytest.mark.parametrize(
    ("kind", "paid", "why"),
    [
        ("CE", 10.0, "exactly what exercising gives"),
        ("CE", 9.0, "less"),
        ("CE", 110.0, "the forward itself"),
        ("CE", 500.0, "more than it"),
        ("PE", 100.0, "the strike itself"),
        ("PE", 0.0, "nothing"),
        ("PE", -1.0, "less than nothing"),
        ("PE", np.nan, "unknown"),
        ("PE", np.inf, "infinite"),
    ],
)
def test_a_price_without_a_volatility(kind: str, paid: float, why: str) -> None:
    found = implied_volatility(kind, paid, forward=110, strike=100, years=0.1)
    assert np.isnan(found), why


@pytest.mark.parametrize("name", ["forward", "strike", "years", "volatility"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_term_gives_nan(name: str, value: float) -> None:
    at = {"forward": 100.0, "strike": 100.0, "years": 1.0, "volatility": 0.2} | {name: value}
    assert np.isnan(price("CE", **at))
    assert all(np.isnan(column) for column in vars(greeks("CE", **at)).values())
    del at["volatility"]
    if name != "volatility":
        assert np.isnan(implied_volatility("CE", 5.0, **at))


def test_inputs_broadcast_and_may_be_columns() -> None:
    strikes = pl.Series([90.0, 100.0, None])
    found = price(
        pl.Series(["CE", "PE", "CE"]), forward=100, strike=strikes, years=1, volatility=0.2
    )
    assert found.shape == (3,)
    assert np.isnan(found[2])
    assert found[1] == price("PE", forward=100, strike=100, years=1, volatility=0.2)
    table = price("CE", forward=100, strike=np.ones((3, 1)), years=[1, 2], volatility=0.2)
    assert table.shape == (3, 2)
    assert isinstance(greeks("CE", forward=100, strike=100, years=1, volatility=[0.2]), Greeks)
    found = implied_volatility("CE", [5.0, 6.0], forward=100, strike=100, years=1)
    assert found.shape == (2,)


def test_one_without_an_answer_does_not_spoil_the_others() -> None:
    found = implied_volatility("CE", [7.9655674554, 0.0, 1e9], forward=100, strike=100, years=1)
    assert found[0] == pytest.approx(0.2)
    assert np.isnan(found[1:]).all()


def test_far_from_the_money_and_close_to_expiry() -> None:
    at: dict[str, Any] = {
        "forward": 24_000.0,
        "strike": np.array([22_500.0, 24_000.0, 25_500.0]),
        "years": 1 / 365,
    }
    paid = price(["PE", "CE", "CE"], **at, volatility=0.6)
    assert implied_volatility(["PE", "CE", "CE"], paid, **at) == pytest.approx(0.6, rel=1e-8)


def test_a_kind_that_is_none() -> None:
    with pytest.raises(ConfigError, match="'CE' or 'PE'"):
        price(["CE", "call"], forward=100, strike=100, years=1, volatility=0.2)


def test_the_normal_distribution_keeps_its_digits_in_the_tails() -> None:
    # M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, tables 26.1 and 26.2.
    known = {-10.0: 7.6198530242e-24, -5.0: 2.8665157188e-7, 1.0: 0.84134474607, 5.0: 0.99999971335}
    assert normal_distribution(list(known)) == pytest.approx(list(known.values()), rel=1e-10)
    assert normal_distribution([[0.0]]).shape == (1, 1)
    assert normal_distribution(np.inf) == 1
    assert np.isnan(normal_distribution(np.nan))


@given(KINDS, terms(years=(0.05, 2.0), volatility=(0.05, 0.8), strike=(0.7, 1.4)))
def test_the_price_is_the_discounted_mean_payoff(kind: str, at: dict[str, float]) -> None:
    """An independent oracle: the payoff integrated over the lognormal density of the forward."""
    deviation = at["volatility"] * np.sqrt(at["years"])
    z, step = np.linspace(-12, 12, 200_001, retstep=True)
    terminal = at["forward"] * np.exp(deviation * z - deviation**2 / 2)
    payoff = np.maximum((terminal - at["strike"]) * (1 if kind == "CE" else -1), 0)
    mean = (payoff * np.exp(-z * z / 2)).sum() * step / np.sqrt(2 * np.pi)
    expected = np.exp(-at["rate"] * at["years"]) * mean
    assert price(kind, **at) == pytest.approx(expected, abs=1e-7 * at["forward"])


@given(terms())
def test_prices_rise_with_volatility(at: dict[str, float]) -> None:
    volatilities = np.linspace(0.05, 1.5, 30)
    for kind in ("CE", "PE"):
        prices = price(kind, **(at | {"volatility": volatilities}))
        assert (np.diff(prices) >= -1e-12 * at["forward"]).all()


@given(terms())
def test_calls_fall_and_puts_rise_with_the_strike(at: dict[str, float]) -> None:
    strikes = at["forward"] * np.linspace(0.6, 1.6, 30)
    for kind, sign in (("CE", -1), ("PE", 1)):
        prices = price(kind, **(at | {"strike": strikes}))
        assert (sign * np.diff(prices) >= -1e-12 * at["forward"]).all()
