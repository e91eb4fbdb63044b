"""Owns Black's model of 1976 on arrays: prices, implied volatilities, greeks; pure, any thread.

European options on a forward, which all of Kite's index, share and currency
options are. Inputs broadcast against each other like NumPy's, and may be Polars
columns; null, NaN and whatever has no answer give NaN. Source: F. Black, "The
pricing of commodity contracts", Journal of Financial Economics 3, 1976.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from kitepolars.errors import ConfigError
from kitepolars.instruments.search import OPTION_TYPES

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.ArrayLike
"""A number, a sequence, an array or a Polars column of numbers."""

Kinds: TypeAlias = npt.ArrayLike
"""``"CE"`` (call) or ``"PE"`` (put), or a sequence, array or Polars column of them."""

DAYS_OF_YEAR: Final = 365.0
"""Calendar days by which ``theta`` is a day's."""

_POINT: Final = 0.01  # vega and rho are for one percentage point
_MAX_DEVIATION: Final = 20.0  # of the forward's logarithm until expiry: 2,000 % over a year
_STEPS: Final = 100
_PRECISION: Final = 1e-12  # relative; Newton doubles the digits, so that the last step is beyond it
_ROOT_TWO_PI: Final = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, kw_only=True)
class Greeks:
    """How an option's price moves with what it depends on.

    Parameters
    ----------
    delta
        Rupees for a rupee of the forward.
    gamma
        Delta for a rupee of the forward.
    theta
        Rupees for a calendar day that passes.
    vega
        Rupees for one percentage point of volatility.
    rho
        Rupees for one percentage point of the interest rate, the forward staying.
    """

    delta: Array
    gamma: Array
    theta: Array
    vega: Array
    rho: Array


def price(
    kind: Kinds,
    *,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    volatility: Numbers,
    rate: Numbers = 0.0,
) -> Array:
    """Return prices in rupees. Needs the extra ``options``.

    Parameters
    ----------
    kind
        ``"CE"`` or ``"PE"``.
    forward
        The forward or futures price of the underlying for the day of expiry, in rupees.
    strike
        In rupees.
    years
        Time to expiry.
    volatility
        A year's, as a fraction: 0.15 for 15 %.
    rate
        The continuously compounded interest rate, as a fraction.

    Raises
    ------
    ConfigError
        If a kind is neither.
    ImportError
        If ``scipy`` is not installed.

    Examples
    --------
    >>> price("CE", forward=100, strike=[90, 100, 110], years=1, volatility=0.2).round(2)
    array([13.59,  7.97,  4.29])
    """
    sold = _Contract(kind, forward, strike, years, rate)
    sigma = _array(volatility)
    with np.errstate(all="ignore"):
        value = sold.price(sigma)
    return _where(sold.usable & _positive(sigma), value)


def implied_volatility(
    kind: Kinds,
    price: Numbers,
    *,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    rate: Numbers = 0.0,
) -> Array:
    """Return the yearly volatilities at which the model gives these prices.

    NaN where there is none: at or below the value of exercising at once, at or above
    the forward (call) or the strike (put), or after expiry.

    Parameters
    ----------
    kind, forward, strike, years, rate
        As for `price`.
    price
        In rupees.

    Returns
    -------
    ndarray of float64
        Fractions: 0.15 for 15 %.

    Raises
    ------
    ConfigError, ImportError
        As for `price`.

    Examples
    --------
    >>> terms = {"forward": 100, "strike": [90, 100, 90], "years": 1}
    >>> implied_volatility("CE", [13.589, 7.966, 9.0], **terms).round(3)
    array([0.2, 0.2, nan])
    """
    sold = _Contract(kind, forward, strike, years, rate)
    with np.errstate(all="ignore"):
        # By parity both kinds have the time value of the one that is out of the money, and
        # that is the part of the price that depends on volatility.
        time_value = (_array(price) / sold.discount - sold.intrinsic) / sold.scale
        moneyness, time_value = np.broadcast_arrays(-np.abs(sold.moneyness), time_value)
        found = _deviation(moneyness, time_value) / np.sqrt(sold.years)
    return _where(sold.usable, found)


