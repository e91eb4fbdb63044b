"""Black's model of 1976 on arrays: prices, implied volatilities, greeks. Pure; any thread.

It values European options on a forward, which all of Kite's index, share, currency and
commodity options are. Inputs broadcast against each other as in NumPy, and may be Polars
columns. Null, NaN and whatever has no solution give NaN. Source: F. Black, "The pricing of
commodity contracts", Journal of Financial Economics 3 (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, pi, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from kitepolars.errors import ConfigError
from kitepolars.instruments.dump import OPTION_TYPES

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.ArrayLike
"""A number, a sequence, an array or a Polars column of numbers."""

Kinds: TypeAlias = npt.ArrayLike
"""``"CE"`` (call) or ``"PE"`` (put), or a sequence, array or Polars column of them."""

DAYS_OF_YEAR: Final = 365.0
"""Days in a year: time to expiry is calendar time."""

_POINT: Final = 0.01  # vega and rho are per percentage point
_MAX_DEVIATION: Final = 20.0  # standard deviation of the log forward at expiry
_STEPS: Final = 100
_PRECISION: Final = 1e-12  # relative; Newton doubles the digits, so the last step is beyond it
_ROOT_TWO_PI: Final = sqrt(2.0 * pi)
_ROOT_HALF: Final = sqrt(0.5)


@dataclass(frozen=True, kw_only=True)
class Greeks:
    """Sensitivities of option prices. Each is an array of float64, NaN where there is none.

    Parameters
    ----------
    delta
        Rupees per rupee of the forward.
    gamma
        Change of delta per rupee of the forward.
    theta
        Rupees per calendar day that passes; negative when the option loses value.
    vega
        Rupees per percentage point of volatility.
    rho
        Rupees per percentage point of the interest rate, at an unchanged forward.
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
    """Return option prices in rupees.

    Parameters
    ----------
    kind
        ``"CE"`` or ``"PE"``.
    forward
        Forward or futures price of the underlying for the day of expiry, in rupees.
    strike
        In rupees.
    years
        Time to expiry, in years of 365 days.
    volatility
        Annualised, as a fraction: 0.15 for 15 %.
    rate
        Annual interest rate, continuously compounded, as a fraction: 0.065 for 6.5 %.

    Returns
    -------
    ndarray of float64
        Rupees; NaN where the inputs have no price. The shape is that of the inputs, broadcast.

    Raises
    ------
    ConfigError
        If `kind` contains anything else.

    Examples
    --------
    >>> price("CE", forward=100, strike=[90, 100, 110], years=1, volatility=0.2).round(2)
    array([13.59,  7.97,  4.29])
    """
    contract = _Contract(kind, forward, strike, years, rate)
    sigma = _array(volatility)
    with np.errstate(all="ignore"):
        value = contract.price(sigma)
    return _where(contract.usable & _positive(sigma), value)


def implied_volatility(
    kind: Kinds,
    price: Numbers,
    *,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    rate: Numbers = 0.0,
) -> Array:
    """Return the annualised volatilities at which the model gives these prices.

    NaN where there is none: at or below intrinsic value, at or above the forward (call) or
    the strike (put), and after expiry.

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
    ConfigError
        As for `price`.

    Examples
    --------
    >>> terms = {"forward": 100, "strike": [90, 100, 90], "years": 1}
    >>> implied_volatility("CE", [13.589, 7.966, 9.0], **terms).round(3)
    array([0.2, 0.2, nan])
    """
    contract = _Contract(kind, forward, strike, years, rate)
    with np.errstate(all="ignore"):
        # By put-call parity, call and put share the time value of the one that is out of the
        # money, and only the time value depends on volatility.
        time_value = (_array(price) / contract.discount - contract.intrinsic) / contract.scale
        moneyness, time_value = np.broadcast_arrays(-np.abs(contract.moneyness), time_value)
        found = _deviation(moneyness, time_value) / np.sqrt(contract.years)
    return _where(contract.usable, found)


