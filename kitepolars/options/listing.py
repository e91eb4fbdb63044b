"""The instruments of a live chain: contracts, futures, index or share. Any thread."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import polars as pl

from kitepolars.errors import UnknownInstrument
from kitepolars.instruments import Instruments
from kitepolars.instruments.derivatives import (
    SHARE_DERIVATIVES,
    chosen_expiry,
    option_chain,
)

_INTO_FUTURES: Final = frozenset({"MCX", "NCO"})
"""The exchanges whose options are exercised into a future. Source: MCX, contract specifications."""


@dataclass(frozen=True, kw_only=True)
class ListedChain:
    """The instruments of one expiry's chain.

    Parameters
    ----------
    contracts
        The result of `Instruments.option_chain`.
    tokens
        The tokens of calls and puts.
    future
        Token of the future whose price is the chain's forward; None if none is listed.
    references
        Tokens whose prices locate the money: index or share, then futures, nearest first.
    expiries
        The days from today on which options on the underlying expire.
    """

    contracts: pl.DataFrame
    tokens: pl.Series
    future: int | None
    references: tuple[int, ...]
    expiries: tuple[dt.date, ...]

    def has_any(self, frame: pl.DataFrame) -> bool:
        """Return whether a frame with an ``instrument_token`` has any contract of the chain."""
        return self.tokens.is_in(frame["instrument_token"].implode()).any()

    @property
    def how_to_subscribe(self) -> str:
        """The call that subscribes the chain."""
        underlying, expiry = self.contracts.select("underlying", "expiry").row(0)
        chain = f"ticker.instruments.option_chain({underlying!r}, '{expiry}')"
        return f"ticker.subscribe({chain}, mode='full')"


def listed_chain(
    instruments: Instruments,
    underlying: str,
    expiry: dt.date | str | None,
    exchange: str | None,
    today: dt.date,
) -> ListedChain:
    """Return a chain. It scans the whole list of instruments, so that callers cache it.

    Parameters
    ----------
    instruments
        The list to look in.
    underlying, expiry, exchange
        As for `Instruments.option_chain`, with its errors.
    today
        The ticks' day in India, from which the nearest expiry counts.
    """
    options = instruments.options(underlying, exchange=exchange)
    day = chosen_expiry(options, expiry, today)
    chain = option_chain(options.filter(expiry=day))
    venue = (chain["call_symbol"][0] or chain["put_symbol"][0]).partition(":")[0]
    futures = _futures(instruments, underlying, venue)
    nearest = futures.filter(pl.col("expiry") >= day).head(1)
    is_forward = not nearest.is_empty() and (venue in _INTO_FUTURES or nearest["expiry"][0] == day)
    spot = instruments.spot(underlying) if venue in SHARE_DERIVATIVES else None
    by_distance = futures.sort((pl.col("expiry") - day).abs(), maintain_order=True)
    return ListedChain(
        contracts=chain,
        tokens=pl.concat([chain["call_token"], chain["put_token"]]).drop_nulls(),
        future=nearest["instrument_token"][0] if is_forward else None,
        references=(
            *([] if spot is None else [spot]),
            *by_distance["instrument_token"].to_list(),
        ),
        expiries=tuple(options["expiry"].filter(options["expiry"] >= today).unique().sort()),
    )


def _futures(instruments: Instruments, underlying: str, exchange: str) -> pl.DataFrame:
    try:
        return instruments.futures(underlying, exchange=exchange)
    except UnknownInstrument:
        return instruments.frame.clear()
