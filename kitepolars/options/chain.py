"""Owns the live option chain: quotes and greeks beside the strikes; pure, on any thread."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from kitepolars.analytics.sessions import DAY, closes_at
from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.frames.schema import TIME_ZONE
from kitepolars.instruments.derivatives import near_the_money
from kitepolars.options.black76 import DAYS_OF_YEAR, greeks, implied_volatility

OPTION_TYPE_OF_SIDE: Final = {"call": "CE", "put": "PE"}
"""The two halves of a chain and their kind of option."""

QUOTE_COLUMNS: Final = {
    "last_price": pl.Float64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "volume": pl.UInt32(),
    "oi": pl.UInt32(),
}
"""What a chain shows of the latest tick of each contract."""

MODEL_COLUMNS: Final = ("iv", "delta", "gamma", "theta", "vega")
"""What it shows of the model: `implied_volatility` and `greeks`."""

CHAIN_COLUMNS: Final = ("underlying", "expiry", "strike", "call_token", "put_token")
"""What is needed of a chain; `Instruments.option_chain` gives them."""

_OUTWARDS: Final = (*QUOTE_COLUMNS, *MODEL_COLUMNS, "symbol", "token")
_SOURCES: Final = {
    "last_price": pl.col("last_price"),
    "bid_price": pl.col("bid_price").arr.first().alias("bid"),
    "ask_price": pl.col("ask_price").arr.first().alias("ask"),
    "volume_traded": pl.col("volume_traded").alias("volume"),
    "oi": pl.col("oi"),
}
_CLOCKS: Final = ("exchange_timestamp", "received_at")


def join_chain(
    chain: pl.DataFrame,
    latest: pl.DataFrame,
    *,
    forward: float | None = None,
    rate: float = 0.0,
    at: datetime | None = None,
    strikes: int | None = None,
) -> pl.DataFrame:
    """Put the latest quotes, implied volatilities and greeks beside the strikes of a chain.

    A contract's price is the middle of its best bid and ask, or its last price where one of
    them is missing. Time runs to the close of the session on the day of expiry.

    Parameters
    ----------
    chain
        The result of `Instruments.option_chain`: the strikes of one expiry.
    latest
        One row an instrument, with the columns of ``ticker.latest()``; those that a mode
        does not have may be null or absent.
    forward
        The forward price of the underlying for the day of expiry, in rupees. By default
        what put-call parity says of the strike where call and put are nearest to each other.
    rate
        The continuously compounded interest rate of a year, as a fraction.
    at
        The time at which the options are valued; that of the newest tick by default. A time
        without a zone is Indian.
    strikes
        How many strikes to keep on each side of the forward; all by default.

    Returns
    -------
    DataFrame
        ``underlying``, ``expiry``, the calls' columns from the symbol inwards to the last
        price, ``strike``, the puts' outwards, ``forward`` (rupees) and ``years`` to expiry.
        Of each side: ``token``, ``symbol``, ``last_price``, ``bid``, ``ask`` (rupees),
        ``volume``, ``oi``, ``iv`` (fraction of a year), ``delta``, ``gamma``, ``theta`` (rupees
        a day), ``vega`` (rupees a point); null where there is no quote or no answer.

    Raises
    ------
    ConfigError
        If a column is missing, ``strikes`` is negative, or there is no time to value them at.
    """
    _require(chain, CHAIN_COLUMNS, "chain")
    _require(latest, ("instrument_token", "last_price"), "latest")
    if strikes is not None and strikes < 0:
        raise ConfigError("strikes", strikes, "0 or more")
    quoted = _quoted(chain, latest).with_columns(_years(_valued_at(latest, at)).alias("years"))
    implied = pl.lit(forward, pl.Float64) if forward is not None else _parity_forward(rate)
    quoted = quoted.with_columns(implied.alias("forward"))
    for side in OPTION_TYPE_OF_SIDE:
        quoted = quoted.with_columns(_model(quoted, side, rate))
    quoted = quoted.select(_order(quoted.columns))
    centre = quoted["forward"].drop_nulls()
    if strikes is None or centre.is_empty():
        return quoted
    return near_the_money(quoted, centre[0], strikes)


def _require(frame: pl.DataFrame, names: tuple[str, ...], field: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ConfigError(
            field, frame.columns, message=f"{field} has no columns {', '.join(missing)}"
        )


def _quoted(chain: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    known = [quote for name, quote in _SOURCES.items() if name in latest.columns]
    quotes = latest.unique("instrument_token", keep="last").select("instrument_token", *known)
    for side in OPTION_TYPE_OF_SIDE:
        names = {name: f"{side}_{name}" for name in quotes.columns}
        chain = chain.join(
            quotes.rename(names | {"instrument_token": f"{side}_token"}),
            on=f"{side}_token",
            how="left",
        )
    absent = [
        pl.lit(None, dtype).alias(f"{side}_{name}")
        for side in OPTION_TYPE_OF_SIDE
        for name, dtype in QUOTE_COLUMNS.items()
        if f"{side}_{name}" not in chain.columns
    ]
    return chain.with_columns(absent).sort("expiry", "strike")


def _valued_at(latest: pl.DataFrame, at: datetime | None) -> int:
    """Return a time as microseconds since the epoch."""
    if at is not None:
        at = at.replace(tzinfo=IST) if at.tzinfo is None else at
        return int(at.timestamp() * 1_000_000)
    for clock in _CLOCKS:
        newest = latest[clock].dt.epoch("us").max() if clock in latest.columns else None
        if isinstance(newest, int):
            return newest
    unknown = f"pass at: no row of latest has {' or '.join(_CLOCKS)}"
    raise ConfigError("at", at, message=unknown)


def _years(now: int) -> pl.Expr:
    midnight = pl.col("expiry").cast(pl.Datetime("us")).dt.replace_time_zone(TIME_ZONE)
    close = closes_at(pl.coalesce("call_token", "put_token"))
    left = midnight.dt.epoch("us") + close - now
    return left.clip(lower_bound=0) / (DAYS_OF_YEAR * DAY)


def _price(side: str) -> pl.Expr:
    bid, ask, last = (pl.col(f"{side}_{name}") for name in ("bid", "ask", "last_price"))
    middle = pl.when((bid > 0) & (ask >= bid)).then((bid + ask) / 2)
    return pl.coalesce(middle, pl.when(last > 0).then(last))


def _parity_forward(rate: float) -> pl.Expr:
    difference = _price("call") - _price("put")
    implied = pl.col("strike") + difference * (rate * pl.col("years")).exp()
    nearest = implied.sort_by(difference.abs(), nulls_last=True).first()
    return nearest.over("expiry")


def _model(quoted: pl.DataFrame, side: str, rate: float) -> list[pl.Series]:
    terms = {name: quoted[name].to_numpy().astype(float) for name in ("forward", "strike", "years")}
    price = quoted.select(_price(side)).to_series().to_numpy().astype(float)
    iv = implied_volatility(OPTION_TYPE_OF_SIDE[side], price, **terms, rate=rate)
    moves = greeks(OPTION_TYPE_OF_SIDE[side], **terms, volatility=iv, rate=rate)
    columns = {"iv": iv} | {name: getattr(moves, name) for name in MODEL_COLUMNS[1:]}
    return [pl.Series(f"{side}_{name}", values).fill_nan(None) for name, values in columns.items()]


def _order(columns: list[str]) -> list[str]:
    calls = [name for what in reversed(_OUTWARDS) if (name := f"call_{what}") in columns]
    puts = [name for what in _OUTWARDS if (name := f"put_{what}") in columns]
    return ["underlying", "expiry", *calls, "strike", *puts, "forward", "years"]
