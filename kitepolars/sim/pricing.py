"""Fair prices of futures and options: Black-76, vectorised. Pure functions; any thread."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["INTEREST_RATE", "SECONDS_PER_YEAR", "black_76", "normal_cdf"]

INTEREST_RATE: Final = 0.06
"""The yearly rate at which futures stand above their underlying and premiums are discounted."""

SECONDS_PER_YEAR: Final = 365 * 86_400.0
"""Contracts run on calendar time."""

FloatArray = npt.NDArray[np.float64]

# Abramowitz and Stegun, 26.2.17: |error| < 7.5e-8, far below a tick of any option here.
_POLYNOMIAL: Final = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
_SLOPE: Final = 0.2316419
_DENSITY_AT_0: Final = 1 / np.sqrt(2 * np.pi)


def normal_cdf(x: FloatArray) -> FloatArray:
    """Return the standard normal distribution function, right to 7.5e-8."""
    distance = np.abs(x)
    t = 1.0 / (1.0 + _SLOPE * distance)
    series = np.zeros_like(t)
    for coefficient in reversed(_POLYNOMIAL):
        series = (series + coefficient) * t
    tail = _DENSITY_AT_0 * np.exp(-0.5 * distance * distance) * series
    result: FloatArray = np.where(x < 0, tail, 1.0 - tail)
    return result


def black_76(
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    volatility: FloatArray,
    is_call: npt.NDArray[np.bool_],
) -> FloatArray:
    """Return the premiums of European options on futures, in rupees.

    Parameters
    ----------
    forward
        The future's price in rupees.
    strike
        In rupees, above 0.
    years
        Until expiry, above 0.
    volatility
        Per year, above 0.
    is_call
        Calls, else puts.
    """
    deviation = volatility * np.sqrt(years)
    d1 = np.log(forward / strike) / deviation + 0.5 * deviation
    sign = np.where(is_call, 1.0, -1.0)
    undiscounted = sign * (
        forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - deviation))
    )
    premiums: FloatArray = np.maximum(undiscounted, 0.0) * np.exp(-INTEREST_RATE * years)
    return premiums
