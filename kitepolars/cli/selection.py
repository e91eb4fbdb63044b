"""Chooses what the demonstration subscribes: a watch list, other instruments, their modes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kitepolars import Instruments, Mode

ALWAYS: Final = (
    "NSE:NIFTY 50",
    "NSE:NIFTY BANK",
    "BSE:SENSEX",
    "NSE:RELIANCE",
    "NSE:HDFCBANK",
    "NSE:INFY",
    "NSE:SBIN",
    "NSE:TATAMOTORS",
)
"""The watch list's instruments that keep their names."""

NEAREST_FUTURES: Final = (("NFO", "NIFTY"), ("MCX", "CRUDEOIL"), ("CDS", "USDINR"))
"""Exchange and underlying of those whose names change from month to month."""


def watch_list(instruments: Instruments) -> list[int]:
    """Return the tokens that are shown."""
    return instruments.tokens([*ALWAYS, *_nearest_futures(instruments)])


def choose(instruments: Instruments, watched: Sequence[int], count: int) -> list[int]:
    """Return `count` tokens: the watched ones first, then others from all over the dump."""
    every = instruments.frame["instrument_token"]
    others = every.filter(~every.is_in(list(watched)))
    wanted = max(count - len(watched), 0)
    rows = [number * len(others) // wanted for number in range(wanted)]
    return [*watched[:count], *others.gather(rows)]


def by_mode(watched: Sequence[int], others: Sequence[int]) -> dict[Mode, list[int]]:
    """Deal instruments out to the modes: the watched ones in full, of the others a third each."""
    modes = (Mode.FULL, Mode.QUOTE, Mode.LTP)
    dealt = {mode: list(others[place :: len(modes)]) for place, mode in enumerate(modes)}
    dealt[Mode.FULL] = [*watched, *dealt[Mode.FULL]]
    return {mode: tokens for mode, tokens in dealt.items() if tokens}


def _nearest_futures(instruments: Instruments) -> list[str]:
    futures = instruments.frame.filter(instrument_type="FUT").sort("expiry")
    return [
        f"{exchange}:{futures.filter(exchange=exchange, name=name)['tradingsymbol'][0]}"
        for exchange, name in NEAREST_FUTURES
    ]