def greeks(
    kind: Kinds,
    *,
    forward: Numbers,
    strike: Numbers,
    years: Numbers,
    volatility: Numbers,
    rate: Numbers = 0.0,
) -> Greeks:
    """Return the sensitivities of option prices.

    Parameters
    ----------
    kind, forward, strike, years, volatility, rate
        As for `price`.

    Returns
    -------
    Greeks
        Five arrays of float64 of the shape of the inputs, broadcast; NaN where there is no price.

    Raises
    ------
    ConfigError
        As for `price`.

    Examples
    --------
    >>> greeks("PE", forward=100, strike=[90, 110], years=1, volatility=0.2).delta.round(3)
    array([-0.265, -0.647])
    """
    contract = _Contract(kind, forward, strike, years, rate)
    sigma = _array(volatility)
    usable = contract.usable & _positive(sigma)
    with np.errstate(all="ignore"):
        d1, d2 = contract.quantiles(sigma)
        in_forward, value = contract.expected(d1, d2)
        root = np.sqrt(contract.years)
        density = contract.discount * np.exp(-d1 * d1 / 2) / _ROOT_TWO_PI
        decay = contract.rate * value - contract.forward * density * sigma / (2 * root)
        return Greeks(
            delta=_where(usable, contract.discount * contract.sign * in_forward),
            gamma=_where(usable, density / (contract.forward * sigma * root)),
            theta=_where(usable, decay / DAYS_OF_YEAR),
            vega=_where(usable, contract.forward * density * root * _POINT),
            rho=_where(usable, -contract.years * value * _POINT),
        )


def normal_distribution(x: Numbers) -> Array:
    """Return the standard normal distribution function, accurate in relative terms in both tails.

    It is C's ``erfc``, number by number: NumPy has no such function, and for the few hundred
    options of a chain this is as fast as an array function.

    Examples
    --------
    >>> normal_distribution([-1, 0, 1.96]).round(4)
    array([0.1587, 0.5   , 0.975 ])
    """
    scaled = _array(x) * -_ROOT_HALF
    tails = np.fromiter(map(erfc, scaled.ravel().tolist()), np.float64, scaled.size)
    return tails.reshape(scaled.shape) / 2


class _Contract:
    """The inputs as arrays, and what follows from them alone."""

    def __init__(
        self, kind: Kinds, forward: Numbers, strike: Numbers, years: Numbers, rate: Numbers
    ) -> None:
        kinds = np.asarray(kind)
        is_call, is_put = (kinds == option_type for option_type in OPTION_TYPES)
        if not np.all(is_call | is_put):
            raise ConfigError("kind", kind, "'CE' or 'PE'")
        self.sign: Array = np.where(is_call, 1.0, -1.0)
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

    def expected(self, d1: Array, d2: Array) -> tuple[Array, Array]:
        """Return N(±d1), whose discounted value is the size of delta, and the price."""
        in_forward = normal_distribution(self.sign * d1)
        in_cash = normal_distribution(self.sign * d2)
        value = self.discount * self.sign * (self.forward * in_forward - self.strike * in_cash)
        return in_forward, value

    def price(self, volatility: Array) -> Array:
        """Return the price."""
        return self.expected(*self.quantiles(volatility))[1]


def _deviation(moneyness: Array, time_value: Array) -> Array:
    """Return the standard deviation of the log forward at expiry.

    Newton's method on the logarithm of the price, which is nearly linear where prices are
    small, inside a bracket that shrinks with each step. Solved options drop out.
    """
    found = np.full(moneyness.shape, np.nan)
    unsolved = np.flatnonzero((time_value > 0) & (time_value < np.exp(moneyness / 2)))
    moneyness, time_value = moneyness.ravel()[unsolved], time_value.ravel()[unsolved]
    low, high = np.zeros_like(moneyness), np.full_like(moneyness, _MAX_DEVIATION)
    guess = np.clip(np.sqrt(-2.0 * moneyness), 1e-3, 1.0)
    for _ in range(_STEPS):
        value = _normalised_price(moneyness, guess)
        slope = np.exp(-((moneyness / guess) ** 2) / 2 - guess**2 / 8) / _ROOT_TWO_PI
        is_low = value < time_value
        low, high = np.where(is_low, guess, low), np.where(is_low, high, guess)
        step = guess + np.log(time_value / value) * value / slope
        following = np.where((low < step) & (step < high), step, (low + high) / 2)
        is_open = np.abs(following - guess) > _PRECISION * guess
        found.flat[unsolved] = guess = following
        if not is_open.any():
            break
        unsolved, moneyness, time_value, low, high, guess = (
            values[is_open] for values in (unsolved, moneyness, time_value, low, high, guess)
        )
    return _where(found < _MAX_DEVIATION * (1 - 1e-9), found)


def _normalised_price(moneyness: Array, deviation: Array) -> Array:
    """Return an out-of-the-money option's price over the root of forward times strike."""
    ratio, half = moneyness / deviation, deviation / 2
    in_forward, in_cash = normal_distribution([ratio + half, ratio - half])
    grown: Array = np.exp(moneyness / 2)
    value: Array = grown * in_forward - in_cash / grown
    return value


def _array(numbers: Numbers) -> Array:
    return np.asarray(numbers, np.float64)


def _positive(values: Array) -> npt.NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0)


def _where(usable: npt.NDArray[np.bool_], values: Array) -> Array:
    return np.where(usable, values, np.nan)
