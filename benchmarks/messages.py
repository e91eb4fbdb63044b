"""Generated messages with the instruments of a market and plausible values. Pure; any thread.

The tokens are those of the simulated exchanges, so that segments, and with them the divisors of
prices, are mixed as in a market.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.master import day_of
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import (
    COUNT,
    DEPTH_LEVELS,
    FULL,
    INDEX_FULL,
    INDEX_QUOTE,
    LTP,
    PRICE_FIELDS,
    QUOTE,
    SEGMENT_MASK,
    SEGMENTS,
    Layout,
)

INSTRUMENTS: Final = 9_000
"""The most instruments of an account."""

PACKETS: Final = 100
"""Packets per message by default."""

COUNTER: Final = "volume_traded"
"""The field with consecutive numbers, by which missing packets are detected."""

STAMP_HIGH: Final = "total_buy_quantity"
STAMP_LOW: Final = "total_sell_quantity"
"""The fields with the two halves of a time."""

_DEPTH_STEP: Final = 5  # units of the wire's price between two levels


def tokens(count: int = INSTRUMENTS, *, indices: bool = False, seed: int = 0) -> list[int]:
    """Return instrument tokens of all simulated exchanges, in random order.

    Parameters
    ----------
    count
        The number of tokens.
    indices
        Whether to include indices, whose packets are short.
    seed
        Seed of the selection.
    """
    on = day_of(datetime.now(UTC).timestamp())
    listed = generate_instruments(on=on).instrument_token
    tradable = np.array([SEGMENTS[code].tradable for code in (listed & SEGMENT_MASK).tolist()])
    chosen = np.random.default_rng(seed).permutation(listed if indices else listed[tradable])
    some: list[int] = chosen[:count].tolist()
    return some


def columns(
    layout: Layout, instrument_tokens: npt.NDArray[np.int64], seed: int
) -> dict[str, npt.NDArray[Any]]:
    """Return generated integers of the wire for packets of one kind."""
    rng = np.random.default_rng(seed)
    rows = len(instrument_tokens)
    now = int(time.time())
    made: dict[str, npt.NDArray[Any]] = {
        "instrument_token": instrument_tokens,
        "exchange_timestamp": np.full(rows, now),
        "last_trade_time": now - rng.integers(0, 60, rows),
    }
    prices = rng.integers(10_000, 500_000, rows)
    for field in layout.fields:
        if field in PRICE_FIELDS:
            made[field] = prices + rng.integers(-500, 500, rows)
        elif field not in made:
            made[field] = rng.integers(1, 5_000_000, rows)
    steps = _DEPTH_STEP * np.arange(1, DEPTH_LEVELS + 1)
    for side, sign in (("bid", -1), ("ask", 1)):
        made[f"{side}_price"] = prices[:, np.newaxis] + sign * steps
        made[f"{side}_quantity"] = rng.integers(1, 10_000, (rows, DEPTH_LEVELS))
        made[f"{side}_orders"] = rng.integers(1, 500, (rows, DEPTH_LEVELS))
    return made


class FullMessages:
    """Full-mode messages of equal size whose packets are numbered over all rounds.

    Parameters
    ----------
    instrument_tokens
        The instruments, in turn.
    packets
        Packets per message.
    messages
        Messages per round.
    seed
        Seed of the values.

    Examples
    --------
    >>> messages = FullMessages([408065, 884737], packets=2, messages=3)
    >>> [len(message) for message in messages.round()]
    [374, 374, 374]
    """

    def __init__(
        self,
        instrument_tokens: Sequence[int],
        *,
        packets: int = PACKETS,
        messages: int = 32,
        seed: int = 0,
    ) -> None:
        self.ticks = packets * messages
        """Packets per round."""
        self.sent = 0
        """Packets of all rounds so far."""
        self.tokens = np.array(instrument_tokens, np.uint32)
        """The instruments of the packets, in turn."""
        framed = encode_packets(FULL, columns(FULL, np.resize(self.tokens, self.ticks), seed))
        size = COUNT.itemsize + packets * FULL.framed_dtype.itemsize
        self._bytes = np.zeros((messages, size), np.uint8)
        self._bytes[:, : COUNT.itemsize] = np.frombuffer(packets.to_bytes(2), np.uint8)
        body = self._bytes[:, COUNT.itemsize :]
        body[...] = framed.view(np.uint8).reshape(messages, -1)
        self._packets = np.ndarray(
            (messages, packets),
            FULL.framed_dtype,
            self._bytes.data,
            COUNT.itemsize,
            (size, FULL.framed_dtype.itemsize),
        )["packet"]

    def round(self, at: int | None = None) -> list[bytes]:
        """Return the messages of the next round.

        Parameters
        ----------
        at
            The exchange time of its packets, in UTC epoch seconds; by default unchanged.
        """
        numbers = np.arange(self.sent, self.sent + self.ticks).reshape(self._packets.shape)
        self._packets[COUNTER] = numbers
        self._packets["instrument_token"] = self.tokens[numbers % len(self.tokens)]
        self.sent += self.ticks
        if at is not None:
            self._packets["exchange_timestamp"] = self._packets["last_trade_time"] = at
        return [message.tobytes() for message in self._bytes]

    def stamped(self, at: int) -> bytes:
        """Return the first message, with a time in microseconds in two fields of its packets.

        See `stamp_of` for the inverse.
        """
        self._packets[STAMP_HIGH], self._packets[STAMP_LOW] = divmod(at, 2**32)
        message: bytes = self._bytes[0].tobytes()
        return message


def stamp_of(ticks: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the times in microseconds that `FullMessages.stamped` wrote into ticks."""
    high = ticks[STAMP_HIGH].to_numpy().astype(np.int64)
    stamps: npt.NDArray[np.int64] = high << 32 | ticks[STAMP_LOW].to_numpy()
    return stamps


def mixed_messages(packets: int = PACKETS, messages: int = 32, seed: int = 0) -> list[bytes]:
    """Return messages of mixed modes, a third of the packets each, some of them of indices.

    Parameters
    ----------
    packets
        Packets per message.
    messages
        The number of messages.
    seed
        Seed of the selection and the values.
    """
    rng = np.random.default_rng(seed)
    count = packets * messages
    chosen = np.resize(tokens(indices=True, seed=seed), count)
    is_index = np.array([not SEGMENTS[code].tradable for code in (chosen & SEGMENT_MASK).tolist()])
    modes = rng.integers(0, 3, count)
    kinds = {LTP: modes == 0}
    for mode, (plain, index) in enumerate(((QUOTE, INDEX_QUOTE), (FULL, INDEX_FULL)), start=1):
        kinds[plain] = (modes == mode) & ~is_index
        kinds[index] = (modes == mode) & is_index
    framed: list[npt.NDArray[np.void]] = [np.empty(0, np.void)] * count
    for layout, rows in kinds.items():
        made = encode_packets(layout, columns(layout, chosen[rows], seed))
        for place, row in enumerate(np.flatnonzero(rows).tolist()):
            framed[row] = made[place : place + 1]
    return [encode_message(*framed[first : first + packets]) for first in range(0, count, packets)]
