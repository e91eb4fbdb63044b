"""How much was traded at which price. Pure; any thread."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from kitepolars.analytics.columns import Frame, require
from kitepolars.analytics.indicators import volume_delta
from kitepolars.analytics.technical.scan import Floats
from kitepolars.errors import ConfigError, check_whole_number

VOLUME_PROFILE: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "volume": pl.Float64(),
        "share": pl.Float64(),
        "is_point_of_control": pl.Boolean(),
        "in_value_area": pl.Boolean(),
    }
)
"""The columns of `volume_profile`. Prices in rupees, volume in shares or lots as traded."""

_MOST_LEVELS: Final = 1_000


def volume_profile(frame: Frame, levels: int = 24, *, value_area: float = 0.7) -> Frame:
    """Return how much of each instrument was traded at which prices.

    Parameters
    ----------
    frame
        Ticks, each of which has its `volume_delta` at its last price; or candles, whose volume is
        counted at their ``vwap`` or, where that is missing, at the mean of high, low and close.
    levels
        Number of levels, 1 to 1,000, all of the same height, from the lowest to the highest of
        these prices.
    value_area
        The share of the volume that the value area has at least.

    Returns
    -------
    DataFrame or LazyFrame
        `VOLUME_PROFILE`: the levels of each instrument, lowest first. The point of control is the
        level with most volume; the value area grows from there, level by level, to the side where
        the next one has more. Instruments without volume are left out.

    Raises
    ------
    ConfigError
        If columns are missing, `levels` is not from 1 to 1,000, or `value_area` is not above 0 and
        at most 1.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {"instrument_token": 1, "last_price": [9.0, 10.0, 9.5], "volume_traded": [5, 10, 40]}
    ... )
    >>> volume_profile(ticks, 2).select("low", "high", "volume", "is_point_of_control").rows()
    [(9.5, 9.75, 30.0, True), (9.75, 10.0, 5.0, False)]
    """
    check_whole_number("levels", levels, 1, _MOST_LEVELS)
    if not 0 < value_area <= 1:
        raise ConfigError("value_area", value_area, "a number above 0, at most 1")
    schema = require(frame, ("instrument_token",), "volume_profile")
    token = pl.col("instrument_token")
    if "volume" in schema:
        require(frame, ("high", "low", "close"), "volume_profile")
        typical = pl.mean_horizontal("high", "low", "close")
        price = pl.coalesce("vwap", typical) if "vwap" in schema else typical
        volume = pl.col("volume").cast(pl.Float64)
    else:
        require(frame, ("last_price", "volume_traded"), "volume_profile")
        price, volume = pl.col("last_price"), volume_delta().over(token).cast(pl.Float64)
    traded = frame.select(token.cast(pl.UInt32), price.alias("price"), volume.alias("volume"))
    traded = traded.filter(pl.col("volume") > 0)

    def profiles(traded: pl.DataFrame) -> pl.DataFrame:
        parts = traded.sort("instrument_token").partition_by("instrument_token")
        found: list[pl.DataFrame] = [_profile(part, levels, value_area) for part in parts]
        return pl.concat([VOLUME_PROFILE.to_frame(), *found])

    if isinstance(traded, pl.LazyFrame):
        return traded.map_batches(profiles, schema=VOLUME_PROFILE)
    made: Frame = profiles(traded)
    return made


def _profile(traded: pl.DataFrame, levels: int, value_area: float) -> pl.DataFrame:
    """Return the levels of one instrument."""
    volumes, edges = np.histogram(traded["price"], levels, weights=traded["volume"])
    first, last = _value_area(volumes, value_area * volumes.sum())
    places = np.arange(levels)
    return pl.DataFrame(
        {
            "instrument_token": pl.repeat(traded["instrument_token"][0], levels, eager=True),
            "low": edges[:-1],
            "high": edges[1:],
            "volume": volumes,
            "share": volumes / volumes.sum(),
            "is_point_of_control": places == volumes.argmax(),
            "in_value_area": (places >= first) & (places <= last),
        },
        schema=VOLUME_PROFILE,
    )


def _value_area(volumes: Floats, least: float) -> tuple[int, int]:
    """Return the first and the last level of the value area."""
    first = last = int(volumes.argmax())
    held = float(volumes[first])
    while held < least and (first > 0 or last + 1 < len(volumes)):
        below = volumes[first - 1] if first > 0 else -1.0
        above = volumes[last + 1] if last + 1 < len(volumes) else -1.0
        if above >= below:
            last += 1
            held += float(above)
        else:
            first -= 1
            held += float(below)
    return first, last