def greeks(
    kind: Kinds,
    *,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    volatility: Numbers,
    rate: Numbers = 0.0,
) -> Greeks:
    """Return the sensitivities of prices.

    Parameters
    ----------
    kind, forward, strike, years, volatility, rate
        As for `price`.

    Raises
    ------
    ConfigError, ImportError
        As for `price`.

    Examples
    --------
    >>> greeks("PE", forward=100, strike=[90, 110], years=1, volatility=0.2).delta.round(3)
    array([-0.265, -0.647])
    """
    sold = _Contract(kind, forward, strike, years, rate)
    sigma = _array(volatility)
    usable = sold.usable & _positive(sigma)
    with np.errstate(all="ignore"):
        value, root = sold.price(sigma), np.sqrt(sold.years)
        d1, _ = sold.quantiles(sigma)
        density = sold.discount * np.exp(-d1 * d1 / 2) / _ROOT_TWO_PI
        decay = sold.rate * value - sold.forward * density * sigma / (2 * root)
        return Greeks(
            delta=_where(usable, sold.discount * sold.sign * _normal()(sold.sign * d1)),
            gamma=_where(usable, density / (sold.forward * sigma * root)),
            theta=_where(usable, decay / DAYS_OF_YEAR),
            vega=_where(usable, sold.forward * density * root * _POINT),
            rho=_where(usable, -sold.years * value * _POINT),
        )


class _Contract:
    """The inputs as arrays, and what follows from them alone."""

    def __init__(
        self, kind: Kinds, forward: Numbers, strike: Numbers, years: Numbers, rate: Numbers
    ) -> None:
        kinds = np.asarray(kind)
        if not np.isin(kinds, OPTION_TYPES).all():
            raise ConfigError("kind", kind, "'CE' or 'PE'")
        self.sign: Array = np.where(kinds == "CE", 1.0, -1.0)
        self.forward, self.strike = _array(forward), _array(strike)
        self.years, self.rate = _array(years), _array(rate)
        self.usable = (
            _positive(self.forward) & _positive(self.strike) & _positive(self.years)
        ) & np.isfinite(self.rate)
        with np.errstate(all="ignore"):
            self.discount: Array = np.exp(-self.rate * self.years)
            self.moneyness: Array = np.log(self.forward / self.strike)
            self.scale: Array = np.sqrt(self.forward * self.strike)
            self.intrinsic: Array = np.maximum(self.sign * (self.forward - self.strike), 0.0)

    def quantiles(self, volatility: Array) -> tuple[Array, Array]:
        """Return the model's d1 and d2."""
        deviation = volatility * np.sqrt(self.years)
        d1 = self.moneyness / deviation + deviation / 2
        return d1, d1 - deviation

    def price(self, volatility: Array) -> Array:
        """Return the price."""
        normal, sign = _normal(), self.sign
        d1, d2 = self.quantiles(volatility)
        parts = self.forward * normal(sign * d1) - self.strike * normal(sign * d2)
        return self.discount * sign * parts


def _deviation(moneyness: Array, time_value: Array) -> Array:
    """Return the standard deviation of the forward's logarithm until expiry.

    Newton's method on the logarithm of the price, which is nearly straight where
    prices are small, held between bounds that shrink at each step.
    """
    low, high = np.zeros_like(moneyness), np.full_like(moneyness, _MAX_DEVIATION)
    guess = np.clip(np.sqrt(-2.0 * moneyness), 1e-3, 1.0)
    possible = (time_value > 0) & (time_value < np.exp(moneyness / 2))
    wanted = np.log(np.where(possible, time_value, np.nan))
    for _ in range(_STEPS):
        value = _normalised_price(moneyness, guess)
        slope = np.exp(-((moneyness / guess) ** 2) / 2 - guess**2 / 8) / _ROOT_TWO_PI
        low = np.where(value < time_value, guess, low)
        high = np.where(value < time_value, high, guess)
        step = guess + (wanted - np.log(value)) * value / slope
        inside = (low < step) & (step < high)
        following = np.where(inside, step, (low + high) / 2)
        done = np.abs(following - guess) <= _PRECISION * guess
        guess = following
        if np.all(done | ~possible):
            break
    return _where(possible & (guess < _MAX_DEVIATION * (1 - 1e-9)), guess)


def _normalised_price(moneyness: Array, deviation: Array) -> Array:
    """Return an out-of-the-money option's price over the root of forward times strike."""
    normal = _normal()
    ratio = moneyness / deviation
    bought = np.exp(moneyness / 2) * normal(ratio + deviation / 2)
    sold = np.exp(-moneyness / 2) * normal(ratio - deviation / 2)
    return bought - sold


def _array(numbers: Numbers) -> Array:
    return np.asarray(numbers, np.float64)


def _positive(values: Array) -> npt.NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0)


def _where(usable: npt.NDArray[np.bool_], values: Array) -> Array:
    return np.where(usable, values, np.nan)


def _normal() -> Callable[[Array], Array]:
    """Return the normal distribution function, which NumPy has not."""
    try:
        from scipy.special import ndtr  # noqa: PLC0415 -- an extra, and slow to load
    except ImportError:
        raise ImportError("option prices need scipy: pip install 'kitepolars[options]'") from None
    return cast("Callable[[Array], Array]", ndtr)
