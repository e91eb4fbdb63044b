"""A recording of a simulated market's day, made on made-up time, without a socket. Calling thread.

The same arguments make the same ticks. Closed segments are compressed, as a recorder does.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.journal.compression import compress
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.server.clients import Subscriptions
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import generate_instruments
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Listing,
    Messages,
    SnapshotsExpected,
    Stopped,
    Subscribed,
)
from kitepolars.wire import control
from kitepolars.wire.layouts import SEGMENT_MASK, SEGMENTS

DAY: Final = dt.date(2026, 11, 20)
OPENS: Final = dt.time(9, 15)
TRADING_SECONDS: Final = 6.25 * 3_600
URL: Final = "wss://ws.kite.trade/"

_MESSAGE_GAP: Final = 1_000
"""Microseconds between two messages of a round."""

_ROUNDS_IN_MEMORY: Final = 32


def record_day(folder: Path, *, rounds: int, instruments: int) -> int:
    """Record a full tick of each instrument in each round; return how many ticks there are.

    Parameters
    ----------
    folder
        Where the recording is made.
    rounds
        How often each instrument ticks, evenly between the opening and the close of the day.
    instruments
        How many of the simulated exchanges' instruments, indices excluded.
    """
    begin = dt.datetime.combine(DAY, OPENS, IST).timestamp()
    step, now = TRADING_SECONDS / rounds, begin
    master = generate_instruments(on=DAY)
    tokens = _some_tokens(master.instrument_token, instruments)
    exchange = Exchange(master, now=begin, seed=7, rate=0.0, packets_per_message=500)
    client = Subscriptions(0, "key", "AB1234", limit=len(tokens))
    client.receive(control.subscribe([*tokens]))
    client.receive(control.set_mode(kp.Mode.FULL, [*tokens]))
    client.snapshots_owed.clear()
    with JournalWriter(folder, clock=lambda: _microseconds(now), queue_bytes=2**40) as writer:
        at = _microseconds(begin)
        writer.take(Listing(at, master.dump_csv()))
        writer.take(Subscribed(at, kp.Mode.FULL, tokens))
        state = ConnectionState.OPEN
        writer.take(ConnectionChanged(at, 0, "market", state, URL, len(tokens), 0))
        writer.take(SnapshotsExpected(at, 0, tokens))
        for number in range(rounds):
            now = begin + number * step
            exchange.step(step, [client], now)
            for place, (_, message) in enumerate(exchange.collect(client)):
                writer.take(Messages(_microseconds(now) + place * _MESSAGE_GAP, 0, [message]))
            if number % _ROUNDS_IN_MEMORY == 0:
                writer.flush(timeout=60)
        writer.take(Stopped(_microseconds(now + step)))
    for segment in segments(folder):  # those that were not compressed by then
        if not segment.is_compressed:
            compress(segment.path)
    return rounds * len(tokens)


def _some_tokens(listed: npt.NDArray[np.int64], count: int) -> tuple[int, ...]:
    tradable = np.array([SEGMENTS[code].tradable for code in (listed & SEGMENT_MASK).tolist()])
    chosen: list[int] = np.random.default_rng(0).permutation(listed[tradable])[:count].tolist()
    return tuple(chosen)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
